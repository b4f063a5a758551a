"""Comparisons of algorithms without a training: made of records whose answers are on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppo_marketing.comparison import Comparison, Competitor, competitor, mean_played
from ppo_marketing.constrained import score_beyond
from ppo_marketing.evaluation import Played, judge_played
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.kept_comparisons import FILE, comparisons_folder

CEILING = np.array([10.0, 20.0, 0.0])  # in the last episode nothing can be earned


def record(seed: int, scores: list[float], **changed: Any) -> dict[str, Any]:
    """What is kept of one training."""
    return {
        "label": "a2c", "algorithm": "a2c", "form": "own", "seed": seed, "steps": 100,
        "points": (50, 100), "curve_steps": [0, 60, 120], "curve_scores": scores,
        "largest_drop": max(0.0, scores[1] - scores[2]), "largest_kl": 0.1 * (seed + 1),
        "mean_kl": 0.01, "clip_fraction": None, "entropy": -1.0 + seed, "cpu_seconds": 10.0 + seed,
        "forbidden_share": 0.5, "settings": {}, "overrides": {}, "failed": None, **changed,
    }  # fmt: skip


def summed(records: Sequence[dict[str, Any]], values: Sequence[Any]) -> Any:
    """The competitor of these seeds, who earned `values`."""
    return competitor(
        records, values, CEILING, "realised", grid=[0, 30, 60, 100], seed=0, repetitions=200
    )


def compared(*competitors: Competitor) -> Comparison:
    """All of them beside a rule that earns half of the ceiling; each earns its share of it."""
    finished = [one for one in competitors if one.shares]
    played = [
        mean_played(
            one.label,
            [{"value": CEILING * np.mean(one.shares), "events": CEILING}],
            first=one is finished[0],
        )
        for one in finished
    ]
    rule = Played("a rule", "rule", {"value": CEILING / 2, "events": CEILING})
    evidence = judge_played(
        [*played, rule], CEILING, world="a world", value_kpi="value", event_kpi="events",
        unit="EUR", event_unit="clicks", ceiling_kind="realised", seed=0, chosen={},
        repetitions=100,
    )  # fmt: skip
    return Comparison(tuple(competitors), evidence, {})


def ppo_and_a2c(best: float = 0.9) -> Comparison:
    """PPO, whose curve has a gap, earns `best` of the ceiling, A2C 0.6, and one diverged."""
    ours = {"label": "ppo", "algorithm": "ppo"}
    gone = {"label": "vpg", "algorithm": "vpg", "failed": "the loss is nan"}
    return compared(
        summed([record(0, [score_beyond(0.2), 0.7, best], **ours)], [best * CEILING]),
        summed([record(0, [0.1, 0.6, 0.3])], [0.6 * CEILING]),
        summed([record(0, [0.0, 0.0, 0.0], **gone)], []),
    )


def keep(project: Path, decision: str, name: str, comparison: Comparison) -> Path:
    """A comparison's folder in a project, as `compare` leaves it, without its trainings."""
    folder = comparisons_folder(project) / name
    folder.mkdir(parents=True)
    record = {"decision": decision, "fidelity_passed": True, **comparison.to_dict()}
    write_json(folder / FILE, record)
    return folder
