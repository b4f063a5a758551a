"""The generator itself as a simulator that the fidelity checks can judge.

A gate that refuses the truth is of no use, and neither is one that passes anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm

from envs.bidding.auctions import Auctions
from envs.bidding.days import SLOTS_PER_DAY, Days
from envs.bidding.generator import (
    BID_CAP_CPM,
    CLICK_VALUE,
    CURRENCY_PER_PRICE_UNIT,
    ROUND_PRICES_CPM,
    GeneratedMarket,
    Preset,
)

Floats = NDArray[np.float64]

_STEP = 0.1  # of z, in standard deviations, within which one price law is used
_REACH = 4.0
_ROUND_SHARE = 0.10
_PRICE_SD = 0.95
_CORRELATION = 0.15
_MEAN_LOG_PRICE = 4.0


@dataclass(frozen=True)
class TrueSimulator:
    """MODELLING 6.1 as a `Simulator`; a stratum is a narrow range of z, levels are mu_dt - 4."""

    preset: Preset

    def stratum(self, auctions: Auctions) -> NDArray[np.int64]:
        """The range of z that each row's click probability lies in, `[n]`."""
        season = 1 + 0.2 * np.sin(2 * np.pi * (auctions.slot.astype(float) - 24) / SLOTS_PER_DAY)
        sd = self.preset.theta_sd
        relative = auctions.probability / (self.preset.theta_mean * season)
        z = np.log(relative) / sd + sd / 2
        place = np.rint((np.clip(z, -_REACH, _REACH) + _REACH) / _STEP)
        return np.asarray(place, np.int64)

    def above(self, stratum: NDArray[np.int64], log_price: Floats, level: Floats) -> Floats:
        """P(price > exp(log_price)): log-normal but for the round prices and the cap."""
        z = stratum * _STEP - _REACH
        centre = _MEAN_LOG_PRICE + level + _PRICE_SD * _CORRELATION * z
        smooth = norm.sf((log_price - centre) / (_PRICE_SD * np.sqrt(1 - _CORRELATION**2)))
        round_ = np.mean([log_price < np.log(price) for price in ROUND_PRICES_CPM], axis=0)
        mixed = (1 - _ROUND_SHARE) * smooth + _ROUND_SHARE * round_
        return np.where(log_price < np.log(BID_CAP_CPM), mixed, 0.0)

    def telling(self, price_cpm: NDArray[np.floating]) -> Floats:
        """The true law accounts for every win, `[n]`."""
        return np.ones(len(price_cpm))

    def probability(self, auctions: Auctions) -> NDArray[np.float32]:
        """The generator's log carries the true click probability, `[n]`."""
        return auctions.probability

    def draw_in_log_units(self, count: int, rng: Generator) -> Days:
        """Fresh days of the generator."""
        days = GeneratedMarket(self.preset).draw_days(count, rng)
        per_cpm = np.float32(1000 / CURRENCY_PER_PRICE_UNIT)
        return days._replace(price=days.price * per_cpm, value=days.value / np.float32(CLICK_VALUE))
