"""The what-if knobs of bidding, and what each does to the days that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.bidding.days import Days, rebuilt
from envs.core.scenario import refuse_extremes


@dataclass(frozen=True, kw_only=True)
class BiddingScenario:
    """Factors on today's market; 1 leaves it as it is.

    `budget` scales the daily budget, `price` every clearing price, `traffic` the number of
    impressions on offer, `response` the click probability of each.
    """

    budget: float = 1.0
    price: float = 1.0
    traffic: float = 1.0
    response: float = 1.0

    def __post_init__(self) -> None:
        refuse_extremes(self)


def changed_days(days: Days, scenario: BiddingScenario, bid_cap: float, click_value: float) -> Days:
    """The same arrivals at other prices and responses; traffic changes what a row stands for.

    Prices that were above the cap stay unwinnable when all prices fall: the log never showed them.
    """
    if scenario.price != 1 or scenario.response != 1:
        # The same scenario always gives the same clicks, whoever asks.
        luck = np.random.default_rng(0).random(len(days.value))
        chance = days.value * (scenario.response / click_value)
        days = rebuilt(
            days,
            bid_cap=bid_cap,
            click=days.click if scenario.response == 1 else (luck < chance).astype(np.uint8),
            signal=days.signal * scenario.response,
            value=days.value * scenario.response,
            price=days.price * scenario.price,
        )
    return days._replace(weight=days.weight * scenario.traffic)
