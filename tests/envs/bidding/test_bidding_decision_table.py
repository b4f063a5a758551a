"""The table of bid multipliers says what the policy would bid in a campaign that goes as usual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.bidding.decision_table import BUDGET_LEFT, decision_table
from tests.support.bidding import random_days, small_world


def test_action_zero_is_the_pacing_rule_itself(rng: np.random.Generator) -> None:
    world = small_world(rng, gain=1.0, reach=0.7)
    grid = decision_table(world)
    idle = np.zeros((len(grid.observation), 1), np.float32)
    multiplier = np.asarray(grid.decided(idle)["bid_multiplier"], float)
    late = np.array([time >= "18:00" for time in grid.columns["time_of_day_utc"].tolist()])
    left = np.asarray(grid.columns["budget_left_of_plan"], float)
    # Late in the day nothing is cut at the whole budget: bid in proportion to what is left.
    np.testing.assert_allclose(multiplier[late], left[late], rtol=1e-9)


def test_the_largest_action_multiplies_by_what_its_reach_says(rng: np.random.Generator) -> None:
    world = small_world(rng, gain=1.0, reach=0.7)
    grid = decision_table(world)
    ones = np.ones((len(grid.observation), 1), np.float32)
    ratio = np.asarray(grid.decided(ones)["bid_multiplier"], float) / np.asarray(
        grid.decided(0 * ones)["bid_multiplier"], float
    )
    np.testing.assert_allclose(ratio, np.exp(0.7), rtol=1e-9)


def test_a_situation_on_plan_looks_like_one(rng: np.random.Generator) -> None:
    world = small_world(rng, tightness=(0.1, 0.2))
    grid = decision_table(world)
    on_plan = np.asarray(grid.columns["budget_left_of_plan"], float) == 1.0
    assert np.abs(grid.observation[on_plan, 2]).max() < 1e-6  # log pace
    assert np.abs(grid.observation[:, 4]).max() < 1e-6  # traffic as expected
    assert len(grid.observation) == world.horizon * len(BUDGET_LEFT) * 2  # all four are weekdays


def test_weekends_have_rows_of_their_own_where_there_are_any(rng: np.random.Generator) -> None:
    world = small_world(rng)
    week = random_days(rng)._replace(weekday=np.array([4, 5, 6, 0], np.int8))
    only_weekdays = decision_table(world)
    grid = decision_table(replace(world, days=week))
    assert not np.asarray(only_weekdays.columns["weekend"]).any()
    assert len(grid.observation) == 2 * len(only_weekdays.observation)
    np.testing.assert_array_equal(grid.observation[:, 12], grid.columns["weekend"])
