"""Trainings summed up: by hand-made records whose answers are known on paper."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs import load_decision
from ppo_marketing import report_comparison
from ppo_marketing.comparison import common_grid, mean_played
from ppo_marketing.constrained import score_beyond
from tests.support.comparisons import CEILING, compared, record, summed


def test_shares_are_of_telling_episodes_and_their_mean_is_interquartile() -> None:
    values = [np.array([5.0, 10.0, 9.0]), np.array([8.0, 16.0, 9.0]), np.array([1.0, 2.0, 9.0])]
    found = summed([record(seed, [0.0, 0.6, 0.3]) for seed in range(3)], values)
    assert found.shares == pytest.approx((0.5, 0.8, 0.1))
    assert found.share.value == pytest.approx((0.1 + 4 * 0.5 + 0.8) / 6)
    assert 0.1 <= found.share.low <= found.share.value <= found.share.high <= 0.8


def test_the_worst_seed_tells_of_stability_and_the_mean_of_cost() -> None:
    records = [record(0, [0.0, 0.6, 0.3]), record(1, [0.0, 0.6, 0.5])]
    found = summed(records, [CEILING, CEILING])
    assert found.largest_drop == pytest.approx(0.3)
    assert found.largest_kl == pytest.approx(0.2)
    assert found.cpu_seconds == pytest.approx(10.5)
    assert found.entropy == pytest.approx(-0.5)
    assert found.clip_fraction is None


def test_curves_are_compared_at_common_steps_with_the_spread_of_seeds() -> None:
    records = [record(0, [0.0, 0.6, 0.3]), record(1, [0.2, 0.2, 0.2])]
    curve = summed(records, [CEILING, CEILING]).curve
    assert curve.steps == (0, 30, 60, 100)
    assert curve.value == pytest.approx((0.1, 0.25, 0.4, 0.3))
    assert curve.low == pytest.approx((0.0, 0.2, 0.2, 0.2))
    assert curve.high == pytest.approx((0.2, 0.3, 0.6, 0.4))


def test_where_a_seed_broke_the_limit_the_curve_has_a_gap_and_nothing_is_made_up() -> None:
    beyond = score_beyond(0.2)
    records = [record(0, [beyond, 0.6, 0.4]), record(1, [0.2, 0.2, 0.2])]
    found = summed(records, [CEILING, CEILING])
    np.testing.assert_allclose(found.curve.value, [np.nan, np.nan, 0.4, 1 / 3])
    np.testing.assert_allclose(found.curve.low, [np.nan, np.nan, 0.2, 0.2])
    comparison = compared(found)
    json.dumps(comparison.to_dict(), allow_nan=False)
    assert comparison.to_dict()["competitors"][0]["curve"]["value"][:2] == [None, None]
    market: Any = SimpleNamespace(fidelity=SimpleNamespace(passed=True))
    page = report_comparison.markdown(load_decision("bidding"), comparison, market)
    assert "| a2c | - | - | 40.00 | 33.33 |" in page
    assert "A dash: a seed broke the limit there" in page
    assert "nan" not in page


def test_a_diverged_seed_is_told_and_the_others_count() -> None:
    gone = {"seed": 1, "failed": "the loss is nan"}
    records = [record(0, [0.0, 0.6, 0.3]), {**record(1, [0.0, 0.0, 0.0]), **gone}]
    found = summed(records, [CEILING])
    assert found.failures == ("the loss is nan",)
    assert found.seeds == (0, 1)
    assert found.share.value == 1.0
    none_left = summed([records[1]], [])
    assert none_left.share is none_left.curve is none_left.cpu_seconds is None


def test_what_one_seed_has_no_number_for_is_not_told_of_the_others() -> None:
    records = [record(0, [0.0, 0.6, 0.3], largest_kl=None), record(1, [0.0, 0.6, 0.3])]
    assert summed(records, [CEILING, CEILING]).largest_kl is None


def test_an_actor_of_several_seeds_earns_their_mean_in_every_episode() -> None:
    kpis = [{"value": np.array([1.0, 2.0])}, {"value": np.array([3.0, 6.0])}]
    first, other = mean_played("a", kpis, first=True), mean_played("b", kpis, first=False)
    np.testing.assert_array_equal(first.kpis["value"], [2.0, 4.0])
    assert (first.kind, other.kind) == ("policy", "rival")


def test_the_grid_holds_the_points_of_all() -> None:
    assert common_grid([{"points": (5, 10)}, {"points": (10, 100)}]) == (0, 5, 10, 100)


def test_where_ppo_diverged_a_lift_is_told_as_that_of_the_first_that_finished() -> None:
    gone = {"label": "ppo", "algorithm": "ppo", "failed": "the loss is nan"}
    best = {"label": "trpo", "algorithm": "trpo"}
    comparison = compared(
        summed([record(0, [0.0, 0.0, 0.0], **gone)], []),
        summed([record(0, [0.1, 0.6, 0.3])], [0.6 * CEILING]),
        summed([record(0, [0.1, 0.6, 0.3], **best)], [0.9 * CEILING]),
    )
    assert comparison.reference.label == "a2c"
    said = report_comparison.conclusion(comparison)
    assert "TRPO (trpo) earns most" in said
    assert "A2C differs from it: -30.00 points" in said
    assert "PPO" not in said.replace("TRPO", "")
    assert said.endswith("Trainings of ppo diverged.")


def panels(*steps: int) -> list[str]:
    """The titles of the curves of competitors who took so many steps."""
    several = [
        summed([record(0, [0.1, 0.6, 0.3], label=f"{place}", steps=taken)], [CEILING])
        for place, taken in enumerate(steps)
    ]
    return [panel.get_title() for panel in report_comparison.figure(compared(*several)).axes]


def test_a_second_panel_is_drawn_only_where_some_took_fewer_steps() -> None:
    assert panels(100, 100) == ["all steps"]
    assert panels(2000, 100) == ["all steps", "first 100 steps"]
