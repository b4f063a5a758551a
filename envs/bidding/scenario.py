"""The what-if knobs of bidding, and what each does to the days that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.bidding.days import Days, rebuilt
from envs.core.scenario import knob, refuse_extremes
from envs.core.season import Season

PRICES, VALUE = "prices", "the value of an impression"


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
    season: float = knob(
        "Season",
        "days of so many times the usual traffic, with the prices and the value of impressions "
        "that the log's own days of more or less traffic had",
        low=0.5,
        high=2.0,
    )
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


def season_of(history: Days, bid_cap: float) -> Season:
    """How prices (geometric mean, up to the cap) and values moved with traffic, day by day."""
    rows = history.offset[:, -1] - history.offset[:, 0]
    whole = rows > 0
    price = np.log(np.clip(history.price, 1e-6 * bid_cap, bid_cap).astype(np.float64))
    value = np.maximum(history.value.astype(np.float64), 1e-12)
    starts, count = history.offset[whole, 0], rows[whole].astype(np.float64)
    return Season.seen(
        count,
        {
            PRICES: np.exp(np.add.reduceat(price, starts) / count),
            VALUE: np.add.reduceat(value, starts) / count,
        },
    )


def changed_days(
    days: Days, scenario: BiddingScenario, season: Season, bid_cap: float, click_value: float
) -> Days:
    """The same arrivals at other prices and responses; traffic changes what a row stands for.

    Prices that were above the cap stay unwinnable when all prices fall: the log never showed them.
    """
    s = scenario
    dearer = s.price * season.factor(PRICES, s.season)
    response = s.response * season.factor(VALUE, s.season)
    days = _mixed(days, s.mix, bid_cap)
    if (dearer, s.competition, response, s.bid_cap) != (1, 1, 1, 1):
        # The same scenario always gives the same clicks, whoever asks.
        luck = np.random.default_rng(0).random(len(days.value))
        chance = days.value * (response / click_value)
        days = rebuilt(
            days,
            bid_cap=bid_cap * s.bid_cap,
            click=days.click if response == 1 else (luck < chance).astype(np.uint8),
            signal=days.signal * response,
            value=days.value * response,
            price=days.price * dearer * _contested(days, s.competition),
        )
    return days._replace(weight=days.weight * s.traffic * s.season)


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
