"""The price level of every slot: read from censored rows, and how it moves.

    level_dt = season_t + day_d + drift_dt,   day_d ~ N(0, sd_day^2),   drift_d. ~ AR(1)(rho, sd)

A slot's own level is known with an error v_dt (few wins at night), which enters the likelihood, so
that sampling noise is not mistaken for drift.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.optimize import minimize

from envs.bidding.auctions import Auctions
from envs.bidding.days import SLOTS_PER_DAY
from envs.bidding.prices import PriceScale

Floats = NDArray[np.float64]

_COARSE = np.arange(-1.5, 1.5001, 0.1)
_FINE = np.arange(-0.3, 0.3001, 0.03)
_WINDOW = 0.05  # log units: the density of a price is read over +-5 %, steadier than one price
_LEAST_PROBABILITY = 1e-7


class Law(Protocol):
    """A price law that moves with a log price level and is told apart by strata."""

    def above(self, stratum: NDArray[np.int64], log_price: Floats, level: Floats) -> Floats:
        """P(price > exp(log_price)) in slots of that level."""

    def telling(self, price_cpm: NDArray[np.floating]) -> Floats:
        """How much a win at each price tells of the level, `[n]` in 0..1."""


class Levels(NamedTuple):
    """The log price level of every slot and the variance of its error, each `[D, 48]`."""

    mean: Floats
    variance: Floats


def read_levels(
    law: Law, stratum: NDArray[np.int64], auctions: Auctions, scale: PriceScale
) -> Levels:
    """Each slot's level by its censored likelihood under `law` (mean and variance, flat prior).

    log L(s) = sum_won log P(price in p e^(+-w) | s) + sum_lost log P(price > bid | s)

    A win counts as much as the law says that it tells of the level. A coarse pass over the range
    finds where the likelihood lies, a fine one its shape.
    """
    coarse = _likelihood_moments(law, stratum, auctions, scale, np.zeros(auctions.cells), _COARSE)
    mean, variance = _likelihood_moments(law, stratum, auctions, scale, coarse[0], _FINE)
    # A slot with hardly any rows keeps the width that the coarse pass gave it.
    wide = coarse[1] > _FINE[-1] ** 2 / 4
    mean, variance = np.where(wide, coarse[0], mean), np.where(wide, coarse[1], variance)
    shape = (auctions.days, SLOTS_PER_DAY)
    return Levels(mean.reshape(shape), variance.reshape(shape))


def _likelihood_moments(
    law: Law,
    stratum: NDArray[np.int64],
    auctions: Auctions,
    scale: PriceScale,
    around: Floats,
    offsets: Floats,
) -> tuple[Floats, Floats]:
    """Mean and variance of the normalised likelihood on `around [cells]` + `offsets`."""
    won, lost = auctions.won, ~auctions.won
    weight_won = law.telling(auctions.price_cpm[won])
    edge = scale.edge(auctions.bid_cpm)
    low, high = _window(auctions.price_cpm[won].astype(np.float64), edge[won], scale)
    lost_edge = edge[lost]
    cell_won, cell_lost = auctions.cell[won], auctions.cell[lost]
    around_won, around_lost = around[cell_won], around[cell_lost]
    stratum_won, stratum_lost = stratum[won], stratum[lost]
    likelihood = np.empty((len(offsets), auctions.cells))
    for row, offset in enumerate(offsets):
        level = around_won + offset
        inside = law.above(stratum_won, low, level) - law.above(stratum_won, high, level)
        outside = law.above(stratum_lost, lost_edge, around_lost + offset)
        likelihood[row] = np.bincount(
            cell_won, weight_won * np.log(np.maximum(inside, _LEAST_PROBABILITY)), auctions.cells
        ) + np.bincount(cell_lost, np.log(np.maximum(outside, _LEAST_PROBABILITY)), auctions.cells)
    weight = np.exp(likelihood - likelihood.max(axis=0))
    weight /= weight.sum(axis=0)
    mean = offsets @ weight
    variance = np.square(offsets) @ weight - mean**2
    # The grid's own spacing bounds what it can tell.
    return around + mean, np.maximum(variance, 0.0) + (offsets[1] - offsets[0]) ** 2 / 12


def _window(price: Floats, edge: Floats, scale: PriceScale) -> tuple[Floats, Floats]:
    """Log prices around each price, ending where a bid would have lost.

    A sticky price is a window of its own, so that its mass is not taken for its neighbours'.
    """
    half_tick, least = scale.tick / 2, scale.least / 2
    log_price = np.log(np.maximum(price, least))
    sticky = np.concatenate([[-np.inf], scale.sticky, [np.inf]])
    next_ = np.searchsorted(sticky, price + half_tick)
    last = sticky[next_ - 1]
    own = np.abs(last - price) < half_tick
    start = np.where(own, price - half_tick, last + half_tick)
    end = np.where(own, price + half_tick, sticky[next_] - half_tick)
    low = np.maximum(log_price - _WINDOW, np.log(np.maximum(start, least)))
    high = np.minimum(log_price + _WINDOW, np.log(np.maximum(end, least)))
    return low, np.minimum(high, edge)


class LevelModel(NamedTuple):
    """How the level moves over the slots of a day and from day to day; sd and rho as above."""

    season: Floats  # [48]
    day_sd: float
    drift_sd: float
    persistence: float

    def covariance(self) -> Floats:
        """Cov(level_t, level_u) within a day, `[48, 48]`."""
        slot = np.arange(SLOTS_PER_DAY)
        lag = np.abs(slot[:, None] - slot)
        return np.asarray(self.day_sd**2 + self.drift_sd**2 * self.persistence**lag)

    def draw(self, days: int, rng: Generator) -> Floats:
        """Level paths of new days, `[days, 48]`."""
        noise = rng.standard_normal((days, SLOTS_PER_DAY)) * self.drift_sd
        noise[:, 1:] *= np.sqrt(1 - self.persistence**2)
        drift = np.empty_like(noise)
        drift[:, 0] = noise[:, 0]
        for slot in range(1, SLOTS_PER_DAY):
            drift[:, slot] = self.persistence * drift[:, slot - 1] + noise[:, slot]
        swing = self.day_sd * rng.standard_normal((days, 1))
        return np.asarray(self.season + swing + drift)


def season_of(levels: Levels, day_weight: Floats) -> Floats:
    """The mean level of every slot `[48]`, days weighted by how well their level is known."""
    typical = np.median(levels.variance)
    weight = day_weight[:, None] / (levels.variance + typical)
    return np.asarray((weight * levels.mean).sum(axis=0) / weight.sum(axis=0))


def fit_level_model(levels: Levels, day_weight: Floats) -> LevelModel:
    """Gaussian likelihood of the days' level paths, errors known, season estimated first.

    The log determinant counts (n - 1) / n of a day, since the season took one day's worth of
    freedom (restricted likelihood); n = (sum w)^2 / sum w^2 is what D weighted days are worth.
    """
    season = season_of(levels, day_weight)
    residual = levels.mean - season
    days = day_weight.sum() ** 2 / np.square(day_weight).sum()
    slot = np.arange(SLOTS_PER_DAY)
    lag = np.abs(slot[:, None] - slot)
    errors = levels.variance[:, :, None] * np.eye(SLOTS_PER_DAY)

    def cost(free: Floats) -> float:
        day_sd, drift_sd = np.exp(free[:2])
        persistence = 1 / (1 + np.exp(-free[2]))
        covariance = day_sd**2 + drift_sd**2 * persistence**lag + errors
        factor = np.linalg.cholesky(covariance)
        log_det = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        white = np.linalg.solve(factor, residual[:, :, None])[:, :, 0]
        per_day = (days - 1) / days * log_det + np.square(white).sum(axis=1)
        # A weak pull to plausible values keeps parameters finite where two days say nothing.
        prior = np.square((free - _START) / _PRIOR_SD).sum()
        return float(day_weight @ per_day + prior)

    found = minimize(cost, _START, method="L-BFGS-B", bounds=_BOUNDS)
    day_sd, drift_sd = np.exp(found.x[:2])
    return LevelModel(season, float(day_sd), float(drift_sd), float(1 / (1 + np.exp(-found.x[2]))))


_START = np.array([np.log(0.1), np.log(0.1), 2.0])  # rho = .88
_PRIOR_SD = np.array([2.0, 2.0, 2.0])
_BOUNDS = ((-7.0, 1.0), (-7.0, 1.0), (-3.0, 6.0))


def smoothed_levels(levels: Levels, model: LevelModel) -> Floats:
    """E[level | what was read] under the model, `[D, 48]`: noisy slots lean on their neighbours."""
    covariance = model.covariance()
    errors = levels.variance[:, :, None] * np.eye(SLOTS_PER_DAY)
    residual = (levels.mean - model.season)[:, :, None]
    gain = np.linalg.solve(covariance + errors, residual)
    return np.asarray(model.season + (covariance @ gain)[:, :, 0], np.float64)
