"""What a shop without a model does: one price for all, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from envs.core.world import Array

from .world import PRICES, PricingWorld


@dataclass(frozen=True)
class FixedPrice:
    """The same price for everybody, as far as it is allowed; -1 offers nothing."""

    index: int = 0
    name: str = "one price"
    chosen: Mapping[str, float] = field(default_factory=dict)

    def tuned(self, history: PricingWorld, rng: Generator) -> FixedPrice:
        """The price that would have earned most."""
        margin = (history.chance * (PRICES - history.settings.unit_cost)).mean(axis=(0, 1))[:-1]
        best = int(margin.argmax())
        return replace(self, index=best, chosen={"price": float(PRICES[best])})

    def arena(self, world: PricingWorld, rng: Generator) -> PricingWorld:
        """The world itself."""
        return world

    def control(self, world: PricingWorld, state: Any, rng: Generator) -> Array:
        """The index of the price, for every copy."""
        return np.full(len(state.day), self.index)


NO_OFFER = FixedPrice(index=-1, name="no offer")
