"""When decisions fall: by the calendar, and as each world tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from envs.bidding.scenario import BiddingScenario
from envs.core.moments import DatedWorld, moments_of
from tests.support.bidding import small_world
from tests.support.personalization import small_sessions, small_visits
from tests.support.sequencing import random_world


def test_times_are_read_as_a_calendar_reads_them() -> None:
    dates = [
        datetime(2024, 1, 1, 21, 30, tzinfo=UTC),
        datetime(2023, 12, 31, 6, tzinfo=UTC),
        datetime(1969, 12, 31, 12, tzinfo=UTC),
    ]
    found = moments_of(np.array([int(date.timestamp() * 1e6) for date in dates]))
    assert found.weekday is not None
    assert found.week is not None
    assert found.hour is not None
    assert found.weekday.tolist() == [date.weekday() for date in dates] == [0, 6, 2]
    assert found.week.tolist() == [0, 51, 51]
    assert found.hour.tolist() == [21.5, 6.0, 12.0]


def test_a_day_of_bidding_has_a_weekday_and_hours(rng: np.random.Generator) -> None:
    world = small_world(rng)
    assert isinstance(world, DatedWorld)
    state = world.initial(4, rng)
    for _ in range(3):
        state = world.step(state, world.control(state, np.zeros((4, 1))), rng).state
    found = world.under(BiddingScenario(price=1.1)).moments(state)
    np.testing.assert_array_equal(found.weekday, world.days.weekday[state.day])
    assert found.hour is not None
    assert found.hour.tolist() == [1.5] * 4
    assert found.week is None, "simulated days have no date"


def test_a_programme_knows_its_week_alone() -> None:
    world = random_world(0)
    assert isinstance(world, DatedWorld)
    found = world.moments(world.initial(3, np.random.default_rng(0)))
    assert found.week is not None
    assert set(found.week.tolist()) == {world.settings.first_week}
    assert (found.weekday, found.hour) == (None, None)


def test_visitors_come_when_the_log_says_and_again_days_later() -> None:
    monday = int(datetime(2024, 1, 1, 9, tzinfo=UTC).timestamp() * 1e6)
    world = small_sessions()
    assert world.moments(world.initial(2, np.random.default_rng(0))).weekday is None
    time = np.full(world.contexts.size, monday)
    dated = replace(world, contexts=world.contexts._replace(time=time))
    state = dated.initial(2, np.random.default_rng(0))
    later = state._replace(day=np.array([0, 3], np.int32))
    found = dated.moments(later)
    assert found.weekday is not None
    assert found.weekday.tolist() == [0, 3]
    visits = small_visits()
    assert visits.moments(visits.initial(2, np.random.default_rng(0))).hour is None
