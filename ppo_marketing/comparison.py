"""Finished trainings -> Comparison: what each algorithm earns, how surely and how soon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from envs.core.world import Array
from ppo_marketing.constrained import as_shares
from ppo_marketing.evaluation import CeilingKind, Evidence, Played, Row, shares, telling_episodes
from ppo_marketing.rivals.table import RIVALS
from ppo_marketing.statistics import (
    Floats,
    at_common_steps,
    interquartile_interval,
    interquartile_mean,
)

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """An interquartile mean over seeds with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """Share of the ceiling on the scoring episodes: the interquartile mean over seeds by steps.

    NaN where a seed broke the limit: it has no share there.
    """

    steps: tuple[int, ...]
    value: tuple[float, ...]
    low: tuple[float, ...]  # smallest and largest seed: of few seeds no interval says more
    high: tuple[float, ...]


@dataclass(frozen=True)
class Competitor:
    """One algorithm, or one setting of PPO, over its seeds; None where it has no such number.

    `share` is the mean share of the ceiling over the judged episodes, seed by seed. `largest_drop`
    is that of the curve from one point to the next, `largest_kl` nats between two updates, both
    the largest of any seed; the rest are means over seeds.
    """

    label: str
    algorithm: str
    title: str
    source: str
    form: str
    seeds: tuple[int, ...]
    failures: tuple[str, ...]
    steps: int
    share: Interval | None
    shares: tuple[float, ...]
    curve: Curve | None
    largest_drop: float | None
    largest_kl: float | None
    mean_kl: float | None
    clip_fraction: float | None
    entropy: float | None
    forbidden_share: float | None
    cpu_seconds: float | None
    settings: Mapping[str, Any]
    overrides: Mapping[str, Any]


class Point(NamedTuple):
    """A competitor after so many steps: its share of the ceiling, its lowest and highest seed."""

    label: str
    step: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Everyone on the same judged episodes; `evidence` pairs them with rules, ceiling and floor."""

    competitors: tuple[Competitor, ...]
    evidence: Evidence
    sweeps: Mapping[str, tuple[tuple[float, str], ...]]
    """Swept setting -> its values with the label of the competitor that has each."""

    def named(self, label: str) -> Competitor:
        """The competitor of a label."""
        return next(c for c in self.competitors if c.label == label)

    @property
    def reference(self) -> Competitor:
        """The one that lifts are of: the first that finished a training."""
        return self.named(self.evidence.policy.name)

    @property
    def ranked(self) -> tuple[Competitor, ...]:
        """The competitors, the best first; those that diverged are last."""

        def worth(one: Competitor) -> float:
            return -math.inf if one.share is None else one.share.value

        return tuple(sorted(self.competitors, key=worth, reverse=True))

    @property
    def beside(self) -> tuple[Row, ...]:
        """The rules, the log's own policy and the floor, the best first."""
        rows = [row for row in self.evidence.rows if row.kind in ("rule", "logging", "floor")]
        return tuple(sorted(rows, key=lambda row: -row.share_of_ceiling.value))

    @property
    def points(self) -> tuple[Point, ...]:
        """Every curve, the best competitor first; settings that were only swept are left out."""
        return tuple(
            Point(one.label, *place)
            for one in self.ranked
            if one.curve is not None and not one.overrides
            for place in zip(
                one.curve.steps, one.curve.value, one.curve.low, one.curve.high, strict=True
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has no NaN."""
        values = asdict(self)
        for one in values["competitors"]:
            curve = one["curve"] or {}
            for name in curve.keys() - {"steps"}:
                curve[name] = [None if np.isnan(share) else share for share in curve[name]]
        return values


def competitor(
    records: Sequence[Record],
    values: Sequence[Array],
    ceiling: Array,
    kind: CeilingKind,
    *,
    grid: Sequence[int],
    seed: int,
    repetitions: int,
) -> Competitor:
    """Sum up one competitor's seeds; `values` `[n]` are of those that finished, in order."""
    first = records[0]
    finished = [record for record in records if record["failed"] is None]
    rival = RIVALS[first["algorithm"]]
    telling = telling_episodes(ceiling, kind)
    means = [float(shares(v[telling], ceiling[telling], kind).mean()) for v in values]
    rng = np.random.default_rng([seed, 3])
    runs = np.array(means)[:, None]
    share = Interval(*interquartile_interval(runs, repetitions, rng)) if means else None
    return Competitor(
        label=first["label"],
        algorithm=first["algorithm"],
        title=rival.title,
        source=rival.source,
        form=first["form"],
        seeds=tuple(record["seed"] for record in records),
        failures=tuple(record["failed"] for record in records if record["failed"]),
        steps=int(first["steps"]),
        share=share,
        shares=tuple(means),
        curve=_curve(finished, grid) if finished else None,
        largest_drop=_over(finished, "largest_drop", max),
        largest_kl=_over(finished, "largest_kl", max),
        mean_kl=_over(finished, "mean_kl", np.mean),
        clip_fraction=_over(finished, "clip_fraction", np.mean),
        entropy=_over(finished, "entropy", np.mean),
        forbidden_share=_over(finished, "forbidden_share", np.mean),
        cpu_seconds=_over(finished, "cpu_seconds", np.mean),
        settings=first["settings"],
        overrides=first["overrides"],
    )


def mean_played(label: str, kpis: Sequence[Mapping[str, Array]], *, first: bool) -> Played:
    """What a competitor made of every episode, averaged over its seeds."""
    mean = {name: np.mean([totals[name] for totals in kpis], axis=0) for name in kpis[0]}
    return Played(label, "policy" if first else "rival", mean)


def common_grid(records: Sequence[Record]) -> tuple[int, ...]:
    """The steps at which curves are compared: all points that any of them was measured at."""
    return tuple(sorted({0, *(int(point) for record in records for point in record["points"])}))


def _curve(finished: Sequence[Record], grid: Sequence[int]) -> Curve:
    # A seed ends on a whole rollout, so a little beyond the steps asked for.
    within = [step for step in grid if step <= max(r["steps"] for r in finished)]
    seeds: Floats = np.array(
        [at_common_steps(r["curve_steps"], as_shares(r["curve_scores"]), within) for r in finished]
    )
    return Curve(
        steps=tuple(within),
        value=tuple(interquartile_mean(seeds, axis=0).tolist()),
        low=tuple(seeds.min(axis=0).tolist()),
        high=tuple(seeds.max(axis=0).tolist()),
    )


def _over(finished: Sequence[Record], name: str, summary: Any) -> float | None:
    """None unless every seed has the number: what overflowed in one is not to be passed over."""
    numbers = [record[name] for record in finished]
    return float(summary(numbers)) if numbers and None not in numbers else None
