"""Held-out auctions as a simulator sees them: what every fidelity check starts from.

What lost rows would have cost is unknown. A replay therefore bids min(alpha v, logged bid): where
that is below the price the row is lost, where it is not the price was seen, so every outcome of the
replay is known from the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions
from envs.bidding.days import Days
from envs.bidding.level import fit_level_model, read_levels, smoothed_levels
from envs.bidding.prices import PriceScale, price_scale

Floats = NDArray[np.float64]

_SPEND_NODES = 24  # midpoints of the integral below; 48 change a spend by less than .1 %


class Simulator(Protocol):
    """What can be judged: a price law, click probabilities, and days drawn in the log's units."""

    def stratum(self, auctions: Auctions) -> NDArray[np.int64]:
        """Which of its laws applies to each row, `[n]`."""

    def above(self, stratum: NDArray[np.int64], log_price: Floats, level: Floats) -> Floats:
        """P(price > exp(log_price)) in slots of that log price level."""

    def telling(self, price_cpm: NDArray[np.floating]) -> Floats:
        """How much a win at each price tells of the level, `[n]` in 0..1."""

    def probability(self, auctions: Auctions) -> NDArray[np.float32]:
        """Calibrated click probabilities, `[n]`."""

    def draw_in_log_units(self, count: int, rng: Generator) -> Days:
        """Days whose prices are in CPM and whose values are click probabilities."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows with what a simulator says of them, at the levels their slots had.

    `level [n]` is read from the held-out rows themselves under the simulator's own price law.
    """

    auctions: Auctions
    scale: PriceScale
    simulator: Simulator
    stratum: NDArray[np.int64]
    level: Floats
    probability: Floats

    @classmethod
    def seen_by(cls, simulator: Simulator, auctions: Auctions) -> HeldOut:
        """What `simulator` says of `auctions`."""
        scale = price_scale(auctions)
        stratum = simulator.stratum(auctions)
        levels = read_levels(simulator, stratum, auctions, scale)
        level = smoothed_levels(levels, fit_level_model(levels, np.ones(auctions.days)))
        return cls(
            auctions=auctions,
            scale=scale,
            simulator=simulator,
            stratum=stratum,
            level=level.ravel()[auctions.cell],
            probability=np.asarray(simulator.probability(auctions), np.float64),
        )

    def win_probability(self, bid_cpm: NDArray[np.floating]) -> Floats:
        """P(price <= bid), `[n]`."""
        edge = self.scale.edge(bid_cpm)
        return 1 - self.simulator.above(self.stratum, edge, self.level)

    def expected_spend(self, bid_cpm: Floats) -> float:
        """sum_i E[price; price <= b_i] = sum_i b_i F(b_i) - integral_0^b_i F(p) dp, CPM."""
        top = np.exp(self.scale.edge(bid_cpm))
        inner = np.zeros(len(top))
        for node in (np.arange(_SPEND_NODES) + 0.5) / _SPEND_NODES:
            above = self.simulator.above(self.stratum, np.log(top * node), self.level)
            inner += (1 - above) / _SPEND_NODES
        at_top = 1 - self.simulator.above(self.stratum, np.log(top), self.level)
        return float((top * (at_top - inner)).sum())

    def replayed_bid(self, factor: float) -> Floats:
        """min(factor x multiplier x v, logged bid), CPM; the multiplier is the log's median."""
        bid = self.auctions.bid_cpm.astype(np.float64)
        offered = self.probability > 0
        multiplier = np.median(bid[offered] / self.probability[offered])
        return np.asarray(np.minimum(factor * multiplier * self.probability, bid))

    def wins(self, bid_cpm: Floats) -> NDArray[np.bool_]:
        """Which rows the replayed bids, none above the logged one, would have won."""
        return self.auctions.won & (self.auctions.price_cpm <= bid_cpm)
