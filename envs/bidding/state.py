"""What a bidder plans with and where a campaign-day stands: arrays that compiled code takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Terms(NamedTuple):
    """What a campaign plans with, from history only; `C` budget levels, `T` slots."""

    budget: NDArray[np.float64]  # [C] currency a day
    log_tightness: NDArray[np.float64]  # [C] log of c0 = budget / cost of all impressions
    log_lambda_0: NDArray[np.float64]  # [C] geometric mean of the history's LP duals
    value_ref: NDArray[np.float64]  # [C] mean LP value of the history days, currency
    plan_left: NDArray[np.float64]  # [T + 1] expected share of traffic still to come
    expected_before: NDArray[np.float64]  # [T + 1] expected impressions before a slot
    sine: NDArray[np.float64]  # [T + 1] of the time of day at a slot's start
    cosine: NDArray[np.float64]  # [T + 1]
    price_ref: float  # mean price, currency per impression
    signal_ref: float  # mean signal, currency per impression
    click_value: float  # currency per expected click
    cost_per_value_limit: float  # CPA target / click value; inf when there is none
    gain: float  # g: how strongly lambda answers the pace
    reach: float  # kappa: log-lambda moved by an action of 1
    bid_cap: float  # currency per impression
    least_balance: float  # currency; below it a campaign stops
    first_price: bool
    shading: NDArray[np.float64]  # [X] first price: bid for a worth of grid point x
    worth_low: float  # log of the first grid point, currency per impression
    worth_step: float  # step of the grid in logs


class BiddingState(NamedTuple):
    """One campaign-day per copy, each `[n]`; `slot == T` or `stopped` means finished."""

    day: NDArray[np.int32]
    level: NDArray[np.int32]  # index of the budget level in Terms
    slot: NDArray[np.int32]
    stopped: NDArray[np.bool_]
    budget_left: NDArray[np.float64]
    spend: NDArray[np.float64]
    value: NDArray[np.float64]  # what was won is worth: judges, and is never observed
    promised: NDArray[np.float64]  # what it was bid for: the signal of the impressions won
    clicks: NDArray[np.float64]
    score: NDArray[np.float64]  # S: value after the CPA penalty
    log_lambda: NDArray[np.float64]  # of the last slot
    slot_spend: NDArray[np.float64]  # of the last slot
    pace_average: NDArray[np.float64]
    seen: NDArray[np.float64]  # impressions on offer so far
    win_rate: NDArray[np.float64]
    win_average: NDArray[np.float64]
    price_ratio: NDArray[np.float64]
    signal_ratio: NDArray[np.float64]
