"""PPO against the best tuned rule on the built-in market, judged on fresh true days.

Rows: the untrained start, every tuned rule, PPO, the ceiling; trained on the generator, and trained
only through a simulator calibrated on a 28-day log. Presets `default` and `shock`, c0 = 1/8, five
seeds, 60 fresh days each. Intervals resample seeds, then days within a seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.report import RESULTS, write_result
from envs.bidding import DECISION
from envs.bidding.days import Days
from envs.bidding.generator import PRESETS, GeneratedMarket, generate_log
from envs.bidding.world import BiddingWorld
from envs.core.log import read_log
from ppo_marketing.config import TrainingSection
from ppo_marketing.evaluation import ceiling_of, play, shares
from ppo_marketing.pipeline import calibrating, judging, learning
from ppo_marketing.ppo.train import TrainResult

HISTORY_DAYS = 28
JUDGED_DAYS = 60
BOOTSTRAP = 4000
IMAGE = RESULTS.parents[1] / "docs" / "images" / "bidding_time_to_quality.png"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One seed: every actor's share of the ceiling on each judged day, and how training went."""

    share: Mapping[str, Floats]  # name -> [days]
    rules: tuple[str, ...]
    training: TrainResult


def on_generator(preset: str, seed: int, judged: Days, training: TrainingSection) -> Judged:
    """Plan, tune and train on days of the true market."""
    rng = np.random.default_rng([seed, 11])
    market = GeneratedMarket(PRESETS[preset])
    history = market.draw_days(HISTORY_DAYS, rng)
    days = market.draw_days(training.episodes, rng)
    validation = market.draw_days(training.validation_episodes, rng)
    return _contest(history, days, validation, DECISION.sample_settings(), judged, training, seed)


def through_calibration(preset: str, seed: int, judged: Days, training: TrainingSection) -> Judged:
    """Plan, tune and train on nothing but a 28-day log of the true market."""
    rng = np.random.default_rng([seed, 12])
    log = generate_log(PRESETS[preset], HISTORY_DAYS, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pq.write_table(log.table, path)
        table = read_log(path, DECISION.schema, cache=Path(folder) / "cache")
        settings = DECISION.sample_settings()
        calibration = calibrating.calibrate(DECISION, table, settings, seed)
    world: Any = calibration.training_world(training.episodes, settings, rng)
    fresh: Any = calibration.training_world(training.validation_episodes, settings, rng)
    return _contest(world.history, world.days, fresh.days, settings, judged, training, seed)


def _contest(
    history: Days,
    days: Days,
    validation: Days,
    settings: Any,
    judged: Days,
    training: TrainingSection,
    seed: int,
) -> Judged:
    rng = np.random.default_rng([seed, 13])
    past = BiddingWorld.planned(history, history, settings)
    rules = tuple(rule.tuned(past, rng) for rule in DECISION.rules())
    settings = calibrating.anchored(DECISION, settings, rules)
    world = BiddingWorld.planned(days, history, settings)
    result = learning.learn(DECISION, world, replace(world, days=validation), training, seed)
    arena = replace(world, days=judged)
    start = learning.untrained(arena, learning.ppo_config(DECISION, training), seed)
    contest = judging.Contest(result.best, start, rules, None, DECISION.do_nothing)
    ceiling = ceiling_of(arena, arena.episodes, seed, DECISION.ceiling)
    share = {
        actor.name: shares(
            play(actor, arena, arena.episodes, seed, kind).kpis[DECISION.value_kpi],
            ceiling,
            "realised",
        )
        for actor, kind in contest.actors()
    }
    return Judged(share, tuple(rule.name for rule in rules), result)


def resampled(values: Floats, rng: np.random.Generator) -> Floats:
    """Means over seeds, then days, drawn with replacement: `[seeds, days, k]` -> `[B, k]`."""
    seeds, days, _ = values.shape
    draws = np.empty((BOOTSTRAP, values.shape[2]))
    for b in range(BOOTSTRAP):
        chosen = rng.integers(0, seeds, (seeds, 1))
        within = rng.integers(0, days, (seeds, days))
        draws[b] = values[chosen, within].mean(axis=(0, 1))
    return draws


def summary(runs: Sequence[Judged]) -> dict[str, Any]:
    """Mean shares, the paired lift over the best tuned rule, and the share of its gap closed."""
    rng = np.random.default_rng(0)
    names = list(runs[0].share)
    table = {name: np.array([run.share[name] for run in runs]) for name in names}
    best = max(runs[0].rules, key=lambda name: float(table[name].mean()))
    pairs = np.stack([table["PPO"], table[best], table["untrained start"]], axis=-1)
    draws = resampled(pairs, rng)
    ppo, rule, start = pairs.mean(axis=(0, 1))

    def interval(values: Floats) -> list[float]:
        return [round(float(q), 5) for q in np.quantile(values, [0.025, 0.975])]

    return {
        "share_of_ceiling": {name: round(float(table[name].mean()), 5) for name in names},
        "best_tuned_rule": best,
        "lift_over_best_rule": round(float(ppo - rule), 5),
        "lift_interval": interval(draws[:, 0] - draws[:, 1]),
        "lift_over_untrained": round(float(ppo - start), 5),
        "lift_over_untrained_interval": interval(draws[:, 0] - draws[:, 2]),
        "gap_closed": round(float((ppo - rule) / (1 - rule)), 4),
        "gap_closed_interval": interval((draws[:, 0] - draws[:, 1]) / (1 - draws[:, 1])),
        "per_seed": [
            {
                "ppo": round(float(run.share["PPO"].mean()), 5),
                best: round(float(run.share[best].mean()), 5),
                "seconds": round(run.training.history[-1].seconds, 1),
                "steps": run.training.history[-1].steps,
                "curve": [
                    [round(row.seconds, 1), round(row.validation_score, 5)]
                    for row in run.training.history
                    if row.validation_score is not None
                ],
            }
            for run in runs
        ],
    }


def draw(results: Mapping[str, Any], path: Path) -> None:
    """R/R* on validation days against seconds of training: every seed a line, the rule dashed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for panel, (preset, sources) in zip(figure.subplots(1, 2), results.items(), strict=True):
        row = sources["generator"]
        for run in row["per_seed"]:
            seconds, share = zip(*run["curve"], strict=True)
            panel.plot(seconds, share, color="#0072B2", linewidth=1)
        rule = row["best_tuned_rule"]
        panel.axhline(
            row["share_of_ceiling"][rule], color="#D55E00", linestyle="--", label=f"{rule}, tuned"
        )
        panel.set(title=preset, xlabel="seconds of training", ylabel="R / R*")
        panel.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=TrainingSection().total_steps)
    arguments = parser.parse_args()
    training = TrainingSection(total_steps=arguments.steps)
    results: dict[str, Any] = {}
    for preset in ("default", "shock"):
        collected: dict[str, list[Judged]] = {"generator": [], "calibration": []}
        for seed in range(arguments.seeds):
            judged = GeneratedMarket(PRESETS[preset]).draw_days(
                JUDGED_DAYS, np.random.default_rng([seed, 10])
            )
            collected["generator"].append(on_generator(preset, seed, judged, training))
            collected["calibration"].append(through_calibration(preset, seed, judged, training))
            print(preset, seed, {k: float(v[-1].share["PPO"].mean()) for k, v in collected.items()})
        results[preset] = {source: summary(runs) for source, runs in collected.items()}
        results[preset]["cost_of_calibration"] = round(
            results[preset]["generator"]["share_of_ceiling"]["PPO"]
            - results[preset]["calibration"]["share_of_ceiling"]["PPO"],
            5,
        )
        for source in collected:
            row = results[preset][source]
            print(
                f"{preset}, trained on the {source}: PPO {row['share_of_ceiling']['PPO']:.4f}, "
                f"{row['best_tuned_rule']} {row['share_of_ceiling'][row['best_tuned_rule']]:.4f}, "
                f"lift {row['lift_over_best_rule']:+.4f} {row['lift_interval']}, gap closed "
                f"{row['gap_closed']:.0%} {row['gap_closed_interval']}"
            )
    draw(results, IMAGE)
    config = {"c0": 0.125, "judged_days": JUDGED_DAYS, "seeds": arguments.seeds}
    write_result("bidding_ppo", {**config, "training": training.model_dump()}, results)


if __name__ == "__main__":
    main()
