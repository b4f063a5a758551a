"""Money is decimal: exact in, whole billable units out, never a micro more than decided."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.export.money import BILLABLE_UNIT, billable, exact, percent, unit_of

AMOUNTS = st.decimals("0", "100000", places=6, allow_nan=False)


def test_a_support_threads_famous_bid_is_what_it_says() -> None:
    assert 33.51 * 1_000_000 != 33_510_000  # what floats made of it
    assert exact(33.51, "bid") * 1_000_000 == 33_510_000


@given(cents=st.integers(0, 10**9))
def test_a_float_that_stands_for_cents_is_those_cents(cents: int) -> None:
    assert exact(cents / 100, "bid") == Decimal(cents) / 100
    assert exact(str(cents / 100), "bid") == Decimal(cents) / 100
    assert billable(exact(cents / 100, "bid"), "EUR") == Decimal(cents) / 100


@given(amount=AMOUNTS, currency=st.sampled_from(sorted(BILLABLE_UNIT)))
def test_a_bid_is_whole_units_at_most_what_was_decided_and_less_than_one_below(
    amount: Decimal, currency: str
) -> None:
    bid, unit = billable(amount, currency), unit_of(currency)
    assert bid % unit == 0
    assert bid <= amount < bid + unit
    assert (bid * 1_000_000) % (10_000 if unit < 1 else 1_000_000) == 0  # in micros
    assert bid.as_tuple().exponent == unit.as_tuple().exponent


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.10", "1.10"), (" 2 ", "2"), (3, "3"), (np.float32(0.5), "0.5"), (Decimal("7.1"), "7.1")],
)
def test_numbers_are_taken_as_they_are_written(value: Any, number: str) -> None:
    assert exact(value, "bid") == Decimal(number)


@pytest.mark.parametrize("value", ["1,000", "1_000", "", "x", None, True, float("nan"), "Infinity"])
def test_what_is_no_plain_number_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="bid is"):
        exact(value, "bid")


def test_an_unknown_currency_has_no_smallest_bid() -> None:
    with pytest.raises(UserError, match="XXX"):
        unit_of("XXX")
    assert billable(Decimal("1999.9"), "JPY") == 1999


@pytest.mark.parametrize(
    ("factor", "change"), [("1", 0), ("1.2", 20), ("0", -100), ("10", 900), ("0.996", 0)]
)
def test_a_factor_is_a_percentage_around_nothing(factor: str, change: int) -> None:
    assert percent(Decimal(factor)) == change
