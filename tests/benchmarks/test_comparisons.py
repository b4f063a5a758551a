"""By which command a comparison is made, and what is kept of it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from benchmarks.comparisons import asked, summary_of


def competitor(label: str, share: float | None) -> dict[str, Any]:
    measured = {
        "form": "own", "steps": 10, "share": share and {"value": share}, "shares": [share],
        "largest_drop": 0.0, "largest_kl": None, "mean_kl": None, "clip_fraction": None,
        "entropy": None, "forbidden_share": 0.0, "cpu_seconds": 1.0, "failures": [],
    }  # fmt: skip
    return {"label": label, **measured, "curve": {"steps": [0, 10]}, "settings": {"copies": 4}}


def test_every_algorithm_that_fits_is_asked_for_with_equal_steps() -> None:
    options = Namespace(seeds=3, steps=1_000_000, off_policy_steps=100_000)
    assert " ".join(asked("bidding", options)) == (
        "compare bidding --seeds 3 --steps 1000000 --off-policy-steps 100000"
    )


def test_of_a_comparison_scores_and_costs_are_kept_and_curves_are_not() -> None:
    row = {"name": "ceiling", "share_of_ceiling": {"value": 1.0}, "policy_lift": {"value": -0.1}}
    found = summary_of(
        {
            "competitors": [competitor("ppo", 0.9), competitor("ddpg", None)],
            "evidence": {"rows": [row], "best_rule": "PID", "episodes": 60},
        }
    )
    assert found["algorithms"]["ppo"]["share"] == {"value": 0.9}
    assert found["algorithms"]["ddpg"]["share"] is None
    assert "curve" not in found["algorithms"]["ppo"]
    assert found["rows"] == {
        "ceiling": {"share_of_ceiling": {"value": 1.0}, "lift_of_the_first": {"value": -0.1}}
    }
    assert (found["best_rule"], found["episodes"]) == ("PID", 60)
