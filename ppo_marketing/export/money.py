"""Amounts as decimals: what people wrote, never what a float made of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

import numpy as np

from ppo_marketing.errors import UserError

BILLABLE_UNIT: Mapping[str, Decimal] = {
    **dict.fromkeys(
        ("AED", "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS",
         "INR", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RON", "SAR", "SEK", "SGD", "THB", "TRY",
         "TWD", "USD", "ZAR"),
        Decimal("0.01"),
    ),
    **dict.fromkeys(("CLP", "IDR", "JPY", "KRW", "VND"), Decimal(1)),
}  # fmt: skip
"""The smallest step of a bid by currency: 10,000 micros of a currency with cents, 1,000,000 of one
without. A currency that is not here is refused, since a wrong step is a wrong bid."""


def exact(value: Any, what: str) -> Decimal:
    """The decimal that people write for a value: 33.51 is 33.51, also as a float.

    Raises:
        UserError: it is no finite number, or is written with thousands separators.
    """
    if isinstance(value, np.generic):
        value = value.item()
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise InvalidOperation
        written = repr(value) if isinstance(value, float) else str(value).strip()
        if "_" in written:
            raise InvalidOperation
        number = Decimal(written)
    except InvalidOperation as error:
        raise UserError(f"{what} is {value!r}: write a number as 1234.56") from error
    if not number.is_finite():
        raise UserError(f"{what} is {value!r}: it must be finite")
    return number


def unit_of(currency: str) -> Decimal:
    """The smallest step of a bid in a currency.

    Raises:
        UserError: the currency is not known.
    """
    if currency not in BILLABLE_UNIT:
        raise UserError(
            f"the currency {currency!r} has no known smallest bid: use one of "
            f"{', '.join(sorted(BILLABLE_UNIT))}"
        )
    return BILLABLE_UNIT[currency]


def require_currency(currency: str | None) -> None:
    """Raise UserError where bids have no currency, or one whose smallest step is not known."""
    if currency is None:
        raise UserError("keyword bids are money: give `currency`, the account's own")
    unit_of(currency)


def billable(amount: Decimal, currency: str) -> Decimal:
    """The largest multiple of the currency's smallest step that is not above the amount.

    Rounded down, so that no rounding spends more than was decided.
    """
    unit = unit_of(currency)
    return ((amount / unit).to_integral_value(ROUND_DOWN) * unit).quantize(unit)


def percent(factor: Decimal, step: Decimal = Decimal(1)) -> Decimal:
    """100 (factor - 1) in whole steps, to the nearest: 1.2 is 20."""
    change = (factor - 1) * 100
    return ((change / step).to_integral_value(ROUND_HALF_EVEN) * step).quantize(step)
