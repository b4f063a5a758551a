"""The potential of training equals the linear program over what is left of the day."""

from __future__ import annotations

import numpy as np
import pytest

from envs.bidding.days import take_days
from envs.bidding.hindsight import BUDGET_POINTS, SMALLEST_SHARE, attainable
from envs.bidding.oracle import solve, solve_day
from tests.support.bidding import random_days, small_world


def test_table_is_the_linear_program_of_the_slots_that_are_left(
    rng: np.random.Generator,
) -> None:
    days = random_days(rng, days=2, slots=4, per_slot=40, weight=2.0)
    largest = 3.0
    table = attainable(days, largest)
    for day in range(2):
        for slot in range(4):
            left = take_days(days, np.array([day]))
            left = left._replace(offset=left.offset.copy())
            left.offset[0, : slot + 1] = left.offset[0, slot]
            for point in (0, BUDGET_POINTS // 2, BUDGET_POINTS - 1):
                budget = float(np.exp(table.log_low + point * table.log_step))
                expected, _, _ = solve_day(left, 0, budget)
                assert table.value[day, slot, point] == pytest.approx(expected, rel=1e-5)
    assert (table.value[:, 4] == 0).all(), "nothing is left at the end"


@pytest.mark.parametrize("share", [SMALLEST_SHARE / 10, 0.001, 0.03, 0.4, 1.0])
def test_potential_between_grid_points_is_within_a_thousandth(
    rng: np.random.Generator, share: float
) -> None:
    world = small_world(rng).with_hindsight()
    state = world.initial(4, rng)
    state.budget_left[:] = share * world.terms.budget[0]
    expected = solve(world.days, share * world.terms.budget[0]).value[state.day]
    found = world.potential(state) * world.terms.value_ref[0]
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_at_the_start_it_is_the_ceiling_and_after_the_end_nothing(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng).with_hindsight()
    state = world.initial(4, rng)
    ceiling = solve(world.days, float(world.terms.budget[0])).value[state.day]
    np.testing.assert_allclose(
        world.potential(state) * world.terms.value_ref[0], ceiling, rtol=1e-5
    )
    state.stopped[:] = True
    assert (world.potential(state) == 0).all()
