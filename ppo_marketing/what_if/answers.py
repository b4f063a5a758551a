"""Scenarios played side by side on the same episodes, so that differences are paired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.scenario import Remark, RemarkingWorld
from envs.core.world import Array, World
from ppo_marketing.evaluation import Estimate, bootstrap_means, played_steps
from ppo_marketing.policy import Actor
from ppo_marketing.what_if.familiar import Surroundings, Watch
from ppo_marketing.what_if.scenarios import Named, built, several
from ppo_marketing.what_if.stage import Stage

Floats = NDArray[np.float64]

REPETITIONS = 2000


@dataclass(frozen=True)
class Beside:
    """Another actor in the same scenario: its value, and the policy's less its, both paired."""

    value: Estimate
    lift: Estimate


@dataclass(frozen=True)
class Answer:
    """What one scenario would bring, a mean over its episodes.

    `change` is its value less the first scenario's, episode by episode (None for the first), and
    `probability_of_gain` the bootstrap share of positive changes. `ratios` are quotients of totals,
    None where nothing divides. `beside` holds the other actors that were asked for, `notes` what
    the market says of the scenario.
    """

    scenario: Named
    episodes: int
    value: Estimate
    change: Estimate | None
    probability_of_gain: float | None
    kpis: Mapping[str, Estimate]
    ratios: Mapping[str, float | None]
    beside: Mapping[str, Beside]
    surroundings: Surroundings
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        around = self.surroundings
        return {
            "scenario": self.scenario.name,
            "knobs": dict(self.scenario.values),
            "episodes": self.episodes,
            "value": asdict(self.value),
            "change": None if self.change is None else asdict(self.change),
            "probability_of_gain": self.probability_of_gain,
            "kpis": {name: asdict(one) for name, one in self.kpis.items()},
            "ratios": dict(self.ratios),
            "beside": {name: asdict(one) for name, one in self.beside.items()},
            "outside_the_log": {
                "share": around.outside,
                "variables": {d.variable.name: d.share for d in around.departures},
                "warning": around.warning,
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class Told:
    """What one play gave: KPI totals `[n]` each, and how much of it was unknown ground."""

    kpis: Mapping[str, Array]
    surroundings: Surroundings


def watched(stage: Stage, actor: Actor, world: World[Any]) -> Told:
    """Let an actor play the stage's episodes of a world and note what it meets."""
    watch = Watch(stage.familiar)
    totals: dict[str, Array] = {}
    for step in played_steps(actor, world, stage.episodes, stage.seed):
        watch.look(step.arena.observe(step.state), step.running)
        for name, amount in step.outcome.kpis.items():
            totals[name] = totals.get(name, 0.0) + amount
    return Told(totals, watch.told())


def asked(
    stage: Stage, scenarios: Sequence[Named], others: Sequence[str] = ()
) -> tuple[Answer, ...]:
    """What each scenario would bring, the first being what the others are compared with.

    `others` are names of `stage.others`.

    Raises UserError where there are no scenarios, too many, or two of one name.
    """
    value_kpi = stage.decision.value_kpi
    answers: list[Answer] = []
    first: Array | None = None
    for scenario in several(scenarios):
        change = built(stage.decision, scenario)
        world = stage.world.under(change)
        told = watched(stage, stage.policy, world)
        beside = {
            name: watched(stage, stage.others[name], world).kpis[value_kpi] for name in others
        }
        remarks = remarks_of(stage.world, change)
        answers.append(_answer(stage, scenario, told, beside, first, remarks))
        if first is None:
            first = told.kpis[value_kpi]
    return tuple(answers)


def remarks_of(world: World[Any], change: Any) -> tuple[Remark, ...]:
    """What a world says of a scenario; nothing where it has nothing to say."""
    return world.remarks(change) if isinstance(world, RemarkingWorld) else ()


def _answer(
    stage: Stage,
    scenario: Named,
    told: Told,
    beside: Mapping[str, Array],
    first: Array | None,
    remarks: Sequence[Remark],
) -> Answer:
    decision = stage.decision
    names = list(told.kpis)
    value = told.kpis[decision.value_kpi]
    units = {kpi.name: kpi.unit for kpi in decision.kpis}
    lifts = [value - other for other in beside.values()]
    changes = [] if first is None else [value - first]
    series = np.array([*(told.kpis[name] for name in names), *beside.values(), *lifts, *changes])
    estimates, draws = _estimated(series, np.random.default_rng([stage.seed, 2]))
    known = {
        name: _of(estimate, _unit(units[name], stage.currency))
        for name, estimate in zip(names, estimates, strict=False)
    }
    at = len(names)
    money = stage.currency
    return Answer(
        scenario=scenario,
        episodes=stage.episodes,
        value=known[decision.value_kpi],
        change=None if first is None else _of(estimates[-1], money),
        probability_of_gain=None if first is None else float((draws[-1] > 0).mean()),
        kpis=known,
        ratios={r.label: _ratio(told.kpis, r.numerator, r.denominator) for r in decision.ratios},
        beside={
            name: Beside(_of(estimates[at + i], money), _of(estimates[at + len(beside) + i], money))
            for i, name in enumerate(beside)
        },
        surroundings=replace(
            told.surroundings, beyond=tuple(one.text for one in remarks if one.beyond)
        ),
        notes=tuple(one.text for one in remarks if not one.beyond),
    )


def _estimated(series: Floats, rng: Generator) -> tuple[list[Estimate], Floats]:
    """Means of `[k, n]` over episodes with their 95 % intervals, and the draws behind them."""
    draws = bootstrap_means(series, REPETITIONS, rng)
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    count = float(series.shape[1])
    means = series.mean(axis=1)
    return [
        Estimate(float(m), float(a), float(b), count, "")
        for m, a, b in zip(means, low, high, strict=True)
    ], draws


def _of(estimate: Estimate, unit: str) -> Estimate:
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.effective_n, unit)


def _unit(unit: str, currency: str) -> str:
    return currency if unit == "currency" else unit


def _ratio(kpis: Mapping[str, Array], numerator: str, denominator: str) -> float | None:
    below = float(kpis[denominator].sum())
    return float(kpis[numerator].sum()) / below if below else None
