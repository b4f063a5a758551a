"""Bidding as a table: time of day and budget left -> what to multiply a planned bid by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.bidding.state import BiddingState
from envs.bidding.world import BiddingWorld
from envs.core.decision_table import DecisionGrid
from envs.core.world import Array

BUDGET_LEFT = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
"""Of what the plan would still have: beyond twice the plan, or a quarter of it, plans are wrong."""
TYPICAL = ("promised", "clicks", "win_rate", "win_average", "price_ratio", "signal_ratio")
MINUTES_A_DAY = 24 * 60


def decision_table(world: BiddingWorld) -> DecisionGrid:
    """Every slot of the day x budget left x budget level x weekend.

    What else a policy sees (win rate, prices paid) is as the pacing rule itself has it at that hour
    on average over the world's days; spend so far is the budget less what is left.
    """
    weekend = np.unique(world.days.weekday >= 5)
    shape = (world.horizon, len(BUDGET_LEFT), len(world.terms.budget), len(weekend))
    slot, left, level, kind = (axis.ravel() for axis in np.indices(shape))
    state = _typical(world, slot)
    budget = world.terms.budget[level]
    share = np.array(BUDGET_LEFT)[left]
    remaining = np.minimum(share * budget * world.terms.plan_left[slot], budget)
    days = np.array([np.flatnonzero((world.days.weekday >= 5) == one)[0] for one in weekend])
    state = state._replace(
        day=days[kind].astype(np.int32),
        level=level.astype(np.int32),
        slot=slot.astype(np.int32),
        budget_left=remaining,
        spend=budget - remaining,
        log_lambda=world.terms.log_lambda_0[level],
        seen=world.terms.expected_before[slot],
    )
    start = slot * MINUTES_A_DAY // world.horizon

    def decided(action: Array) -> Mapping[str, NDArray[np.generic]]:
        log_lambda = world.control(state, action)
        return {"bid_multiplier": np.exp(world.terms.log_lambda_0[level] - log_lambda)}

    money = world.settings.currency
    return DecisionGrid(
        columns={
            "time_of_day_utc": np.array([f"{m // 60:02d}:{m % 60:02d}" for m in start.tolist()]),
            "budget_left_of_plan": share,
            "daily_budget": budget.round(2),
            "weekend": weekend[kind],
        },
        observation=world.observe(state).astype(np.float32),
        mask=None,
        decided=decided,
        amounts=("bid_multiplier",),
        meaning={
            "time_of_day_utc": "when the slot begins",
            "budget_left_of_plan": "budget left / what the plan would still have at this time",
            "daily_budget": f"{money} a day",
            "weekend": "Saturday or Sunday, UTC",
            "bid_multiplier": "bid / the bid at the day's planned price of budget",
        },
        notes=(
            "What was won and paid so far is taken as usual at that hour: a live policy sees it.",
            "Early in the day no more than the whole budget can be left; rows above it repeat it.",
        ),
    )


def _typical(world: BiddingWorld, slot: NDArray[np.int64]) -> BiddingState:
    """States in which everything but time and money is as the pacing rule has it on average."""
    rng = np.random.default_rng(0)  # asked for by the protocol; every day is played, none drawn
    state = world.initial(world.episodes, rng)
    idle = np.zeros((world.episodes, 1), np.float32)
    means = []
    for _ in range(world.horizon):
        means.append([float(getattr(state, name).mean()) for name in TYPICAL])
        state = world.step(state, world.control(state, idle), rng).state
    usual = np.array(means)[slot]
    blank = world._blank(len(slot))
    return blank._replace(**{name: usual[:, i].copy() for i, name in enumerate(TYPICAL)})
