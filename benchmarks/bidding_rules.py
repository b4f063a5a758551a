"""Every bidding rule's R / R* on the generated market, beside the published table (MODELLING 6.1).

    python -m benchmarks.bidding_rules [--worlds 8] [--seed 0]

One world is 28 generated history days, which plan and tune, and 40 fresh days, which judge; the
published table is one such world. Several worlds show how far it can move by chance: the interval
resamples worlds and then days within them. Prints the table and writes it as JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.report import write_result
from envs.bidding.env import HISTORY_DAYS, sample_settings
from envs.bidding.generator import PRESETS, GeneratedMarket
from envs.bidding.oracle import solve
from envs.bidding.rules import DualAscent, FixedLambda, PowerPacing, rules
from envs.bidding.state import BiddingState
from envs.bidding.tuning import Heuristic, PerBudget, day_scores
from envs.bidding.world import BiddingSettings, BiddingWorld

JUDGED_DAYS = 40
BOOTSTRAP_DRAWS = 2_000
TIGHTNESS = {"default": (1 / 2, 1 / 8, 1 / 32), "shock": (1 / 8,)}
FIXED_ETA = 0.15  # of the untuned dual ascent: the published row does not state its step
# The published "const" is lambda_0 all day; LIN tunes it.
PUBLISHED: Mapping[str, Mapping[str, Mapping[float, float]]] = {
    "default": {
        "lambda_0, untuned": {1 / 2: 0.899, 1 / 8: 0.923, 1 / 32: 0.921},
        "yesterday's lambda": {1 / 2: 0.882, 1 / 8: 0.882, 1 / 32: 0.876},
        "PID": {1 / 2: 0.983, 1 / 8: 0.977, 1 / 32: 0.965},
        "dual ascent, eta = 0.15": {1 / 2: 0.968, 1 / 8: 0.974, 1 / 32: 0.967},
        "MPC": {1 / 2: 0.986, 1 / 8: 0.986, 1 / 32: 0.979},
        "power pacing, g = 1": {1 / 8: 0.987},
        "power pacing, g = 2": {1 / 8: 0.988},
        "hindsight lambda": {1 / 2: 0.9999, 1 / 8: 0.9997, 1 / 32: 0.9992},
    },
    "shock": {
        "lambda_0, untuned": {1 / 8: 0.860},
        "PID": {1 / 8: 0.978},
        "dual ascent, eta = 0.15": {1 / 8: 0.972},
        "MPC": {1 / 8: 0.979},
        "power pacing, g = 1": {1 / 8: 0.974},
        "power pacing, g = 2": {1 / 8: 0.9855},
    },
}


@dataclass(frozen=True)
class HindsightLambda(Heuristic):
    """The judged day's own LP dual, all day: what knowing lambda would be worth."""

    log_lambda: NDArray[np.float64]  # [C, D]

    def control(
        self, world: BiddingWorld, state: BiddingState, rng: Generator
    ) -> NDArray[np.float64]:
        """Log lambda of the copy's own day and budget level."""
        return self.log_lambda[state.level, state.day]


def untuned_rows(world: BiddingWorld, log_lambda_star: NDArray[np.float64]) -> list[Any]:
    """The untuned rows of the published table, and what knowing lambda would earn."""
    terms = world.terms

    def everywhere(value: float) -> PerBudget:
        return PerBudget.of(terms, np.full(len(terms.budget), value))

    return [
        FixedLambda("lambda_0, untuned"),
        DualAscent(f"dual ascent, eta = {FIXED_ETA}", everywhere(float(np.log(FIXED_ETA)))),
        PowerPacing("power pacing, g = 1", everywhere(1.0)),
        PowerPacing("power pacing, g = 2", everywhere(2.0)),
        HindsightLambda("hindsight lambda", log_lambda_star),
    ]


def judge(preset: str, rng: Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """R / R* of every rule `[C, D]` in one drawn world, and what tuning chose."""
    market = GeneratedMarket(PRESETS[preset])
    history = market.draw_days(HISTORY_DAYS, rng)
    days = market.draw_days(JUDGED_DAYS, rng)
    settings = BiddingSettings(**sample_settings({"tightness": TIGHTNESS[preset]}))
    world = BiddingWorld.planned(days, history, settings)
    ceilings = [solve(days, float(budget)) for budget in world.terms.budget]
    ceiling = np.array([c.value for c in ceilings])
    log_lambda_star = np.log([c.lambda_star for c in ceilings])

    ratio, chosen = {}, {}
    tuned = [rule.tuned(replace(world, days=history), rng) for rule in rules()]
    for rule in [*untuned_rows(world, log_lambda_star), *tuned]:
        ratio[rule.name] = day_scores(rule.arena(world, rng), rule, rng) / ceiling
        chosen[rule.name] = dict(rule.chosen)
    return ratio, chosen


def interval(ratio: NDArray[np.float64], rng: Generator) -> tuple[float, float]:
    """95 % interval of the mean of `ratio [W, D]`: worlds resampled, then days within them."""
    worlds, days = ratio.shape
    world = rng.integers(0, worlds, (BOOTSTRAP_DRAWS, worlds))
    counts = rng.multinomial(days, np.full(days, 1 / days), (BOOTSTRAP_DRAWS, worlds))
    means = np.einsum("bwd,bwd->bw", counts, ratio[world]) / days
    low, high = np.quantile(means.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def table(worlds: int, seed: int) -> dict[str, Any]:
    """All rows of every preset."""
    presets: dict[str, Any] = {}
    for number, (preset, levels) in enumerate(TIGHTNESS.items()):
        market_rng, bootstrap_rng = (np.random.default_rng([seed, number, use]) for use in (0, 1))
        judged = [judge(preset, market_rng) for _ in range(worlds)]
        rows = []
        for name in judged[0][0]:
            ratio = np.array([ratios[name] for ratios, _ in judged])  # [W, C, D]
            for level, c0 in enumerate(levels):
                low, high = interval(ratio[:, level], bootstrap_rng)
                by_world = ratio[:, level].mean(axis=1)
                rows.append(
                    {
                        "rule": name,
                        "c0": c0,
                        "ratio": float(ratio[:, level].mean()),
                        "low": low,
                        "high": high,
                        "world_lowest": float(by_world.min()),
                        "world_highest": float(by_world.max()),
                        "published": PUBLISHED[preset].get(name, {}).get(c0),
                    }
                )
        presets[preset] = {"rows": rows, "chosen_in_first_world": judged[0][1]}
    return presets


def printed(presets: Mapping[str, Any], worlds: int) -> str:
    """The table for people."""
    lines = [f"R / R*, {worlds} worlds of {JUDGED_DAYS} days"]
    for preset, part in presets.items():
        lines.append(
            f"\n{preset:26} {'c0':>7} {'R/R*':>6}  95 % interval    of one world     published"
        )
        lines += [
            f"{row['rule']:26} {row['c0']:7.5g} {row['ratio']:6.4f}"
            f"  {row['low']:.4f}..{row['high']:.4f}"
            f"   {row['world_lowest']:.4f}..{row['world_highest']:.4f}"
            f"   {'' if row['published'] is None else row['published']}"
            for row in part["rows"]
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    presets = table(chosen.worlds, chosen.seed)
    print(printed(presets, chosen.worlds))
    config = {
        "seed": chosen.seed,
        "worlds": chosen.worlds,
        "history_days": HISTORY_DAYS,
        "judged_days": JUDGED_DAYS,
        "bootstrap_draws": BOOTSTRAP_DRAWS,
    }
    write_result("bidding_rules", config, presets)


if __name__ == "__main__":
    main()
