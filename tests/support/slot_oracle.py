"""A slot and a day of bidding written as plain loops: the oracle of the compiled step."""

from __future__ import annotations

import math

from envs.bidding.days import Days


def play_slot(
    days: Days, day: int, slot: int, alpha: float, balance: float, cap: float
) -> tuple[int, float, float, int]:
    """Bid signal x alpha in arrival order, second price: wins, spend, value, clicks."""
    wins, spend, value, clicks = 0, 0.0, 0.0, 0
    for row in range(days.offset[day, slot], days.offset[day, slot + 1]):
        bid = min(float(days.signal[row]) * alpha, cap, (balance - spend) / days.weight)
        price = float(days.price[row])
        # Thresholds are kept in single precision: a bid within a rounding error of the price wins.
        if bid >= price * (1 - 1e-6):
            wins += 1
            spend += price * days.weight
            value += float(days.value[row]) * days.weight
            clicks += int(days.click[row])
    return wins, spend, value, clicks


def play_day(
    days: Days, day: int, budget: float, log_lambda: list[float], cap: float
) -> tuple[float, float]:
    """Spend and value of a whole day at the given log lambdas."""
    balance, value = budget, 0.0
    for slot, level in enumerate(log_lambda):
        _, spent, gained, _ = play_slot(days, day, slot, math.exp(-level), balance, cap)
        balance -= spent
        value += gained
    return budget - balance, value
