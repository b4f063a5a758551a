"""Exact sums: amounts as whole billionths, so that a million small ones add up to what they are.

Floats would lose a cent beside a large sum, and a budget that forgets cents is no wall.
"""

from __future__ import annotations

import math
import sys
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

BILLION = 10**9


def up(amount: float) -> int:
    """⌈amount · 10⁹⌉ of the decimal that people write for it: 0.1 is a tenth, not a little more."""
    return _whole(amount, ROUND_CEILING)


def down(amount: float) -> int:
    """⌊amount · 10⁹⌋ of the decimal that people write for it."""
    return _whole(amount, ROUND_FLOOR)


def _whole(amount: float, rounding: str) -> int:
    return int(Decimal(repr(float(amount))).scaleb(9).to_integral_value(rounding))


def most(billionths: int) -> float:
    """An amount, the largest up to rounding, with up(amount) <= billionths; 0 where negative."""
    try:
        amount = max(billionths, 0) / BILLION
    except OverflowError:
        return sys.float_info.max
    while amount > 0 and up(amount) > billionths:
        amount = math.nextafter(amount, 0.0)
    return amount


def affordable(left: int, price: float, cap: float) -> float:
    """The largest amount <= `cap`, up to rounding, whose cost price · amount fits into `left`."""
    if math.isfinite(price * cap) and up(price * cap) <= left:
        return cap
    amount = min(cap, most(left) / price)
    while amount > 0 and up(price * amount) > left:
        amount = math.nextafter(amount, 0.0)
    return amount
