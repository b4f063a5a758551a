"""The what-if knobs of bidding, and what each does to the days that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.bidding.days import Days, rebuilt
from envs.core.scenario import knob, refuse_extremes


@dataclass(frozen=True, kw_only=True)
class BiddingScenario:
    """Factors on today's market; 1 leaves it as it is."""

    budget: float = knob("Daily budget", "what a day may spend")
    price: float = knob("Prices", "every clearing price: 1.1 is a tenth dearer")
    competition: float = knob(
        "Competition for the best",
        "how much dearer an impression of twice the average value becomes; cheaper ones get "
        "cheaper in turn",
        low=0.5,
        high=2.0,
    )
    traffic: float = knob("Traffic", "the number of impressions on offer")
    mix: float = knob(
        "Traffic mix",
        "how much more often impressions come that are worth twice the average of their slot",
        low=0.25,
        high=4.0,
    )
    response: float = knob("Response", "the click probability of every impression")
    bid_cap: float = knob(
        "Bid cap", "the most that is ever bid; above today's nothing is known", high=1.0
    )

    def __post_init__(self) -> None:
        refuse_extremes(self)


def changed_days(days: Days, scenario: BiddingScenario, bid_cap: float, click_value: float) -> Days:
    """The same arrivals at other prices and responses; traffic changes what a row stands for.

    Prices that were above the cap stay unwinnable when all prices fall: the log never showed them.
    """
    s = scenario
    days = _mixed(days, s.mix, bid_cap)
    if (s.price, s.competition, s.response, s.bid_cap) != (1, 1, 1, 1):
        # The same scenario always gives the same clicks, whoever asks.
        luck = np.random.default_rng(0).random(len(days.value))
        chance = days.value * (s.response / click_value)
        days = rebuilt(
            days,
            bid_cap=bid_cap * s.bid_cap,
            click=days.click if s.response == 1 else (luck < chance).astype(np.uint8),
            signal=days.signal * s.response,
            value=days.value * s.response,
            price=days.price * s.price * _contested(days, s.competition),
        )
    return days._replace(weight=days.weight * s.traffic)


def _mixed(days: Days, mix: float, bid_cap: float) -> Days:
    """As many impressions of another mix, slot by slot: drawn in proportion to v^log2(mix).

    Evenly spaced quantiles draw, so that nothing is left to chance and arrivals keep their order.
    """
    if mix == 1:
        return days
    lengths = np.diff(days.offset, axis=1).ravel()
    weight = np.maximum(days.value.astype(np.float64), 1e-9) ** np.log2(mix)
    reached = np.cumsum(weight)
    stop = np.cumsum(lengths)
    ends = np.concatenate([[0.0], reached])[stop]
    first = np.concatenate([[0.0], ends[:-1]])
    rank = np.arange(len(weight)) - np.repeat(stop - lengths, lengths)
    share = (rank + 0.5) / np.repeat(lengths, lengths)
    drawn = np.searchsorted(
        reached, np.repeat(first, lengths) + share * np.repeat(ends - first, lengths)
    )
    rows = np.minimum(drawn, len(weight) - 1)
    return rebuilt(
        days, bid_cap=bid_cap, signal=days.signal[rows], value=days.value[rows],
        price=days.price[rows], click=days.click[rows],
    )  # fmt: skip


def _contested(days: Days, competition: float) -> NDArray[np.float64]:
    """(v / mean v)^log2(competition), `[M]`: twice the value, `competition` times the price."""
    if competition == 1:
        return np.ones(len(days.value))
    relative = np.maximum(days.value / days.value.mean(), 1e-6)
    return np.asarray(relative ** np.log2(competition), np.float64)
