"""A day of five impressions in two slots: small enough to work rules out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.bidding.days import Days, build_days
from envs.bidding.rules import rules
from envs.bidding.tuning import PerBudget
from envs.bidding.world import BiddingSettings, BiddingWorld
from tests.support.bidding import CAP

VALUE = np.array([0.01, 0.04, 0.16, 0.02, 0.08])
PRICE = np.array([0.02, 0.03, 0.20, 0.01, 0.05])
SLOT = np.array([0, 0, 0, 1, 1])


def two_slots(value: NDArray[np.float64] = VALUE, price: NDArray[np.float64] = PRICE) -> Days:
    """One day of two slots with three and two impressions."""
    return build_days(
        day=np.zeros(len(value), int),
        slot=SLOT,
        signal=value,
        value=value,
        price=price,
        click=np.zeros(len(value), int),
        bid_cap=CAP,
        weekday=np.array([0]),
        slots=2,
    )


def two_slot_world(**options: Any) -> BiddingWorld:
    """Money for everything unless a budget is given, so that only the bids decide."""
    chosen = BiddingSettings(**{"budget": 10.0, "bid_cap_cpm": CAP * 1000, **options})
    return BiddingWorld.planned(two_slots(), two_slots(), chosen)


def wins_of(rule: Any, world: BiddingWorld, rng: np.random.Generator) -> list[float]:
    """Impressions won in each slot by one copy."""
    arena = rule.arena(world, rng)
    state, wins = arena.initial(1, rng), []
    for _ in range(arena.days.slots):
        outcome = arena.step(state, rule.control(arena, state, rng), rng)
        wins.append(float(outcome.kpis["wins"][0]))
        state = outcome.state
    return wins


def expected_wins(bid: NDArray[np.float64]) -> list[float]:
    """A second computation: who wins at these bids, slot by slot."""
    return [float(((bid >= PRICE) & (slot == SLOT)).sum()) for slot in (0, 1)]


def everywhere(world: BiddingWorld, value: float) -> PerBudget:
    return PerBudget.of(world.terms, np.full(len(world.terms.budget), value))


def compared() -> Any:
    """The rules as values of their own types, not of the engine's protocol."""
    return rules()
