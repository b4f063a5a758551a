"""Realised days: the layout keeps every impression and every order it promises."""

from __future__ import annotations

import numpy as np
import pytest

from envs.bidding.days import Days, _order, build_days, join_days, rebuilt, take_days
from tests.support.bidding import random_days


def test_hand_made_slot_is_sorted_by_threshold_with_running_sums() -> None:
    days = build_days(
        day=np.array([0, 0, 0]),
        slot=np.array([0, 0, 0]),
        signal=np.array([1.0, 2.0, 4.0]),
        value=np.array([1.0, 2.0, 4.0]),
        price=np.array([3.0, 2.0, 8.0]),
        click=np.array([1, 0, 1]),
        bid_cap=10.0,
        weekday=np.array([2]),
        slots=2,
    )
    assert days.threshold.tolist() == [1.0, 2.0, 3.0]
    assert days.cumulative[:, :3].tolist() == [[2, 2, 0], [10, 6, 1], [13, 7, 2]]
    assert days.cumulative[:, 3].tolist() == [2, 6, 7]
    assert days.price.tolist() == [3.0, 2.0, 8.0], "arrival order is kept beside"
    assert days.offset.tolist() == [[0, 3, 3]]


def test_price_above_the_cap_can_never_be_won() -> None:
    days = build_days(
        day=np.zeros(2, int),
        slot=np.zeros(2, int),
        signal=np.ones(2),
        value=np.ones(2),
        price=np.array([0.5, 1.5]),
        click=np.zeros(2, int),
        bid_cap=1.0,
        weekday=np.array([0]),
        slots=1,
    )
    assert days.threshold.tolist() == [0.5, np.inf]


def test_impressions_without_signal_are_never_bid_for() -> None:
    days = build_days(
        day=np.zeros(1, int),
        slot=np.zeros(1, int),
        signal=np.zeros(1),
        value=np.ones(1),
        price=np.zeros(1),
        click=np.zeros(1, int),
        bid_cap=1.0,
        weekday=np.array([0]),
        slots=1,
    )
    assert days.threshold.tolist() == [np.inf]


def test_running_sums_restart_in_every_slot(rng: np.random.Generator) -> None:
    days = random_days(rng, days=3, slots=5, per_slot=7)
    for d in range(days.count):
        for t in range(days.slots):
            rows = slice(days.offset[d, t], days.offset[d, t + 1])
            if rows.start == rows.stop:
                continue
            order = np.argsort(days.arrival_threshold[rows], kind="stable")
            np.testing.assert_array_equal(days.threshold[rows], days.arrival_threshold[rows][order])
            expected = np.cumsum(days.value[rows][order].astype(float))
            np.testing.assert_allclose(days.cumulative[rows, 1], expected, rtol=1e-5)
            assert days.cumulative[rows, 2][-1] == days.click[rows].sum()


def test_taking_and_joining_days_gives_back_the_same_days(rng: np.random.Generator) -> None:
    days = random_days(rng, days=4, slots=6, per_slot=5)
    parts = [take_days(days, np.array([d])) for d in range(4)]
    _assert_equal(join_days(parts), days)
    twice = take_days(days, np.array([2, 2, 0]))
    assert twice.count == 3
    _assert_equal(take_days(twice, np.array([1])), take_days(days, np.array([2])))


def test_rebuilding_with_nothing_changed_changes_nothing(rng: np.random.Generator) -> None:
    days = random_days(rng, days=2, slots=6, per_slot=5, weight=3.0)
    _assert_equal(rebuilt(days, bid_cap=0.3), days)


def test_joining_days_of_different_campaigns_is_our_mistake(rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError, match="different campaigns"):
        join_days([random_days(rng, weight=1.0), random_days(rng, weight=2.0)])


def _assert_equal(one: Days, other: Days) -> None:
    for name in Days._fields:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_one_sort_of_whole_numbers_is_that_by_cell_then_threshold_then_place(
    rng: np.random.Generator,
) -> None:
    cell = np.sort(rng.integers(0, 5, 2000)).astype(np.int32)
    threshold = rng.choice([0.0, 1e-30, 0.5, 0.5, 2.0, np.inf], 2000).astype(np.float32)
    np.testing.assert_array_equal(_order(cell, threshold), np.lexsort((threshold, cell)))
