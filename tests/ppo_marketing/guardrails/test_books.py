"""The books: pure, exact, never turned back, and the same after JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import (
    FRESH,
    LARGEST_JUMP_DAYS,
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Context,
    GuardrailLimits,
    GuardState,
    Reason,
    apply,
    resumed,
    settled,
)

CONTACTS = GuardrailLimits(
    choices=ChoiceLimits(choices=3, nothing=0),
    contact_caps=(ContactCap(contacts=2, days=7),),
)
BIDS = GuardrailLimits(
    amounts=AmountLimits(floor=1.0, cap=5.0, nothing=0.0), budget=Budget(day=10.0, total=25.0)
)


def contact(state: GuardState, day: float, unit: str = "a") -> tuple[bool, GuardState]:
    """Whether the unit was contacted."""
    guarded = apply(CONTACTS, [1], [1], Context(day=day, unit=[unit]), state)
    return bool(guarded.action[0] == 1), guarded.state


def bid(state: GuardState, day: float, amount: float = 5.0) -> tuple[float, int, GuardState]:
    """What was bid, and its receipt."""
    guarded = apply(BIDS, [amount], [amount], Context(day=day, cost=[1.0]), state)
    return float(guarded.action[0]), int(guarded.receipt[0]), guarded.state


def spent(state: GuardState) -> tuple[float, float]:
    return state.spent_day / 10**9, state.spent_total / 10**9


def test_a_cap_holds_in_every_window_of_its_days() -> None:
    state, contacted = FRESH, []
    for day in range(100, 120):
        got, state = contact(state, day)
        contacted += [day] * got
    assert contacted == [100, 101, 107, 108, 114, 115]


def test_a_day_that_runs_backwards_is_left_alone_and_changes_nothing() -> None:
    _, state = contact(FRESH, 100)
    _, state = contact(state, 110)
    guarded = apply(CONTACTS, [1], [1], Context(day=109, unit=["a"]), state)
    assert guarded.action.tolist() == [0]
    assert guarded.interventions.counts == {Reason.CLOCK: 1}
    assert guarded.state is state


@pytest.mark.parametrize("day", [math.nan, math.inf, -1, 100.5, 1e300, 100 + LARGEST_JUMP_DAYS + 1])
def test_a_broken_clock_is_not_believed_so_that_it_shuts_out_no_day(day: float) -> None:
    _, state = contact(FRESH, 100)
    got, after = contact(state, day)
    assert not got
    assert after is state
    assert contact(after, 101)[0]


def test_after_a_long_pause_a_person_says_so() -> None:
    _, _, state = bid(FRESH, 100)
    later = 100 + LARGEST_JUMP_DAYS + 5
    assert bid(state, later)[0] == 0.0
    assert bid(resumed(state, later), later)[0] == 5.0
    assert resumed(state, 99) is state


def test_a_repeated_request_is_another_decision() -> None:
    twice = Context(day=1, unit=["a", "a", "a"])
    assert apply(CONTACTS, [1, 1, 1], [1, 1, 1], twice).action.tolist() == [1, 1, 0]


def test_what_goes_in_is_not_changed() -> None:
    _, before = contact(FRESH, 100)
    kept = json.dumps(before.as_dict())
    contact(before, 100)
    contact(before, 105, "b")
    assert json.dumps(before.as_dict()) == kept
    assert GuardState() == FRESH


def test_units_are_kept_apart_and_forgotten_when_no_cap_can_ask_for_them() -> None:
    state = FRESH
    for unit in range(1000):
        got, state = contact(state, 100, f"unit {unit}")
        assert got
    assert len(state.units) == 1000
    _, state = contact(state, 107, "another")
    assert len(state.units) == 1


def test_a_days_budget_comes_back_and_the_whole_one_does_not() -> None:
    bids, state = [], FRESH
    for day in (1, 1, 1, 2, 2, 3, 3):
        amount, _, state = bid(state, day)
        bids.append(amount)
    assert bids == [5.0, 5.0, 0.0, 5.0, 5.0, 5.0, 0.0]
    assert spent(state) == (5.0, 25.0)


def test_settling_frees_what_was_not_spent_once() -> None:
    _, one, state = bid(FRESH, 1)
    _, two, state = bid(state, 1)
    assert spent(state) == (10.0, 10.0)
    found = settled(state, [one, one, 99, -1], [2.0, 0.0, 0.0, 0.0])
    assert spent(found.state) == (7.0, 7.0)
    assert (found.ignored, found.unreadable, found.overspent) == (3, 0, 0)
    assert bid(found.state, 1)[0] == 3.0
    assert settled(found.state, [two], [5.0]).state.open.get(two) is None


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf, -3.0])
def test_a_spend_that_cannot_be_read_counts_as_all_that_was_reserved(amount: float) -> None:
    _, receipt, state = bid(FRESH, 1)
    found = settled(state, [receipt], [amount])
    assert spent(found.state) == (5.0, 5.0)
    assert (found.ignored, found.unreadable, found.overspent) == (0, 1, 0)


def test_a_spend_beyond_what_was_reserved_is_booked_in_full_and_stops_the_rest() -> None:
    _, receipt, state = bid(FRESH, 1)
    found = settled(state, [receipt], [1e308])
    assert found.overspent == 1
    assert bid(found.state, 1)[0] == 0.0
    assert bid(found.state, 2)[0] == 0.0


def test_yesterdays_bids_are_settled_against_the_whole_budget_and_older_ones_stay_spent() -> None:
    _, first, state = bid(FRESH, 1)
    _, second, state = bid(state, 2)
    _, _, state = bid(state, 3)
    assert spent(state) == (5.0, 15.0)
    found = settled(state, [first, second], [0.0, 0.0])
    assert found.ignored == 1
    assert spent(found.state) == (5.0, 10.0)


def test_a_settlement_needs_a_spend_for_every_receipt() -> None:
    with pytest.raises(UserError, match="2 receipts with 1 spends"):
        settled(FRESH, [0, 1], [1.0])


def test_many_small_costs_beside_a_large_sum_are_not_lost() -> None:
    huge = GuardrailLimits(
        amounts=AmountLimits(floor=0.0, cap=4e15, nothing=0.0), budget=Budget(total=4e15 + 64)
    )
    n = 1000
    first = apply(huge, [4e15], [4e15], Context(day=1, cost=[1.0]))
    cents = apply(
        huge, np.full(n, 0.1), np.full(n, 0.1), Context(day=1, cost=np.ones(n)), first.state
    )
    # Added as floats the sum would never move from 4e15, and all of them would be paid.
    assert (cents.action == 0.1).sum() == 640


def test_the_books_are_the_same_after_json() -> None:
    _, state = contact(FRESH, 100, "é\u0000")
    _, receipt, other = bid(FRESH, 100)
    for books in (FRESH, state, other):
        again = GuardState.from_dict(json.loads(json.dumps(books.as_dict())))
        assert again == books
    assert settled(again, [receipt], [1.0]).ignored == 0


def test_books_that_were_not_written_by_us_are_refused_with_everything_that_is_wrong() -> None:
    good: dict[str, Any] = FRESH.as_dict()
    bad = {
        **good, "day": "today", "spent_day": -1, "units": {"a": [[1, 2]]}, "open": {"x": [1, 2]},
        "extra": 1,
    }  # fmt: skip
    del bad["everyone"]
    with pytest.raises(UserError) as refused:
        GuardState.from_dict(bad)
    for part in ("day is 'today'", "spent_day is -1", "units.a", "open.x", "extra", "everyone"):
        assert part in str(refused.value)
