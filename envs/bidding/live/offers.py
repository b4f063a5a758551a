"""What would be bid for an impression; prices are exact in the books' billionths."""

from __future__ import annotations

import math
from dataclasses import dataclass

from envs.bidding.live.plan import price_of
from envs.bidding.live.request import Impression
from envs.bidding.live.terms import Terms

CPM_STEP = 1e-4
"""Prices are multiples of it, rounded down."""


@dataclass(frozen=True)
class Offer:
    """A bid that would be made for an impression; money in currency per impression."""

    impression: Impression
    probability: float
    signal: float
    price: float
    floor: float  # infinite where its currency has no rate

    @property
    def wanted(self) -> bool:
        """Whether there is anything to bid, and it reaches the floor."""
        return self.price > 0 and self.price >= self.floor


def offer_of(terms: Terms, impression: Impression, log_lambda: float) -> Offer:
    """The offer for an impression at the slot's lambda."""
    probability, signal = terms.value.signal(impression.probability)
    price = rounded_down(min(price_of(terms.plan, signal, log_lambda), terms.cap))
    if impression.private:
        price = 0.0  # deals are agreed on beforehand, and none were
    return Offer(impression, probability, signal, price, _floor(terms, impression))


def _floor(terms: Terms, impression: Impression) -> float:
    if not impression.floor_cpm:
        return 0.0
    rates = {terms.currency: 1.0, **(terms.campaign.rates or {})}
    return per_impression(impression.floor_cpm * rates.get(impression.floor_currency, math.inf))


def rounded_down(price: float) -> float:
    """A price, currency per impression, whose CPM is a multiple of CPM_STEP and not above it."""
    return per_impression(cpm(price))


def per_impression(price_cpm: float) -> float:
    """What one impression costs, currency; of the decimal that was sent: 0.6448 is 0.0006448.

    A mere division may come out a rounding above it, which books would round up to a billionth.
    """
    return round(price_cpm / 1000, 12)


def cpm(price: float) -> float:
    """The CPM of a price, as it is sent."""
    # A billionth of slack: 0.0123 * 1000 may come out a rounding below 12.3.
    return round(math.floor(price * 1000 / CPM_STEP + 1e-6) * CPM_STEP, 4)
