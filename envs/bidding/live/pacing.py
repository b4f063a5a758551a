"""The state of a live campaign-day: the simulator's equations, fed by notices as they come.

Slots are half hours of the UTC day. The policy is asked once, when a slot begins, as in training;
what is bid in it follows by formula. The observation equals the simulator's for the same day
(`envs/bidding/kernel.py`, `advance` and `look`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.bidding.live.plan import Plan

DAY_SECONDS = 86_400
EMA_WEIGHT = 0.4
CLICK_PRIOR = 10.0
OBSERVATION_BOUND = 3.0
THURSDAY = 3  # the weekday of 1970-01-01


@dataclass
class Pacing:
    """One campaign-day as it goes; sums of the day, then those of the slot under way.

    `log_lambda` is that of the slot under way once it is decided, of the last one before.
    """

    day: int
    slot: int = 0
    spend: float = 0.0
    promised: float = 0.0
    clicks: float = 0.0
    log_lambda: float = 0.0
    pace_average: float = 0.0
    seen: float = 0.0
    win_rate: float = 0.0
    win_average: float = 0.0
    price_ratio: float = 1.0
    signal_ratio: float = 1.0
    slot_seen: float = 0.0
    slot_wins: float = 0.0
    slot_spend: float = 0.0
    slot_signal: float = 0.0
    decided: int = -1
    """The slot that `log_lambda` was decided for."""

    def as_plain(self) -> dict[str, Any]:
        """Plain values to be noted."""
        return asdict(self)


def begun(day: int, slot: int, plan: Plan) -> Pacing:
    """A day that begins in a slot; what came before it was not seen."""
    return Pacing(day=day, slot=slot, log_lambda=plan.log_lambda_0)


def noted(values: Mapping[str, Any] | None, day: int, slot: int, plan: Plan) -> Pacing:
    """The state that was noted, where it is of this day; else a day that begins now."""
    if values is None or values.get("day") != day or values["slot"] > slot:
        return begun(day, slot, plan)
    return Pacing(**values)


def slot_of(now: float, plan: Plan) -> tuple[int, int]:
    """The UTC day since 1970-01-01 and its slot."""
    day = int(now // DAY_SECONDS)
    return day, int(now % DAY_SECONDS / DAY_SECONDS * plan.slots)


def moved_to(pacing: Pacing, day: int, slot: int, plan: Plan) -> Pacing:
    """The state at the beginning of a slot, with every slot until then closed."""
    if day != pacing.day:
        return begun(day, slot, plan)
    while pacing.slot < slot:
        _close_slot(pacing, plan)
    return pacing


def _close_slot(pacing: Pacing, plan: Plan) -> None:
    """What a slot's end changes, as `advance` does it."""
    slot = pacing.slot
    planned = plan.budget * float(plan.plan_left[slot] - plan.plan_left[slot + 1])
    # A thousandth of the plan keeps the logarithm finite in a slot without spend.
    pace = math.log((pacing.slot_spend + 1e-3 * planned + 1e-12) / (1.001 * planned + 1e-12))
    pacing.pace_average += EMA_WEIGHT * (pace - pacing.pace_average)
    pacing.seen += pacing.slot_seen
    if pacing.slot_seen > 0:
        # Notices of the slot before may come in this one: a rate is one all the same.
        pacing.win_rate = min(1.0, pacing.slot_wins / pacing.slot_seen)
        pacing.win_average += EMA_WEIGHT * (pacing.win_rate - pacing.win_average)
        if pacing.slot_wins > 0:
            pacing.price_ratio = pacing.slot_spend / pacing.slot_wins / plan.price_ref
            pacing.signal_ratio = pacing.slot_signal / pacing.slot_wins / plan.signal_ref
    pacing.slot_seen = pacing.slot_wins = pacing.slot_spend = pacing.slot_signal = 0.0
    pacing.slot = slot + 1


def won(pacing: Pacing, price: float, signal: float) -> None:
    """Count an impression that was won at `price`, currency, for what `signal` promised."""
    pacing.spend += price
    pacing.promised += signal
    pacing.slot_wins += 1.0
    pacing.slot_spend += price
    pacing.slot_signal += signal


def budget_left(pacing: Pacing, plan: Plan) -> float:
    """What the day still has, currency."""
    return max(0.0, plan.budget - pacing.spend)


def log_pace(pacing: Pacing, plan: Plan) -> float:
    """log(budget left / (B plan_left)): above 0 when money is ahead of plan; 0 at the end."""
    planned = plan.budget * float(plan.plan_left[pacing.slot])
    left = budget_left(pacing, plan)
    return math.log(left / planned) if planned > 0 and left > 0 else 0.0


def stopped(pacing: Pacing, plan: Plan) -> bool:
    """Whether less is left than an average impression costs."""
    return budget_left(pacing, plan) < plan.price_ref


def log_lambda_of(pacing: Pacing, plan: Plan, action: float) -> float:
    """log lambda_t = log lambda_0 - g log_pace - kappa a."""
    a = min(1.0, max(-1.0, action))
    return plan.log_lambda_0 - plan.gain * log_pace(pacing, plan) - plan.reach * a


def observed(pacing: Pacing, plan: Plan) -> NDArray[np.float32]:
    """The 16 observations at the beginning of a slot; nothing of the coming slot enters."""
    slot, limit = pacing.slot, plan.cost_per_value_limit
    spend_to_limit = 0.0
    if limit < math.inf and pacing.promised > 0.0:
        spend_to_limit = pacing.spend / (pacing.promised * limit)
    expected_clicks = pacing.promised / plan.click_value
    bounded = (
        budget_left(pacing, plan) / plan.budget,
        log_pace(pacing, plan),
        pacing.pace_average,
        math.log((pacing.seen + 1.0) / (float(plan.expected_before[slot]) + 1.0)),
        pacing.win_rate,
        pacing.win_average,
        pacing.price_ratio,
        pacing.signal_ratio,
        pacing.log_lambda - plan.log_lambda_0,
        float(plan.sine[slot]),
        float(plan.cosine[slot]),
        1.0 if (pacing.day + THURSDAY) % 7 >= 5 else 0.0,
        plan.log_tightness / 2.0,
        spend_to_limit,
        (pacing.clicks + CLICK_PRIOR) / (expected_clicks + CLICK_PRIOR),
    )
    values = [1.0 - slot / plan.slots, *bounded]
    return np.clip(np.array(values, np.float32), -OBSERVATION_BOUND, OBSERVATION_BOUND)
