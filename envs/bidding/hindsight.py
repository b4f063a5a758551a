"""What hindsight could still earn from every moment of a day: the potential that training uses.

For a realised day, V(t, b) = max { sum v_i x_i : sum c_i x_i <= b, slots >= t } is the linear
program over what is left. Adding V(after) - V(before) to the reward turns it into the regret of the
one decision: the luck of the day, which is a hundred times larger than what a good decision gains,
cancels. As a potential it leaves the best policy what it was (Ng, Harada and Russell 1999; for
luck that is known to the critic only, Mao et al. 2019). It is known to training alone: no
observation holds any of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.bidding.days import Days
from envs.bidding.kernel import njit
from envs.bidding.state import BiddingState, Terms

BUDGET_POINTS = 128  # geometric from 1e-4 of the largest budget: 7 % steps, errors below .1 %
SMALLEST_SHARE = 1e-4


class Attainable(NamedTuple):
    """V(t, b) of every day on a geometric grid of budgets (currency)."""

    log_low: float  # log of the first grid budget
    log_step: float
    value: NDArray[np.float32]  # [D, T + 1, BUDGET_POINTS] currency


def attainable(days: Days, largest_budget: float) -> Attainable:
    """Tabulate V(t, b) for all `days` up to `largest_budget` (currency)."""
    log_budget = np.linspace(
        np.log(largest_budget * SMALLEST_SHARE), np.log(largest_budget), BUDGET_POINTS
    )
    value = np.zeros((days.count, days.slots + 1, BUDGET_POINTS), np.float32)
    budget = np.exp(log_budget)
    for day in range(days.count):
        rows = slice(days.offset[day, 0], days.offset[day, -1])
        with np.errstate(divide="ignore", invalid="ignore"):
            dearness = days.price[rows] / days.value[rows]
        slot = np.repeat(np.arange(days.slots), np.diff(days.offset[day]))
        order = np.argsort(dearness, kind="stable")
        order = order[np.isfinite(dearness[order])]
        _fill(
            value[day],
            slot[order],
            days.price[rows][order] * np.float64(days.weight),
            days.value[rows][order] * np.float64(days.weight),
            budget,
        )
    return Attainable(float(log_budget[0]), float(log_budget[1] - log_budget[0]), value)


@njit
def _fill(table: Any, slot: Any, price: Any, value: Any, budget: Any) -> None:
    """Fill `table [T + 1, B]` from rows in order of price / value."""
    for t in range(table.shape[0] - 1):
        spent = 0.0
        earned = 0.0
        point = 0
        for row in range(len(slot)):
            if slot[row] < t:
                continue
            while point < len(budget) and spent + price[row] > budget[point]:
                table[t, point] = earned + value[row] * (budget[point] - spent) / price[row]
                point += 1
            if point == len(budget):
                break
            spent += price[row]
            earned += value[row]
        while point < len(budget):
            table[t, point] = earned
            point += 1


@njit
def potential_all(table: Attainable, terms: Terms, state: BiddingState, potential: Any) -> None:
    """V(t, budget left) of every copy in units of the reward, linear between grid points."""
    points = table.value.shape[2]
    for i in range(len(state.slot)):
        left = state.budget_left[i]
        if state.stopped[i] or left <= 0.0:
            potential[i] = 0.0
            continue
        place = (np.log(left) - table.log_low) / table.log_step
        below = min(points - 2, max(0, int(np.floor(place))))
        low = np.exp(table.log_low + below * table.log_step)
        high = np.exp(table.log_low + (below + 1) * table.log_step)
        share = min(1.0, (left - low) / (high - low)) if place >= 0.0 else 0.0
        row = table.value[state.day[i], state.slot[i]]
        at = row[below] + share * (row[below + 1] - row[below])
        if place < 0.0:
            at = row[0] * left / low
        potential[i] = at / terms.value_ref[state.level[i]]
