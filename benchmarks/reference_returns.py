"""Does our PPO reach what stable-baselines3's reaches? Both train in this run, on equal steps.

Rows: standard tasks with rl-zoo3's settings (`reference_tasks.py`), 100 deterministic episodes on
the same evaluation seeds; and every marketing environment with the decision's own settings on the
generator's world, the last policy's share of the ceiling on fresh episodes, through
`ppo_marketing/rivals`. Five seeds each. The claim: the paired interval of the difference of
interquartile means is not wholly below zero. A peer or an environment that is missing fails.

Every training is kept as soon as it is done, so that the same command goes on where it was stopped;
two processes may share the work (`--seeds 1 2 3`, `--seeds 4 5`), and one more call without
`--seeds` then sums up. Writes results/reference_returns.json; an hour or so with two processes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

import envs
from benchmarks.cells import Cells, cells_of
from benchmarks.market_tasks import market_task
from benchmarks.reference_tasks import (
    EPISODES,
    EVALUATION_SEED,
    TASKS,
    Task,
    mean_return,
    train_ours,
    train_theirs,
)
from benchmarks.report import write_result
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.statistics import interquartile_mean

Array = npt.NDArray[Any]

NAME = "reference_returns"
SEEDS = (1, 2, 3, 4, 5)
RESAMPLES = 10_000
MARKET_STEPS = 500_000  # at most, of each training on a marketing environment
PEER = "stable_baselines3"

Learner = Callable[[int], float]
"""Takes a seed; trains, judges and returns the mean return."""
Row = tuple[dict[str, Learner], dict[str, Any], bool]
"""Learners by name, the settings that a kept training depends on, and whether the row is gated."""


def standard_row(task: Task, steps: int) -> Row:
    """A standard task."""
    configs = {"ours": task.ours()}
    if task.our_default_too:
        configs["ours_annealed"] = replace(task.ours(), anneal_learning_rate=True)

    def ours(config: PPOConfig, seed: int) -> float:
        return mean_return(task.name, train_ours(task, config, steps, seed))

    def theirs(seed: int) -> float:
        return mean_return(task.name, train_theirs(task, steps, seed))

    learners: dict[str, Learner] = {name: partial(ours, config) for name, config in configs.items()}
    learners[PEER] = theirs
    settings = {**asdict(task), "total_steps": steps}
    return learners, settings, task.gated


def market_row(env_id: str, steps: int | None) -> Row:
    """One of our own environments; every seed trains on episodes of its own."""
    task = market_task(env_id)
    total = steps or min(task.training.total_steps, MARKET_STEPS)

    def reached(algorithm: str, seed: int) -> float:
        return task.reached(algorithm, seed, total)

    learners: dict[str, Learner] = {
        "ours": partial(reached, "ppo"),
        PEER: partial(reached, "ppo-sb3"),
    }
    config = asdict(learning.ppo_config(task.decision, task.training))
    return learners, {"total_steps": total, "copies": task.training.copies, "ppo": config}, True


def row_of(name: str, steps: int | None) -> Row:
    """The row of that name."""
    if name in TASKS:
        return standard_row(TASKS[name], steps or TASKS[name].total_steps)
    return market_row(name, steps)


ROWS = (*TASKS, *envs.environments())
OURS_DEPENDS_ON = {
    True: ("ppo_marketing/ppo", "benchmarks/reference_tasks.py"),
    False: ("ppo_marketing/ppo", "ppo_marketing/rivals", "envs"),
}
PEER_DEPENDS_ON = {
    True: ("benchmarks/reference_tasks.py",),
    False: ("ppo_marketing/rivals", "envs"),
}


def cells_for(row: str, learner: str, *, again: bool, name: str) -> Cells:
    """The kept trainings of a learner: theirs stay valid when our core changes."""
    depends = PEER_DEPENDS_ON if learner == PEER else OURS_DEPENDS_ON
    return cells_of(name, depends[row in TASKS], again=again)


def compare(ours: Array, theirs: Array, rng: np.random.Generator) -> dict[str, Any]:
    """Return the paired 95 % bootstrap interval of the difference of interquartile means.

    Seeds are resampled in pairs.
    """
    drawn = rng.integers(0, len(ours), (RESAMPLES, len(ours)))
    differences = interquartile_mean(ours[drawn]) - interquartile_mean(theirs[drawn])
    low, high = np.quantile(differences, [0.025, 0.975]).tolist()
    return {
        "difference": float(interquartile_mean(ours) - interquartile_mean(theirs)),
        "low": low,
        "high": high,
        "not_below": high >= 0.0,
    }


def trained(learner: Learner, seed: int) -> dict[str, float]:
    """The return, and how long training and judging took."""
    began = time.perf_counter()
    reached = learner(seed)
    return {"return": reached, "seconds": round(time.perf_counter() - began, 1)}


def summary(
    found: Mapping[str, Mapping[int, Mapping[str, float]]], settings: Mapping[str, Any], gated: bool
) -> dict[str, Any]:
    """The row of the results file from every learner's trainings by seed."""
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in found.values())))
    returns = {name: [by_seed[s]["return"] for s in seeds] for name, by_seed in found.items()}
    row: dict[str, Any] = {"settings": dict(settings), "gated": gated, "seeds": seeds}
    if not seeds:
        return row
    theirs = np.array(returns[PEER])
    return row | {
        "returns": returns,
        "interquartile_means": {name: float(interquartile_mean(r)) for name, r in returns.items()},
        "median_seconds": {
            name: float(np.median([by_seed[s]["seconds"] for s in seeds]))
            for name, by_seed in found.items()
        },
        "against_stable_baselines3": {
            name: compare(np.array(r), theirs, np.random.default_rng(0))
            for name, r in returns.items()
            if name != PEER
        },
    }


def fault_of(row: Mapping[str, Any], seeds: Sequence[int]) -> str | None:
    """What is wrong with a row: it failed, seeds are missing, or ours is below and it is gated."""
    if "failed" in row:
        return str(row["failed"])
    missing = sorted(set(seeds) - set(row["seeds"]))
    if missing:
        return f"seeds {missing} are missing"
    if row["gated"] and not row["against_stable_baselines3"]["ours"]["not_below"]:
        return f"below stable-baselines3: {row['against_stable_baselines3']['ours']}"
    return None


def kept_row(name: str, steps: int | None, results: str) -> dict[str, Any]:
    """The row as far as its trainings are kept."""
    try:
        learners, settings, gated = row_of(name, steps)
    except (ImportError, gym.error.Error) as error:
        return {"failed": str(error), "gated": True, "seeds": []}
    found: dict[str, dict[int, dict[str, float]]] = {learner: {} for learner in learners}
    for learner, by_seed in found.items():
        cells = cells_for(name, learner, again=False, name=results)
        for seed in SEEDS:
            one = cells.kept(f"{name} {learner} {seed}", settings)
            if one is not None:
                by_seed[seed] = one
    return summary(found, settings, gated)


def measure(name: str, seed: int, options: argparse.Namespace) -> str | None:
    """Train everyone on one row with one seed, or what of it is not kept; return what failed."""
    try:
        learners, settings, _ = row_of(name, options.steps)
        for learner, work in learners.items():
            cells = cells_for(name, learner, again=options.again, name=options.name)
            one = cells.measured(f"{name} {learner} {seed}", settings, partial(trained, work, seed))
            print(f"{name} seed {seed} {learner}: {one['return']:.4g}, {one['seconds']} s")
            sys.stdout.flush()
    except (ImportError, gym.error.Error) as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="rows to train")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), choices=SEEDS)
    parser.add_argument("--steps", type=int, help="of each training; default: the row's own")
    parser.add_argument("--again", action="store_true", help="train anew what is kept")
    parser.add_argument("--name", default=NAME, help="of the results file")
    options = parser.parse_args()
    torch.set_num_threads(1)  # for both alike: two threads are slower on networks this small
    config = {
        "claim": "not below stable-baselines3's PPO beyond the paired 95 % interval",
        "seeds": list(SEEDS),
        "steps": options.steps,
        "evaluation_episodes": EPISODES,
        "evaluation_first_seed": EVALUATION_SEED,
        PEER: _version("stable-baselines3"),
    }
    failed: dict[str, str] = {}
    rows: dict[str, dict[str, Any]] = {}
    for seed in options.seeds:
        for name in options.only:
            fault = None if name in failed else measure(name, seed, options)
            if fault is not None:
                failed[name] = fault
            rows = {row: kept_row(row, options.steps, options.name) for row in ROWS}
            for broken, why in failed.items():
                rows[broken]["failed"] = why
            write_result(options.name, config, rows)
    faults = {name: fault_of(rows[name], options.seeds) for name in options.only}
    told = [f"{name}: {fault}" for name, fault in faults.items() if fault is not None]
    if told:
        sys.exit("\n".join(told))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    main()
