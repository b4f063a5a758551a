"""The compiled slot step: clearing, state update, reward, observation and restart in one pass.

Nothing here allocates or draws; every random choice (the next day of a copy that ends) is handed
in. The functions are compiled on first call, never on import.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from envs.bidding.days import Days
from envs.bidding.state import BiddingState, Terms
from envs.core.prefetch import prefetch_around

OBSERVATIONS = 16
KPI_NAMES = ("impressions", "wins", "spend", "value", "clicks", "objective", "budget")
EMA_WEIGHT = 0.4  # of the newest slot, in the pace and win-rate averages
CLICK_PRIOR = 10.0  # clicks: realised / expected is noise of a third below that many
OBSERVATION_BOUND = 3.0
LARGEST_LOG_BID = 60.0  # of the bid multiplier: beyond it single precision would end in infinity
# Days are far larger than the caches, and waiting for them was a third of a step of 1,024 copies.
AHEAD = 16  # copies stepped between asking for a slot's memory and reading it
THRESHOLD_LINES, SUM_LINES = 3, 2  # cache lines asked for on either side: measured

# Nothing here allocates, so numba's reference counts are switched off: counting every array taken
# out of a tuple, atomically, was two thirds of a step (930 ns against 360 ns a copy).
njit = numba.njit(cache=True, error_model="numpy", _nrt=False)


@njit
def restart(state: BiddingState, i: int, day: int, level: int, terms: Terms) -> None:
    """Put copy `i` at the start of `day` with the budget of `level`."""
    state.day[i] = day
    state.level[i] = level
    state.slot[i] = 0
    state.stopped[i] = False
    state.budget_left[i] = terms.budget[level]
    state.spend[i] = 0.0
    state.value[i] = 0.0
    state.promised[i] = 0.0
    state.clicks[i] = 0.0
    state.score[i] = 0.0
    state.log_lambda[i] = terms.log_lambda_0[level]
    state.slot_spend[i] = 0.0
    state.pace_average[i] = 0.0
    state.seen[i] = 0.0
    state.win_rate[i] = 0.0
    state.win_average[i] = 0.0
    state.price_ratio[i] = 1.0
    state.signal_ratio[i] = 1.0


@njit
def log_pace(state: BiddingState, i: int, terms: Terms) -> float:
    """log(budget left / (B plan_left)): above 0 when money is ahead of plan; 0 at the end."""
    plan = terms.budget[state.level[i]] * terms.plan_left[state.slot[i]]
    left = state.budget_left[i]
    if plan <= 0.0 or left <= 0.0:
        return 0.0
    return math.log(left / plan)


@njit
def log_lambda_of(state: BiddingState, i: int, action: float, terms: Terms) -> float:
    """log lambda_t = log lambda_0 - g log_pace - kappa a."""
    a = min(1.0, max(-1.0, action))
    base = float(terms.log_lambda_0[state.level[i]])
    return float(base - terms.gain * log_pace(state, i, terms) - terms.reach * a)


@njit
def _rows_within(
    threshold: NDArray[np.float32], start: int, stop: int, alpha: float, guess: int
) -> int:
    """The number of rows in `start:stop` whose threshold is at most alpha.

    The search gallops outwards from `guess` rows before it halves: the share won in the last slot
    is mostly near, and probes near each other share cache lines, which is where the time goes.
    """
    low, high = start, stop
    stride = 8
    if low < high:
        probe = min(stop - 1, start + guess)
        if threshold[probe] <= alpha:
            low = probe + 1
            while low + stride < stop and threshold[low + stride] <= alpha:
                low += stride + 1
                stride *= 2
            high = min(stop, low + stride)
        else:
            high = probe
            while high - stride >= start and threshold[high - stride] > alpha:
                high -= stride
                stride *= 2
            low = max(start, high - stride)
    while low < high:
        middle = (low + high) // 2
        if threshold[middle] <= alpha:
            low = middle + 1
        else:
            high = middle
    return low - start


@njit
def _shaded(worth: float, terms: Terms) -> float:
    """First price: the bid argmax_b (worth - b) F(b), from the grid point at or below `worth`."""
    if worth <= 0.0:
        return 0.0
    point = int((math.log(worth) - terms.worth_low) / terms.worth_step)
    if point < 0:
        return 0.0
    return min(worth, float(terms.shading[min(point, len(terms.shading) - 1)]))


@njit
def _walk(
    days: Days, start: int, stop: int, alpha: float, balance: float, terms: Terms
) -> tuple[float, float, float, float, float]:
    """Bid row by row in arrival order, never above the cap nor the balance.

    Second price pays the price, first price the bid. Returns wins, spend, value, clicks, signal (of
    simulated rows, each standing for `weight` impressions).
    """
    wins = 0.0
    spend = 0.0
    value = 0.0
    clicks = 0.0
    signal = 0.0
    for row in range(start, stop):
        left = (balance - spend) / days.weight
        price = float(days.price[row])
        if terms.first_price:
            bid = min(_shaded(alpha * days.signal[row], terms), terms.bid_cap)
            won = bid >= price and bid <= left
            paid = bid
        else:
            won = days.arrival_threshold[row] <= alpha and price <= left
            paid = price
        if won:
            wins += 1.0
            spend += paid * days.weight
            value += days.value[row]
            clicks += days.click[row]
            signal += days.signal[row]
    return wins, spend, value, clicks, signal


@njit
def _clear(
    days: Days, start: int, stop: int, alpha: float, balance: float, guess: int, terms: Terms
) -> tuple[float, float, float, float, float]:
    """What a slot yields at multiplier alpha: a look-up unless the budget could run out in it."""
    if alpha <= 0.0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    if not terms.first_price:
        won = _rows_within(days.threshold, start, stop, alpha, guess)
        if won == 0:
            return 0.0, 0.0, 0.0, 0.0, 0.0
        last = start + won - 1
        spend = float(days.cumulative[last, 0]) * days.weight
        if spend + terms.bid_cap * days.weight <= balance:
            return (
                float(won),
                spend,
                float(days.cumulative[last, 1]),
                float(days.cumulative[last, 2]),
                float(days.cumulative[last, 3]),
            )
    walked: tuple[float, float, float, float, float] = _walk(
        days, start, stop, alpha, balance, terms
    )
    return walked


@njit
def _score(value: float, spend: float, limit: float) -> float:
    """S = R min(1, (limit / (spend / R))^2): value, penalised beyond the cost-per-value limit."""
    if spend <= limit * value or value <= 0.0:
        return value
    ratio = limit * value / spend
    return value * ratio * ratio


@njit
def advance(
    days: Days, terms: Terms, state: BiddingState, i: int, log_lambda: float, kpi: Any
) -> float:
    """Run one slot of copy `i` at `log_lambda`, in place; fill `kpi [n, 7]`; return the reward."""
    for column in range(kpi.shape[1]):
        kpi[i, column] = 0.0
    slot = state.slot[i]
    slots = days.offset.shape[1] - 1
    if slot >= slots or state.stopped[i]:
        return 0.0
    day = state.day[i]
    level = state.level[i]
    start = days.offset[day, slot]
    stop = days.offset[day, slot + 1]
    rows = stop - start
    balance = state.budget_left[i]
    alpha = math.exp(min(LARGEST_LOG_BID, -log_lambda))
    guess = int(state.win_rate[i] * rows)
    wins, spend, value, clicks, signal = _clear(days, start, stop, alpha, balance, guess, terms)
    value *= days.weight
    clicks *= days.weight
    signal *= days.weight

    state.budget_left[i] = max(0.0, balance - spend)
    state.spend[i] += spend
    state.value[i] += value
    state.promised[i] += signal
    state.clicks[i] += clicks
    score = _score(state.value[i], state.spend[i], terms.cost_per_value_limit)
    gained = score - state.score[i]
    state.score[i] = score

    state.log_lambda[i] = log_lambda
    state.slot_spend[i] = spend
    planned = terms.budget[level] * (terms.plan_left[slot] - terms.plan_left[slot + 1])
    # A thousandth of the plan keeps the logarithm finite in a slot without spend.
    pace = math.log((spend + 1e-3 * planned + 1e-12) / (1.001 * planned + 1e-12))
    state.pace_average[i] += EMA_WEIGHT * (pace - state.pace_average[i])
    state.seen[i] += rows * days.weight
    if rows > 0:
        state.win_rate[i] = wins / rows
        state.win_average[i] += EMA_WEIGHT * (state.win_rate[i] - state.win_average[i])
        if wins > 0:
            state.price_ratio[i] = spend / (wins * days.weight) / terms.price_ref
            state.signal_ratio[i] = signal / (wins * days.weight) / terms.signal_ref
    state.slot[i] = slot + 1
    state.stopped[i] = state.budget_left[i] < terms.least_balance

    kpi[i, 0] = rows * days.weight
    kpi[i, 1] = wins * days.weight
    kpi[i, 2] = spend
    kpi[i, 3] = value
    kpi[i, 4] = clicks
    kpi[i, 5] = gained
    kpi[i, 6] = terms.budget[level] if slot == 0 else 0.0
    return float(gained / terms.value_ref[level])


@njit
def _bounded(x: float) -> float:
    return min(OBSERVATION_BOUND, max(-OBSERVATION_BOUND, x))


@njit
def look(days: Days, terms: Terms, state: BiddingState, i: int, observation: Any) -> None:
    """Write row `i` of `observation [n, 16]` (MODELLING 2.3); nothing of the coming slot enters."""
    slots = days.offset.shape[1] - 1
    slot = state.slot[i]
    level = state.level[i]
    expected = terms.expected_before[slot]
    limit = terms.cost_per_value_limit
    spend_to_limit = 0.0
    if limit < np.inf and state.promised[i] > 0.0:
        spend_to_limit = state.spend[i] / (state.promised[i] * limit)
    expected_clicks = state.promised[i] / terms.click_value
    observation[i, 0] = 1.0 - slot / slots
    observation[i, 1] = _bounded(state.budget_left[i] / terms.budget[level])
    observation[i, 2] = _bounded(log_pace(state, i, terms))
    observation[i, 3] = _bounded(state.pace_average[i])
    observation[i, 4] = _bounded(math.log((state.seen[i] + 1.0) / (expected + 1.0)))
    observation[i, 5] = state.win_rate[i]
    observation[i, 6] = state.win_average[i]
    observation[i, 7] = _bounded(state.price_ratio[i])
    observation[i, 8] = _bounded(state.signal_ratio[i])
    observation[i, 9] = _bounded(state.log_lambda[i] - terms.log_lambda_0[level])
    observation[i, 10] = terms.sine[slot]
    observation[i, 11] = terms.cosine[slot]
    observation[i, 12] = 1.0 if days.weekday[state.day[i]] >= 5 else 0.0
    observation[i, 13] = _bounded(terms.log_tightness[level] / 2.0)
    observation[i, 14] = _bounded(spend_to_limit)
    observation[i, 15] = _bounded((state.clicks[i] + CLICK_PRIOR) / (expected_clicks + CLICK_PRIOR))


@njit
def start_all(state: BiddingState, day: Any, level: Any, terms: Terms) -> None:
    """Start every copy on its day and budget level."""
    for i in range(len(day)):
        restart(state, i, day[i], level[i], terms)


@njit
def look_all(days: Days, terms: Terms, state: BiddingState, observation: Any) -> None:
    """Write the observations of every copy, `[n, 16]`."""
    for i in range(len(state.slot)):
        look(days, terms, state, i, observation)


@njit
def advance_all(
    days: Days, terms: Terms, state: BiddingState, log_lambda: Any, reward: Any, kpi: Any
) -> None:
    """Run one slot of every copy at its `log_lambda [n]`."""
    for i in range(len(state.slot)):
        reward[i] = advance(days, terms, state, i, log_lambda[i], kpi)


@njit
def _fetch_slot(days: Days, state: BiddingState, i: int) -> None:
    """Ask for the memory that the coming slot of copy `i` most likely reads.

    It is where the share won in the last slot ends: `_rows_within` begins its search there, and
    the sums that it finds are near.
    """
    slot = state.slot[i]
    if slot >= days.offset.shape[1] - 1:
        return
    start = days.offset[state.day[i], slot]
    stop = days.offset[state.day[i], slot + 1]
    row = start + int(state.win_rate[i] * (stop - start))
    prefetch_around(days.threshold.ctypes.data + row * days.threshold.strides[0], THRESHOLD_LINES)
    prefetch_around(days.cumulative.ctypes.data + row * days.cumulative.strides[0], SUM_LINES)


@njit
def agent_step_all(
    days: Days,
    terms: Terms,
    state: BiddingState,
    action: Any,
    observation: Any,
    reward: Any,
    terminated: Any,
    kpi: Any,
) -> int:
    """One agent step of every copy; return how many ended (they are not restarted here)."""
    ended = 0
    slots = days.offset.shape[1] - 1
    for i in range(min(AHEAD, len(action))):
        _fetch_slot(days, state, i)
    for i in range(len(action)):
        if i + AHEAD < len(action):
            _fetch_slot(days, state, i + AHEAD)
        log_lambda = log_lambda_of(state, i, action[i], terms)
        reward[i] = advance(days, terms, state, i, log_lambda, kpi)
        look(days, terms, state, i, observation)
        terminated[i] = state.stopped[i] or state.slot[i] >= slots
        ended += terminated[i]
    return ended


@njit
def restart_ended(
    days: Days,
    terms: Terms,
    state: BiddingState,
    ended: Any,
    next_day: Any,
    next_level: Any,
    observation: Any,
    final_observation: Any,
) -> None:
    """Keep the last observation of the copies that ended and start them on their next day."""
    for i in range(len(ended)):
        if ended[i]:
            for column in range(OBSERVATIONS):
                final_observation[i, column] = observation[i, column]
            restart(state, i, next_day[i], next_level[i], terms)
            look(days, terms, state, i, observation)
