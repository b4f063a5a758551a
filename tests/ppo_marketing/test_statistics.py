"""Statistics of few runs: answers known on paper, limits, and what every such number must keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from ppo_marketing.statistics import (
    at_common_steps,
    interquartile_interval,
    interquartile_mean,
    largest_drop,
    stratified_draws,
)

FINITE = st.floats(-1e6, 1e6)


def test_the_interquartile_mean_of_twelve_and_of_nine_are_those_on_paper() -> None:
    # The two examples that statistics texts give: 12 values, and 9 with quarters that straddle.
    twelve = [5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6]
    assert interquartile_mean(twelve) == pytest.approx(6.5)
    nine = [1, 2, 3, 5, 7, 9, 11, 13, 30]  # (.75 x 3 + 5 + 7 + 9 + .75 x 11) / 4.5
    assert interquartile_mean(nine) == pytest.approx((0.75 * 3 + 5 + 7 + 9 + 0.75 * 11) / 4.5)
    assert interquartile_mean([0.0, 3.0, 9.0]) == pytest.approx((0 + 4 * 3 + 9) / 6)


@given(st.lists(FINITE, min_size=4, max_size=40))
def test_where_four_divides_the_count_it_is_the_trimmed_mean_of_scipy(values: list[float]) -> None:
    whole = values[: len(values) // 4 * 4]
    expected = trim_mean(whole, 0.25)
    assert interquartile_mean(whole) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.lists(FINITE, min_size=1, max_size=30), st.floats(0.1, 10), FINITE)
def test_it_moves_with_scale_and_shift_and_lies_among_the_values(
    values: list[float], scale: float, shift: float
) -> None:
    mean = float(interquartile_mean(values))
    moved = interquartile_mean(scale * np.array(values) + shift)
    assert moved == pytest.approx(scale * mean + shift, rel=1e-6, abs=1e-3)
    assert min(values) - 1e-6 <= mean <= max(values) + 1e-6


def test_one_run_gone_wrong_among_four_does_not_move_it() -> None:
    assert interquartile_mean([1.0, 2.0, 3.0, -1000.0]) == pytest.approx(1.5)
    assert interquartile_mean([1.0, 2.0, 3.0, -1e9]) == pytest.approx(1.5)


def test_the_axis_is_reduced_and_no_other() -> None:
    table = np.arange(24.0).reshape(2, 3, 4)
    for axis in range(3):
        expected = np.apply_along_axis(lambda row: float(interquartile_mean(row)), axis, table)
        np.testing.assert_allclose(interquartile_mean(table, axis=axis), expected)


def test_runs_are_drawn_anew_within_their_own_task_only(rng: np.random.Generator) -> None:
    scores = np.array([[0.0, 10.0, 20.0], [1.0, 11.0, 21.0]])  # [runs, tasks]
    drawn = stratified_draws(scores, 400, rng)
    assert drawn.shape == (400, 2, 3)
    for task in range(3):
        assert set(np.unique(drawn[:, :, task])) == set(scores[:, task])
    # Tasks are resampled apart: one's draws say nothing of another's.
    picked = drawn[:, 0, :] % 10
    assert abs(np.corrcoef(picked[:, 0], picked[:, 1])[0, 1]) < 0.2


def test_the_interval_is_empty_without_spread_and_covers_the_truth_as_often_as_it_says(
    rng: np.random.Generator,
) -> None:
    assert interquartile_interval(np.full((3, 1), 0.7), 200, rng) == pytest.approx((0.7, 0.7, 0.7))
    covered = 0
    for _ in range(200):
        _, low, high = interquartile_interval(rng.normal(5.0, 1.0, (40, 1)), 300, rng)
        covered += low <= 5.0 <= high
    # 95 % nominal; a percentile bootstrap of 40 runs falls a little short of it.
    assert 0.87 <= covered / 200 <= 0.99


def test_curves_meet_at_common_steps_and_end_where_they_end() -> None:
    found: Any = at_common_steps([0, 100, 300], [0.0, 1.0, 0.5], [0, 50, 100, 200, 300, 301])
    np.testing.assert_allclose(found[:5], [0.0, 0.5, 1.0, 0.75, 0.5])
    assert np.isnan(found[5])


def test_what_is_no_number_is_no_drop() -> None:
    assert largest_drop([0.9, np.nan, 0.2, 0.1]) == pytest.approx(0.1)
    assert largest_drop([np.nan, np.nan]) == 0.0


@pytest.mark.parametrize(
    ("scores", "drop"), [([1.0], 0.0), ([1, 2, 3], 0.0), ([3, 1, 2, 0.5], 2.0), ([2, 2], 0.0)]
)
def test_the_largest_drop_is_between_neighbours(scores: list[float], drop: float) -> None:
    assert largest_drop(scores) == drop
    assert not np.signbit(largest_drop(scores))
