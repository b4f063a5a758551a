"""Small bidding worlds for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.bidding.days import Days, build_days
from envs.bidding.world import BiddingSettings, BiddingWorld

CAP = 0.3


def random_days(
    rng: np.random.Generator,
    *,
    days: int = 4,
    slots: int = 48,
    per_slot: int = 30,
    weight: float = 1.0,
) -> Days:
    """Independent log-normal values and prices, CPM prices in 1..300 as currency / 1000."""
    counts = rng.poisson(per_slot, days * slots)
    cell = np.repeat(np.arange(days * slots), counts)
    n = len(cell)
    value = np.exp(rng.normal(-2.5, 0.8, n))
    price = np.clip(np.rint(np.exp(rng.normal(4, 0.9, n))), 1, 300) / 1000
    return build_days(
        day=cell // slots,
        slot=cell % slots,
        signal=value,
        value=value,
        price=price,
        click=(rng.random(n) < np.minimum(value, 1)).astype(np.uint8),
        bid_cap=CAP,
        weekday=np.arange(days) % 7,
        slots=slots,
        weight=weight,
    )


def small_world(rng: np.random.Generator, **settings: Any) -> BiddingWorld:
    """Four days of history, four days to play."""
    chosen = BiddingSettings(**{"bid_cap_cpm": CAP * 1000, **settings})
    return BiddingWorld.planned(random_days(rng), random_days(rng), chosen)
