"""Amounts: the nearest allowed one is shipped, worked out on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import (
    FRESH,
    AmountLimits,
    Budget,
    Context,
    GuardrailLimits,
    Reason,
    apply,
    money,
    reasons_of,
)


def limits(budget: Budget | None = None, **changes: Any) -> GuardrailLimits:
    held: dict[str, Any] = {"floor": 1.0, "cap": 5.0, "nothing": 0.0, **changes}
    return GuardrailLimits(amounts=AmountLimits(**held), budget=budget)


def shipped(held: GuardrailLimits, proposed: float, champion: float) -> tuple[float, set[Reason]]:
    guarded = apply(held, [proposed], [champion])
    return float(guarded.action[0]), set(reasons_of(int(guarded.reasons[0])))


@pytest.mark.parametrize(
    ("proposed", "champion", "expected", "reasons"),
    [
        (3.0, 2.0, 3.0, set()),
        (9.0, 2.0, 5.0, {Reason.CAP}),
        (0.9, 2.0, 1.0, {Reason.FLOOR}),
        (-7.0, 2.0, 1.0, {Reason.FLOOR}),
        (0.0, 2.0, 0.0, set()),
        (math.nan, 2.0, 2.0, {Reason.NON_FINITE_OUTPUT}),
        (math.inf, 9.0, 5.0, {Reason.NON_FINITE_OUTPUT, Reason.FALLBACK_UNUSABLE}),
        (-math.inf, math.nan, 0.0, {Reason.NON_FINITE_OUTPUT, Reason.FALLBACK_UNUSABLE}),
    ],
)
def test_floor_cap_and_values_that_are_no_numbers(
    proposed: float, champion: float, expected: float, reasons: set[Reason]
) -> None:
    assert shipped(limits(), proposed, champion) == (expected, reasons)


@pytest.mark.parametrize(
    ("changes", "proposed", "champion", "expected"),
    [
        ({"change": 0.5}, 4.0, 2.0, 2.5),
        ({"change": 0.5}, 1.0, 2.0, 1.5),
        ({"relative_change": 0.1}, 4.0, 2.0, 2.2),
        ({"change": 0.5, "relative_change": 0.1}, 4.0, 2.0, 2.2),
        # A champion out of range is brought into it before anything is measured against it.
        ({"change": 0.5}, 1.0, 9.0, 4.5),
        # Not taking part is a change as well, in both directions.
        ({"change": 0.5}, 0.0, 2.0, 1.5),
        ({"change": 0.5}, 3.0, 0.0, 0.0),
        ({"change": 1.0}, 3.0, 0.0, 1.0),
        ({"relative_change": 0.5}, 3.0, 0.0, 0.0),
        ({"change": 0.0}, 3.0, 2.0, 2.0),
    ],
)
def test_changes_against_the_champion(
    changes: dict[str, Any], proposed: float, champion: float, expected: float
) -> None:
    amount, reasons = shipped(limits(**changes), proposed, champion)
    assert amount == pytest.approx(expected, abs=1e-12)
    assert reasons & {Reason.CHANGE}


def test_what_is_within_the_change_is_shipped_as_proposed() -> None:
    assert shipped(limits(change=2.0), 0.0, 2.0) == (0.0, set())
    assert shipped(limits(change=0.5), 9.0, 4.8) == (5.0, {Reason.CAP})


def test_between_nothing_and_the_floor_the_nearer_is_shipped_where_changes_forbid_the_wish() -> (
    None
):
    # The champion bids 1, the floor; half a unit of change reaches neither 0 nor below the floor.
    assert shipped(limits(change=0.5), 0.0, 1.0)[0] == 1.0
    assert shipped(limits(change=1.0), 0.0, 1.0)[0] == 0.0


def test_a_days_changes_are_used_up_and_come_back_tomorrow() -> None:
    held = limits(daily_change=1.0)
    first = apply(held, [2.6, 2.6, 2.6], [2.0, 2.0, 2.0], Context(day=100))
    np.testing.assert_allclose(first.action, [2.6, 2.4, 2.0], atol=1e-9)
    assert first.interventions.of(Reason.DAILY_CHANGE) == 2
    same_day = apply(held, [2.6], [2.0], Context(day=100), first.state)
    assert same_day.action.tolist() == [2.0]
    next_day = apply(held, [2.6], [2.0], Context(day=101), same_day.state)
    assert next_day.action.tolist() == [2.6]


def test_a_days_changes_as_a_share_of_what_the_champion_would_have_done() -> None:
    held = limits(daily_relative_change=0.1)
    day = apply(held, [5.0, 5.0, 2.0, 5.0], [2.0, 2.0, 2.0, 2.0], Context(day=1))
    np.testing.assert_allclose(day.action, [2.2, 2.2, 2.0, 2.4], atol=1e-9)


def test_at_any_time_of_the_day_at_most_the_share_differs() -> None:
    held = GuardrailLimits(amounts=AmountLimits(floor=0.0, cap=1.0), changed_share=0.25)
    day = apply(held, np.full(12, 0.9), np.full(12, 0.5), Context(day=1))
    differs = day.action != day.reference
    assert np.flatnonzero(differs).tolist() == [3, 7, 11]
    assert day.interventions.of(Reason.CHANGED_SHARE) == 9


def test_a_budget_lowers_the_last_bids_and_then_stops_them() -> None:
    held = limits(Budget(day=10.0))
    asked = Context(day=1, cost=np.ones(4))
    day = apply(held, [4.0, 4.0, 4.0, 4.0], [3.0, 3.0, 3.0, 3.0], asked)
    assert day.action.tolist() == [4.0, 4.0, 2.0, 0.0]
    # The champion would have met the same wall.
    assert day.reference.tolist() == [3.0, 3.0, 2.0, 0.0]
    assert day.interventions.counts == {Reason.BUDGET_DAY: 2}


def test_what_is_left_below_the_floor_buys_nothing() -> None:
    held = limits(Budget(total=4.5))
    day = apply(held, [4.0, 4.0], [4.0, 4.0], Context(day=1, cost=np.ones(2)))
    assert day.action.tolist() == [4.0, 0.0]
    assert reasons_of(int(day.reasons[1])) == (Reason.BUDGET_TOTAL,)


@pytest.mark.parametrize("price", [math.nan, math.inf, -1.0])
def test_a_price_that_cannot_be_read_stops_the_bid(price: float) -> None:
    day = apply(limits(Budget(day=1e308)), [4.0], [4.0], Context(day=1, cost=[price]))
    assert day.action.tolist() == [0.0]
    assert reasons_of(int(day.reasons[0])) == (Reason.UNKNOWN_COST,)


def test_a_tenth_is_a_tenth_ten_of_them_are_one_and_a_million_cents_are_ten_thousand() -> None:
    held = GuardrailLimits(
        amounts=AmountLimits(floor=0.1, cap=0.1, nothing=0.0), budget=Budget(day=1.0)
    )
    day = apply(held, np.full(11, 0.1), np.full(11, 0.1), Context(day=1, cost=np.ones(11)))
    assert day.action.tolist() == [0.1] * 10 + [0.0]
    assert 1_000_000 * money.up(0.01) == money.down(10_000.0)


@given(st.integers(0, 10**40), st.floats(0, 1e308), st.floats(0, 1e308))
@settings(max_examples=500, deadline=None)
def test_what_is_affordable_is_affordable(left: int, price: float, cap: float) -> None:
    amount = money.affordable(left, price, cap)
    assert 0 <= amount <= cap
    if amount > 0:
        assert money.up(price * amount) <= left
    assert money.up(money.most(left)) <= left


def test_several_amounts_of_one_decision_are_each_held() -> None:
    held = GuardrailLimits(amounts=AmountLimits(floor=-1.0, cap=1.0, change=0.5))
    guarded = apply(held, [[3.0, -3.0], [0.2, np.nan]], [[0.0, 0.0], [0.1, 0.3]])
    np.testing.assert_allclose(guarded.action, [[0.5, -0.5], [0.2, 0.3]])
    assert guarded.interventions.changed == 2


def test_single_precision_does_not_leave_the_range_by_rounding() -> None:
    held = GuardrailLimits(amounts=AmountLimits(floor=0.0, cap=0.3))
    action = apply(held, np.array([0.9], np.float32), np.array([0.1], np.float32)).action
    assert action.dtype == np.float64
    assert action[0] <= 0.3 < float(np.float32(0.3))


@pytest.mark.parametrize(
    ("proposed", "champion", "context", "message"),
    [
        ([1.0, 2.0], [1.0], Context(day=1, cost=[1, 1]), r"champion's proposal is \(1,\)"),
        ([[1.0, 2.0]], [[1.0, 2.0]], Context(day=1, cost=[1]), "hold one amount a decision"),
        (1.0, 1.0, Context(day=1, cost=[1]), "must be real numbers"),
        (["a"], ["b"], Context(day=1, cost=[1]), "must be real numbers"),
        ([1.0], [1j], Context(day=1, cost=[1]), "must be real numbers"),
        ([[1.0], [1.0, 2.0]], [1.0], Context(day=1, cost=[1]), "ragged"),
        ([1.0], [1.0], Context(), "day is missing.*cost is missing"),
        ([1.0], [1.0], Context(day=1, cost=[1, 2]), r"cost is \(2,\): it must be \(1,\)"),
        ([1.0], [1.0], Context(day="x", cost=[1]), "day is 'x'"),  # type: ignore[arg-type]
        ([1.0], [1.0], Context(day=1, cost=[1], unit="ab"), "a list of 1 ids"),
        ([1.0], [1.0], Context(day=1, cost=[1], observation=[1.0]), r"observation is \(1,\)"),
    ],
)
def test_wrong_shapes_are_refused_before_anything_is_booked(
    proposed: Any, champion: Any, context: Context, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        apply(limits(Budget(day=1.0)), proposed, champion, context, FRESH)


def test_no_decisions_are_no_decisions() -> None:
    guarded = apply(limits(), np.empty(0), np.empty(0))
    assert guarded.action.shape == (0,)
    assert guarded.interventions.decisions == 0
