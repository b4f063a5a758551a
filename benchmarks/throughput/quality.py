"""Seconds of training to a given share of the ceiling, and the last return of our two engines.

Everyone learns from regrets (times our reward scale) on the same 256 days; a deterministic policy
is judged on the same 128 fresh days every 4,096 steps, or after the update that passes them.

The target is set before anyone is compared, by stable-baselines3's defaults alone: a pilot of
262,144 steps on a seed of its own; nine tenths of what its last four judgements gained over its
start. A run that does not reach it within the shipped number of steps counts with all its seconds,
which is a lower bound, and is reported as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.cells import Cells
from benchmarks.throughput.bars import Bar, at_least, at_most
from benchmarks.throughput.learners import (
    Clock,
    Learner,
    RegretEnv,
    ours,
    theirs_looping,
    theirs_native,
    torch_threads,
)
from benchmarks.throughput.market import DECISION, SHIPPED, make_world, shipped_config
from ppo_marketing.pipeline import learning
from ppo_marketing.rivals.learned import Chooser
from ppo_marketing.trial import ChoosingActor

SEEDS = (1, 2, 3, 4, 5)
PILOT_SEED, PILOT_STEPS, PILOT_SHARE = 101, 262_144, 0.9
JUDGED_DAYS, JUDGE_EVERY = 128, 4_096
JUDGED = {"days": JUDGED_DAYS, "every": JUDGE_EVERY}
WARM_UP_STEPS = 8_192

OURS = "ours, shipped defaults"
NATIVE = "stable-baselines3, our environment and settings"
DEFAULT = "stable-baselines3, its defaults, 8 copies"

FASTER_THAN_DEFAULT, FASTER_THAN_NATIVE = 30.0, 8.0
SAME_RETURN = 5e-4
"""Share of the ceiling: a ninth of what PPO gains over the best tuned rule (bidding_ppo.json)."""


@dataclass(frozen=True)
class Course:
    """Who learns, and how policies are judged."""

    learners: Mapping[str, Learner]
    judge: Callable[[Chooser], float]


def course() -> Course:
    """The market, everyone who learns in it, and the judge."""
    world = make_world(SHIPPED.episodes)
    fresh = make_world(JUDGED_DAYS, fresh=1)
    score = learning.validation(DECISION, fresh, JUDGED_DAYS, seed=0)
    config = shipped_config()
    hindsight = world.with_hindsight()

    def make_env() -> Any:
        return learning.training_env(world, SHIPPED.copies, regret=True)

    return Course(
        learners={
            OURS: ours(make_env, config),
            NATIVE: theirs_native(make_env, config),
            DEFAULT: theirs_looping(lambda: RegretEnv(hindsight, float(config.reward_scale))),
            "torch": ours(make_env, replace(config, engine="torch")),
        },
        judge=lambda policy: score(ChoosingActor("candidate", policy, "own")),
    )


def followed(
    learner: Learner,
    judge: Callable[[Chooser], float],
    *,
    steps: int,
    seed: int,
    target: float = np.inf,
    every: int = JUDGE_EVERY,
) -> list[list[float]]:
    """The curve `[steps, seconds, share]` of a training, which ends where the target is reached."""
    clock = Clock()
    curve: list[list[float]] = []
    judged = -1

    def look(at: int, policy: Chooser) -> bool:
        nonlocal judged
        if at // every > judged or at >= steps:
            judged = at // every
            curve.append([at, round(clock.marks[-1][1], 4), round(judge(policy), 6)])
            return curve[-1][2] < target
        return True

    with torch_threads(1):  # on networks this small two are slower, for everyone
        learner(steps, seed, clock.shown(look))
    return curve


def target_of(pilot: Sequence[Sequence[float]]) -> float:
    """Nine tenths of the way from the pilot's start to the mean of its last four judgements."""
    shares = [share for _, _, share in pilot]
    return float(shares[0] + PILOT_SHARE * (np.mean(shares[-4:]) - shares[0]))


def measure_quality(cells: Cells, seeds: Sequence[int], cap: int) -> dict[str, Any]:
    """Every learner to the target, seed by seed in turn."""
    arena = course()
    for name in (OURS, NATIVE, DEFAULT):  # compiles, and fills caches, before any clock runs
        followed(arena.learners[name], arena.judge, steps=WARM_UP_STEPS, seed=0, every=1 << 40)
    pilot_steps = min(PILOT_STEPS, cap)
    pilot = cells.measured(
        "quality pilot",
        {"steps": pilot_steps, "seed": PILOT_SEED, **JUDGED},
        lambda: followed(
            arena.learners[DEFAULT], arena.judge, steps=pilot_steps, seed=PILOT_SEED,
        ),
    )  # fmt: skip
    target = target_of(pilot)
    print(f"target: {target:.5f} of the ceiling", flush=True)
    curves: dict[str, list[list[list[float]]]] = {name: [] for name in (OURS, NATIVE, DEFAULT)}
    for seed in seeds:
        for name, found in curves.items():
            curve = cells.measured(
                f"quality {name} {seed}",
                {"steps": cap, "seed": seed, "target": target, **JUDGED},
                partial(
                    followed,
                    arena.learners[name],
                    arena.judge,
                    steps=cap,
                    seed=seed,
                    target=target,
                ),
            )
            found.append(curve)
            steps, seconds, share = curve[-1]
            print(f"seed {seed}, {name}: {share:.5f} after {seconds:.2f} s, {steps:,} steps")
    return {"target": target, "pilot": pilot, **summary_of_quality(curves, target)}


def summary_of_quality(
    curves: Mapping[str, Sequence[Sequence[Sequence[float]]]], target: float
) -> dict[str, Any]:
    """Medians over seeds of what the runs took to the target, and how we compare."""
    rows: dict[str, dict[str, Any]] = {
        name: {
            "reached": sum(run[-1][2] >= target for run in runs),
            "runs": len(runs),
            "median_seconds": float(np.median([run[-1][1] for run in runs])),
            "median_steps": float(np.median([run[-1][0] for run in runs])),
            "curves": [list(map(list, run)) for run in runs],
        }
        for name, runs in curves.items()
    }
    mine = rows[OURS]
    bars: list[Bar] = [at_least("our runs that reach the target", mine["reached"], mine["runs"])]
    for name, bar in ((DEFAULT, FASTER_THAN_DEFAULT), (NATIVE, FASTER_THAN_NATIVE)):
        seconds = rows[name]["median_seconds"] / mine["median_seconds"]
        steps = rows[name]["median_steps"] / mine["median_steps"]
        bars.append(at_least(f"seconds to the target, {name} / ours", seconds, bar))
        bars.append(at_least(f"steps to the target, {name} / ours", steps, 1.0))
    return {"rows": rows, "bars": bars}


def measure_engines(cells: Cells, seeds: Sequence[int], steps: int) -> dict[str, Any]:
    """Whole trainings with either engine, on the same seeds."""
    arena = course()
    finals: dict[str, list[float]] = {OURS: [], "torch": []}
    for seed in seeds:
        for name, found in finals.items():
            curve = cells.measured(
                f"engines {name} {seed}",
                {"steps": steps, "seed": seed, **JUDGED},
                partial(
                    followed,
                    arena.learners[name],
                    arena.judge,
                    steps=steps,
                    seed=seed,
                    every=1 << 40,
                ),
            )
            found.append(curve[-1][2])
            print(f"seed {seed}, {name}: {curve[-1][2]:.5f}", flush=True)
    return summary_of_engines(finals[OURS], finals["torch"])


def summary_of_engines(fused: Sequence[float], torch: Sequence[float]) -> dict[str, Any]:
    """The paired difference of the last return, with its 95 % t interval over seeds."""
    difference = np.array(fused) - np.array(torch)
    half = 0.0
    if len(difference) > 1:
        half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
    low, high = float(difference.mean() - half), float(difference.mean() + half)
    return {
        "fused": list(fused),
        "torch": list(torch),
        "difference": float(difference.mean()),
        "interval": [low, high],
        "bars": [at_most("|last return, fused - torch|, 95 %", max(-low, high), SAME_RETURN)],
    }
