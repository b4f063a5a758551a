"""The market price of an impression under right-censoring (MODELLING 2.4).

A win shows its price; a loss at bid b only says that the price lies above b, for a bid wins when
it is at least the price. On a grid of prices, with d_k wins at price k and n_k auctions known to
have a price of k or more (wins there, and losses whose bid was k or more):

    S(z) = P(price > z) = prod_{k <= z} (1 - d_k / n_k)          (Kaplan & Meier 1958)

Above the largest bid nothing is known: S stops falling and the mass left is reported as unknown.

Prices move with the level of their slot, except for the round ones that a market returns to at any
level (floors, reserve prices). A price is therefore the lower of two competitors: one that moves
with the level and a sticky one; each has its own Kaplan-Meier law, in which the other's wins count
as censored, and

    P(price > z | level) = S_moving(log z - level) S_sticky(z)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions
from envs.bidding.prices import BIN, PriceScale

SHRINKAGE_ROWS = 500.0
"""A stratum's own hazard has weight n / (n + 500) against its parent's (MODELLING 2.4)."""

BAND_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995)
"""Bands of the click probability; bids follow it, so that censoring differs by band. They are
narrow at the top, where the tightest budgets buy."""

Floats = NDArray[np.float64]


def hazards(wins: Floats, survivals: Floats) -> tuple[Floats, Floats]:
    """d_k / n_k and n_k on a grid `[..., B]`; 0 where nobody is at risk.

    `wins[k]` counts wins at grid price k, `survivals[k]` losses whose price is known to exceed grid
    price k and no higher one.
    """
    at_risk = np.cumsum((wins + survivals)[..., ::-1], axis=-1)[..., ::-1]
    return np.divide(wins, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0), at_risk


def kaplan_meier(wins: Floats, survivals: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """S(k) = P(price > k) on the grid `[..., B]`, and where it is identified (somebody at risk)."""
    hazard, at_risk = hazards(wins, survivals)
    return np.asarray(np.cumprod(1 - hazard, axis=-1)), at_risk > 0


def shrunk_hazards(wins: Floats, survivals: Floats, parent: Floats) -> Floats:
    """(d_k + m h_k) / (n_k + m), m = 500: own hazard with weight n_k / (n_k + m), parent's `h`."""
    _, at_risk = hazards(wins, survivals)
    return (wins + SHRINKAGE_ROWS * parent) / (at_risk + SHRINKAGE_ROWS)


@dataclass(frozen=True)
class PriceLaw:
    """P(price > z) per stratum and price level: the moving table times the sticky one.

    `moving[s, k]` is S at the *upper* edge of bin k of log price - level, linear between edges;
    beyond the last identified bin it is constant, and that mass is unknown. `sticky[s, j]` is S
    after the first j sticky prices.
    """

    scale: PriceScale
    bands: Floats  # [bands - 1] edges of the click probability
    contexts: int
    moving: Floats  # [S, B]
    sticky: Floats  # [S, J + 1]

    def stratum(self, auctions: Auctions) -> NDArray[np.int64]:
        """The stratum of every row, `[n]`: context x band."""
        return strata(auctions, self.bands, self.contexts)

    def above(self, stratum: NDArray[np.int64], log_price: Floats, level: Floats) -> Floats:
        """P(price > exp(log_price)) in slots of that level, all `[n]`."""
        above = self._moving_above(stratum, log_price - level) * self._sticky_above(
            stratum, log_price
        )
        return np.where(log_price < np.log(self.scale.ceiling), above, 0.0)

    def telling(self, price_cpm: NDArray[np.floating]) -> Floats:
        """How much a win at each price tells of the level, `[n]`: nothing at a sticky price.

        How many sticky wins there are tells what was on offer in the slot, not at what level.
        """
        return np.asarray(self.scale.moving_share(price_cpm) == 1.0, np.float64)

    def _moving_above(self, stratum: NDArray[np.int64], centred: Floats) -> Floats:
        position = np.clip((centred - self.scale.low) / BIN, 0.0, self.scale.bins - 1e-6)
        index = position.astype(np.int64)
        flat = stratum * (self.scale.bins + 1) + index
        left = self._edges.ravel()[flat]
        return np.asarray(left + (position - index) * (self._edges.ravel()[flat + 1] - left))

    def _sticky_above(self, stratum: NDArray[np.int64], log_price: Floats) -> Floats:
        passed = np.searchsorted(self.scale.log_sticky, log_price, side="right")
        return np.asarray(self.sticky[stratum, passed])

    @cached_property
    def _edges(self) -> Floats:
        return np.hstack([np.ones((len(self.moving), 1)), self.moving])

    def impute_moving(self, stratum: NDArray[np.int64], above: Floats, rng: Generator) -> Floats:
        """Draw the moving competitor's log price - level, given that it lies above `above [n]`.

        Infinite where the draw falls into the unknown mass beyond the largest bid.
        """
        target = rng.random(len(stratum)) * self._moving_above(stratum, above)
        index = _first_at_most(self._edges, stratum, target)
        known = index <= self.scale.bins
        index = np.clip(index, 1, self.scale.bins)
        high, low = self._edges[stratum, index - 1], self._edges[stratum, index]
        part = np.divide(high - target, high - low, out=np.ones_like(high), where=high > low)
        drawn = self.scale.low + BIN * (index - 1 + np.clip(part, 0.0, 1.0))
        return np.where(known, np.maximum(drawn, above), np.inf)

    def impute_sticky(
        self, stratum: NDArray[np.int64], above: Floats, rng: Generator
    ) -> NDArray[np.int8]:
        """Draw which sticky price competes above log price `above [n]`; J where none does."""
        target = rng.random(len(stratum)) * self._sticky_above(stratum, above)
        # A strict comparison keeps an atom without mass from being drawn.
        return (_first_at_most(self.sticky, stratum, target) - 1).astype(np.int8)

    @property
    def unknown_mass(self) -> Floats:
        """The moving competitor's mass above the largest bid, `[S]`."""
        return self.moving[:, -1]


def _first_at_most(falling: Floats, row: NDArray[np.int64], target: Floats) -> NDArray[np.int64]:
    """min {k : falling[row, k] <= target} of tables `[S, W]` with values in [0, 1]; W if none."""
    width = falling.shape[1]
    # One ascending array over all rows: -S rises within a row and stays in [-1, 0].
    keys = (2.0 * np.arange(len(falling))[:, None] - falling).ravel()
    first = np.searchsorted(keys, 2.0 * row - target, side="left")
    return np.asarray(first - row * width)


def strata(auctions: Auctions, bands: Floats, contexts: int) -> NDArray[np.int64]:
    """The stratum of every row, `[n]`: context x band of the click probability."""
    band = np.searchsorted(bands, auctions.probability, side="right")
    context = np.minimum(auctions.context, contexts - 1).astype(np.int64)
    return context * (len(bands) + 1) + band


def band_edges(probability: NDArray[np.floating]) -> Floats:
    """The click probabilities at `BAND_QUANTILES`; fewer where probabilities repeat."""
    return np.unique(np.quantile(probability.astype(np.float64), BAND_QUANTILES))


@dataclass(frozen=True)
class Evidence:
    """What the rows of a part say of prices, ready to be counted at any price level.

    `log_price [n]` is what is known of the moving competitor: its log price where `moved`,
    otherwise what it exceeds. `sticky [n]` is the index of the sticky price that won, -1 elsewhere.
    """

    auctions: Auctions
    scale: PriceScale
    bands: Floats
    contexts: int
    stratum: NDArray[np.int64]
    log_price: Floats
    moved: NDArray[np.bool_]
    sticky: NDArray[np.int8]

    @classmethod
    def of(cls, auctions: Auctions, scale: PriceScale, rng: Generator) -> Evidence:
        """Tell sticky wins from moving ones at random, in the shares the scale read off the log."""
        bands = band_edges(auctions.probability)
        contexts = int(auctions.context.max()) + 1
        won = auctions.won
        sticky = np.full(auctions.rows, -1, np.int8)
        sticky[won] = scale.drawn_sticky(auctions.price_cpm[won], rng)
        at_ceiling = won & (auctions.price_cpm >= scale.ceiling)
        moved = won & (sticky < 0) & ~at_ceiling
        # A lost auction's price lies above the bid; a sticky win says that of its own price, and
        # a win at the ceiling that the price would have been at least as much.
        log_price = scale.edge(np.where(won, auctions.price_cpm, auctions.bid_cpm))
        log_price[at_ceiling] = scale.edge(np.array([scale.ceiling - scale.tick]))[0]
        log_price[moved] = scale.spread(auctions.price_cpm[moved], rng)
        stratum = strata(auctions, bands, contexts)
        return cls(auctions, scale, bands, contexts, stratum, log_price, moved, sticky)

    def price_law(self, level: Floats, day_weight: Floats) -> PriceLaw:
        """Both competitors' Kaplan-Meier laws at slot levels `[D, 48]`, days weighted `[D]`."""
        weight = day_weight[self.auctions.day]
        return PriceLaw(
            scale=self.scale,
            bands=self.bands,
            contexts=self.contexts,
            moving=self._moving(level, weight),
            sticky=self._sticky(weight),
        )

    def _moving(self, level: Floats, weight: Floats) -> Floats:
        bins = self.scale.bins
        centred = self.log_price - level.ravel()[self.auctions.cell]
        position = (centred - self.scale.low) / BIN
        # What exceeds an edge has survived the bins up to it; the one it lies in when past half.
        index = np.where(self.moved, np.floor(position), np.rint(position) - 1)
        flat = self.stratum * bins + np.clip(index, 0, bins - 1).astype(np.int64)
        wins, survivals = (
            _counted(flat[rows], weight[rows], self._shape(bins))
            for rows in (self.moved, ~self.moved)
        )
        return shrunk_survival(wins, survivals)

    def _sticky(self, weight: Floats) -> Floats:
        """The sticky law, at risk being whoever's price is not below the sticky price."""
        atoms = len(self.scale.log_sticky)
        reached = np.searchsorted(self.scale.log_sticky, self.log_price, side="right")
        flat = self.stratum * (atoms + 1) + np.where(self.sticky >= 0, self.sticky, reached)
        # Column j counts rows that passed j sticky prices; a win at price j passed the j before it.
        won = self.sticky >= 0
        shape = self._shape(atoms + 1)
        wins = _counted(flat[won], weight[won], shape)[..., :-1]
        passed = _counted(flat[~won], weight[~won], shape)
        if atoms == 0:
            return np.ones((self._strata, 1))
        # Having passed j + 1 prices is having survived price j.
        survival = shrunk_survival(wins, passed[..., 1:])
        return np.hstack([np.ones((self._strata, 1)), survival])

    @property
    def _strata(self) -> int:
        return self.contexts * (len(self.bands) + 1)

    def _shape(self, width: int) -> tuple[int, int, int]:
        return self.contexts, len(self.bands) + 1, width


def _counted(index: NDArray[np.int64], weight: Floats, shape: tuple[int, int, int]) -> Floats:
    counts = np.bincount(index, weight, int(np.prod(shape)))
    return np.asarray(counts.reshape(shape), np.float64)


def shrunk_survival(wins: Floats, survivals: Floats) -> Floats:
    """Shrunk survival `[S, W]` of counts `[contexts, bands, W]`.

    A band's parent is the next band up: its higher bids see further, and its prices are the most
    alike. The top band's parent is the law of all rows; a context's parent is its band.
    """
    everyone, at_risk = hazards(wins.sum(axis=(0, 1)), survivals.sum(axis=(0, 1)))
    contexts, bands, width = wins.shape
    by_band = np.empty((bands, width))
    parent = everyone
    for band in reversed(range(bands)):
        parent = shrunk_hazards(wins[:, band].sum(axis=0), survivals[:, band].sum(axis=0), parent)
        by_band[band] = parent
    own = shrunk_hazards(wins, survivals, by_band) if contexts > 1 else by_band[None]
    own = np.where(at_risk > 0, own, 0.0)
    return np.asarray(np.cumprod(1 - own, axis=-1).reshape(-1, width))
