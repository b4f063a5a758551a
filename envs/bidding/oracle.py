"""The ceiling: the best that hindsight could buy with a day's budget, by linear programming.

    max sum_i v_i x_i   s.t.  sum_i c_i x_i <= B,  sum_i c_i x_i <= C sum_i v_i x_i,  0 <= x_i <= 1

Both constraints keep the order of c_i / v_i, so the optimum is a prefix in that order with one
fractional item (Dantzig 1957). With the soft penalty of the environment the best prefix by
S = R min(1, (C / CPA)^2) is taken. Values are expectations: a bound on realised clicks would only
say which clicks happened (MODELLING 2.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.bidding.days import Days


class Ceiling(NamedTuple):
    """The linear program's answer, one entry a day."""

    value: NDArray[np.float64]  # S at the optimum, currency
    spend: NDArray[np.float64]  # currency
    lambda_star: NDArray[np.float64]  # the dual: bid = signal / lambda attains the optimum


def solve_day(
    days: Days, day: int, budget: float, cost_per_value_limit: float = np.inf
) -> tuple[float, float, float]:
    """Value, spend and dual of one day at `budget` (currency); see the head of this file."""
    rows = slice(days.offset[day, 0], days.offset[day, -1])
    price = days.price[rows].astype(np.float64)
    value = days.value[rows].astype(np.float64)
    buyable = np.isfinite(price) & (value > 0)
    price, value = price[buyable], value[buyable]
    order = np.argsort(price / value, kind="stable")
    price, value = price[order] * days.weight, value[order] * days.weight
    spend = np.concatenate([[0.0], np.cumsum(price)])
    gain = np.concatenate([[0.0], np.cumsum(value)])

    whole = int(np.searchsorted(spend, budget, side="right")) - 1
    bought_value, bought_spend = gain[: whole + 1], spend[: whole + 1]
    if whole < len(price):
        part = (budget - spend[whole]) / price[whole]
        bought_value = np.append(bought_value, gain[whole] + part * value[whole])
        bought_spend = np.append(bought_spend, budget)
    # Spend - C value crosses zero once, since items get dearer: the end of the hard program.
    corner = -1
    if len(bought_spend) > 1 and not np.isinf(cost_per_value_limit):
        slack = cost_per_value_limit * bought_value - bought_spend
        last = int(np.flatnonzero(slack >= 0)[-1])
        if last + 1 < len(slack):
            part = slack[last] / (slack[last] - slack[last + 1])
            for bought in (bought_value, bought_spend):
                bought[last] += part * (bought[last + 1] - bought[last])
            corner = last if part > 0 else -1
    score = penalised(bought_value, bought_spend, cost_per_value_limit)
    best = int(np.argmax(score))
    if len(price) == 0 or score[best] <= 0:
        return 0.0, 0.0, np.inf
    marginal = best if best == corner else min(best, len(price)) - 1
    return float(score[best]), float(bought_spend[best]), float(value[marginal] / price[marginal])


def penalised(
    value: NDArray[np.float64], spend: NDArray[np.float64], cost_per_value_limit: float
) -> NDArray[np.float64]:
    """S = R min(1, (limit R / spend)^2): AuctionNet's penalty with exponent 2."""
    if np.isinf(cost_per_value_limit):
        return value
    allowed = cost_per_value_limit * np.maximum(value, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spend > allowed, allowed / spend, 1.0)
    return np.asarray(value * ratio**2)


def solve(
    days: Days, budget: NDArray[np.float64] | float, cost_per_value_limit: float = np.inf
) -> Ceiling:
    """The ceiling of every day; `budget` is one number or one a day `[D]`."""
    budgets = np.broadcast_to(np.asarray(budget, dtype=np.float64), (days.count,))
    answers = np.array(
        [
            solve_day(days, day, float(budgets[day]), cost_per_value_limit)
            for day in range(days.count)
        ]
    ).reshape(days.count, 3)
    return Ceiling(*answers.T)
