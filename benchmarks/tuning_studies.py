"""Are the settings that a study chose better than the shipped ones, at the shipped length?

A study (`ppo-marketing tune DECISION`) scores short trainings, since it needs many. What it chose
is therefore trained here as long as the product trains, beside the shipped settings, on five seeds
of the generator's world; scored is the last policy's share of the ceiling on fresh episodes. The
claim for a change of defaults: the paired 95 % interval of the gain lies above zero.

    ppo-marketing tune bidding --trials 40 --steps 200000 --seeds 2 --seed 101 --output out/bidding
    python -m benchmarks.tuning_studies --studies out

Reads OUT/DECISION/tuning.json for every decision that has one. Trainings are kept one by one.
Writes results/tuning_studies.json: the study's summary, all scores and the interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import envs
from benchmarks.cells import cells_of
from benchmarks.market_tasks import MarketTask, market_task
from benchmarks.reference_returns import compare
from benchmarks.report import write_result

NAME = "tuning_studies"
SEEDS = (1, 2, 3, 4, 5)
DEPENDS_ON = ("ppo_marketing/ppo", "ppo_marketing/rivals", "envs")


def judged(scores: Mapping[str, list[float]]) -> dict[str, Any]:
    """The paired gain of the chosen settings, and whether it is a reason to change the defaults."""
    gain = compare(
        np.array(scores["chosen"]), np.array(scores["shipped"]), np.random.default_rng(0)
    )
    gain.pop("not_below")
    return {"scores": dict(scores), "gain": gain, "better": gain["low"] > 0.0}


def summary_of(study: Mapping[str, Any]) -> dict[str, Any]:
    """A study without the curves of its trials."""
    kept = {name: value for name, value in study.items() if name != "trials"}
    states = [trial["state"] for trial in study["trials"]]
    return kept | {"states": {state: states.count(state) for state in sorted(set(states))}}


def measured(
    task: MarketTask, study: Mapping[str, Any], *, seeds: tuple[int, ...], again: bool
) -> dict[str, Any]:
    """One decision: both settings at the shipped length, seed by seed."""
    cells, steps = cells_of(NAME, DEPENDS_ON, again=again), task.training.total_steps
    scores: dict[str, list[float]] = {}
    for name, overrides in {"shipped": {}, "chosen": study["chosen"]}.items():
        for seed in seeds:
            reached = cells.measured(
                f"{task.decision.name} {name} {seed}",
                {"env": task.env_id, "steps": steps, "overrides": overrides},
                partial(task.reached, "ppo", seed, steps, overrides),
            )
            scores.setdefault(name, []).append(reached)
            print(f"{task.decision.name} {name} seed {seed}: {reached:.4f}", flush=True)
    return {"study": summary_of(study), "steps": steps, **judged(scores)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    arguments = parser.parse_args()
    # A decision may have several environments; a study plays the one that its card names.
    every = [market_task(env_id) for env_id in envs.environments()]
    tasks = [task for task in every if task.env_id == task.decision.env_id]
    found = {
        task.decision.name: arguments.studies / task.decision.name / "tuning.json" for task in tasks
    }
    missing = [str(path) for path in found.values() if not path.exists()]
    if missing:
        print(f"no study: {', '.join(missing)}; run `ppo-marketing tune` first", file=sys.stderr)
        return 3
    results = {
        task.decision.name: measured(
            task,
            json.loads(found[task.decision.name].read_text()),
            seeds=SEEDS,
            again=arguments.again,
        )
        for task in tasks
    }
    path = write_result(NAME, {"seeds": list(SEEDS)}, results)
    print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
