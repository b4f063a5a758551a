"""What it costs at the usual budget, and gains at others, to train bidding on a range of budgets.

Each seed draws a 28-day log of the built-in market, calibrates, tunes, and trains twice on the same
simulated days: on the one budget c0 = 1/8, and on budgets from half to twice of it. Both play the
same what-ifs on the same 200 days of the later part. The first is shown the budget that it knows
(`what_if/familiar.py`), the second the true one. Differences are paired day by day; intervals
resample seeds, then days within a seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.bidding_ppo import resampled
from benchmarks.report import write_result
from envs.bidding import DECISION
from envs.bidding.generator import PRESETS, generate_log
from envs.core.log import read_log
from ppo_marketing.config import TrainingSection
from ppo_marketing.pipeline import calibrating, learning
from ppo_marketing.policy import PolicyActor
from ppo_marketing.what_if.answers import watched
from ppo_marketing.what_if.scenarios import Named, built
from ppo_marketing.what_if.stage import stage_of

HISTORY_DAYS = 28
DAYS = 200
MET_DAYS = 60  # simulated days of the earlier part that say what each policy has met
RANGE = (0.5, 2.0)
BUDGETS = (0.5, 0.7, 1.0, 1.4, 2.0)
Floats = NDArray[np.float64]

ONE, ONE_TOLD, MANY, RULE = (
    "one budget, shown the one it knows",
    "one budget, told the true one",
    "range of budgets, told the true one",
    "power pacing, tuned",
)


def played(preset: str, seed: int, training: TrainingSection) -> Mapping[str, Floats]:
    """Net value of every day at every budget, `[days, budgets]` by actor; one seed."""
    rng = np.random.default_rng([seed, 21])
    log = generate_log(PRESETS[preset], HISTORY_DAYS, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pq.write_table(log.table, path)
        table = read_log(path, DECISION.schema, cache=Path(folder) / "cache")
        settings = DECISION.sample_settings()
        calibration = calibrating.calibrate(DECISION, table, settings, seed)
    rules = calibrating.tuned_rules(DECISION, calibration, settings, seed)
    one = calibrating.anchored(DECISION, settings, rules)
    many = replace(one, budget_range=RANGE)
    found: dict[str, Floats] = {}
    for name, chosen in ((ONE, one), (MANY, many)):
        agent = learning.learn_from_calibration(DECISION, calibration, chosen, training, seed).best
        stage = stage_of(
            DECISION,
            calibration,
            chosen,
            agent,
            rules,
            seed=seed,
            episodes=DAYS,
            member_episodes=60,
        )
        actors = {name: stage.policy}
        if name == ONE:
            actors |= {ONE_TOLD: PolicyActor("told", agent), RULE: stage.others["power pacing"]}
        for told, actor in actors.items():
            found[told] = np.stack(
                [
                    watched(
                        stage, actor, stage.world.under(built(DECISION, Named("", {"budget": b})))
                    ).kpis[DECISION.value_kpi]
                    for b in BUDGETS
                ],
                axis=1,
            )
    return found


def summary(runs: list[Mapping[str, Floats]]) -> dict[str, Any]:
    """Mean values, and what the range gains over each other actor, in % of its mean, with 95 %."""
    rng = np.random.default_rng(0)
    table = {name: np.array([run[name] for run in runs]) for name in runs[0]}  # [seeds, days, b]
    gains = {}
    for name in (ONE, ONE_TOLD, RULE):
        mean = table[name].mean(axis=(0, 1))
        difference = 100 * (table[MANY] - table[name]) / mean
        draws = resampled(difference, rng)
        gains[name] = {
            f"x {budget:g}": {
                "percent": round(float(difference[..., k].mean()), 3),
                "low": round(float(np.quantile(draws[:, k], 0.025)), 3),
                "high": round(float(np.quantile(draws[:, k], 0.975)), 3),
                "by_seed": np.round(difference[..., k].mean(axis=1), 3).tolist(),
            }
            for k, budget in enumerate(BUDGETS)
        }
    values = {name: np.round(one.mean(axis=(0, 1)), 4).tolist() for name, one in table.items()}
    return {"value": values, "gain_of_the_range_over": gains}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--presets", nargs="+", default=["default", "shock"], choices=PRESETS)
    asked = parser.parse_args()
    training = TrainingSection(total_steps=asked.steps)
    found = {}
    for preset in asked.presets:
        runs = [played(preset, seed, training) for seed in range(asked.seeds)]
        found[preset] = summary(runs)
        print(preset, found[preset])
    config = {**vars(asked), "range": RANGE, "budgets": BUDGETS, "days": DAYS}
    write_result("budget_range", {**config, "training": training.model_dump()}, found)


if __name__ == "__main__":
    main()
