"""The true market: P(buy) = sigmoid(2 + 1.5 regular - 1.2 price)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from .world import ALLOWED, CUSTOMERS, PRICES, PricingSettings, PricingWorld, draw_world

PRESETS = ("default",)
CHANCE = 1 / (1 + np.exp(-(2 + 1.5 * np.arange(2)[:, None] - 1.2 * PRICES)))  # [2, prices]
ROUNDS = 40  # a day's log holds as many rounds of customers


def generate(preset: str, days: int, rng: Generator) -> pa.Table:
    """A log of prices drawn at random among those allowed."""
    count = days * CUSTOMERS * ROUNDS
    regular = rng.integers(0, 2, count)
    shares = ALLOWED / ALLOWED.sum(axis=1, keepdims=True)
    price = (rng.random(count)[:, None] > shares.cumsum(axis=1)[regular]).sum(axis=1)
    start = np.datetime64("2024-01-01", "us")
    step = np.timedelta64(86_400_000_000 * days // count, "us")
    return pa.table(
        {
            "timestamp": pa.array(start + np.arange(count) * step, pa.timestamp("us", tz="UTC")),
            "regular": regular.astype(np.int8),
            "price": PRICES[price],
            "bought": (rng.random(count) < CHANCE[regular, price]).astype(np.int8),
        }
    )


def true_world(
    preset: str, episodes: int, settings: PricingSettings, rng: Generator
) -> PricingWorld:
    """Days of the true market."""
    return draw_world(CHANCE[None], episodes, settings, rng)
