"""How the prices of a log are written: their step, their ceiling, the ones they return to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions

Floats = NDArray[np.float64]

BIN = 0.02
"""Width of a price bin in log units: 2 %, finer than whole prices below 50."""

LEVEL_RANGE = 2.0
"""How far a slot's log price level may lie from the part's mean: a factor of seven."""

STICKY_SHARE = 0.003
"""A round price matters from this share of wins on, and there are at most 100 such prices."""

_TICKS = (1.0, 0.5, 0.1, 0.05, 0.01)
_PROOF_OF_CEILING = 50  # bids at the largest bid, all won
_NEIGHBOURS = 5  # ticks on either side that say how often a price would come up by itself
_STANDS_OUT = 2.0  # times as often as its neighbours


class PriceScale(NamedTuple):
    """How prices of a log are written and where its log-price grid lies; prices in CPM.

    `tick` is the step that all prices are multiples of, 0 where there is none; `ceiling` the price
    that no auction exceeds where the log shows one (no bid at its largest bid ever lost), otherwise
    infinite; `low` the left end of the first bin of log price. `sticky [J]` are round prices that
    come up at any price level, `sticky_share [J]` the share of wins at that price that are such.
    """

    tick: float
    least: float
    ceiling: float
    low: float
    bins: int
    sticky: Floats
    sticky_share: Floats

    @property
    def log_sticky(self) -> Floats:
        """log of the sticky prices, `[J]`."""
        return np.log(self.sticky)

    def edge(self, bid_cpm: NDArray[np.floating]) -> Floats:
        """log of the largest price a bid wins at, half a tick up: where prices above it begin."""
        bid = np.asarray(bid_cpm, np.float64)
        if self.tick:
            bid = (np.floor(bid / self.tick + 1e-6) + 0.5) * self.tick
        return np.log(np.maximum(bid, self.least / 2))

    def spread(self, price_cpm: NDArray[np.floating], rng: Generator) -> Floats:
        """log price, spread evenly over its tick."""
        price = np.asarray(price_cpm, np.float64)
        price = price + self.tick * (rng.random(len(price)) - 0.5)
        return np.log(np.maximum(price, self.least / 2))

    def drawn_sticky(self, price_cpm: NDArray[np.floating], rng: Generator) -> NDArray[np.int8]:
        """Which sticky price each won price is, `[n]`; -1 where it came about by itself."""
        came_by_itself = rng.random(len(price_cpm)) < self.moving_share(price_cpm)
        nearest = np.searchsorted(self.sticky, price_cpm - self.tick / 2)
        return np.where(came_by_itself, -1, nearest).astype(np.int8)

    def moving_share(self, price_cpm: NDArray[np.floating]) -> Floats:
        """The share of wins at each price that came about by itself, `[n]`; 1 if not sticky."""
        if len(self.sticky) == 0:
            return np.ones(len(price_cpm))
        nearest = np.searchsorted(self.sticky, price_cpm - self.tick / 2)
        nearest = np.minimum(nearest, len(self.sticky) - 1)
        equal = np.abs(self.sticky[nearest] - price_cpm) < self.tick / 2
        return np.where(equal, 1 - self.sticky_share[nearest], 1.0)

    def written(
        self, log_price: NDArray[np.floating], sticky: NDArray[np.int8]
    ) -> NDArray[np.float32]:
        """The lower of the moving and the sticky price in CPM, as the log would write it.

        Infinite where neither is known, unless there is a ceiling.
        """
        price = np.exp(log_price)
        if self.tick:
            np.rint(price / self.tick, out=price)
            price *= self.tick
        np.maximum(price, self.least, out=price)
        np.minimum(price, np.append(self.sticky, np.inf)[sticky], out=price)
        np.minimum(price, self.ceiling, out=price)
        return np.asarray(price, np.float32)


def price_scale(auctions: Auctions) -> PriceScale:
    """Read the scale off a log's won prices and bids."""
    price = auctions.price_cpm[auctions.won].astype(np.float64)
    positive = price[price > 0]
    tick = next((t for t in _TICKS if np.all(np.abs(price / t - np.rint(price / t)) < 1e-3)), 0.0)
    largest_bid = float(auctions.bid_cpm.max())
    at_largest = auctions.bid_cpm == largest_bid
    ceiled = bool(auctions.won[at_largest].all()) and at_largest.sum() >= _PROOF_OF_CEILING
    least = float(price.min()) or float(positive.min()) / 2
    low = np.log(least / 2) - LEVEL_RANGE
    high = np.log(max(largest_bid, float(price.max()))) + LEVEL_RANGE
    ceiling = float(price.max()) if ceiled else np.inf
    sticky, share = _sticky_prices(price[price < ceiling], tick)
    return PriceScale(
        tick=tick,
        least=least,
        ceiling=ceiling,
        low=float(low),
        bins=int(np.ceil((high - low) / BIN)),
        sticky=sticky,
        sticky_share=share,
    )


def _sticky_prices(price: Floats, tick: float) -> tuple[Floats, Floats]:
    """Prices that come up at least twice as often as their neighbours, and the excess share."""
    if tick == 0 or len(price) == 0:
        return np.empty(0), np.empty(0)
    counts = np.bincount(np.rint(price / tick).astype(np.int64)).astype(np.float64)
    around = np.pad(counts, _NEIGHBOURS, mode="reflect" if len(counts) > _NEIGHBOURS else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, 2 * _NEIGHBOURS + 1)
    usual = np.median(windows, axis=1)
    often = (counts > _STANDS_OUT * usual) & (counts > STICKY_SHARE * len(price))
    often[0] = False  # a price of zero has no logarithm
    found = np.flatnonzero(often)
    found = found[np.argsort(-counts[found], kind="stable")[:100]]
    found.sort()
    return np.asarray(found * tick), np.asarray(1 - usual[found] / counts[found])
