"""Bidding outside the simulator: the 16 observations by name, and what a live bidder plans with."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.bidding.world import BiddingWorld
from envs.core.live import Field, LiveForm

FIELDS = (
    Field(name="time_left", unit="share of the day", meaning="1 at its start, 0 at its end"),
    Field(name="budget_left", unit="share of the budget"),
    Field(name="log_pace", unit="log", meaning="budget left / what the plan would still have"),
    Field(name="log_spend_pace", unit="log", meaning="running average of spend / planned spend"),
    Field(name="log_traffic", unit="log", meaning="impressions on offer so far / expected"),
    Field(name="win_rate", unit="share", meaning="of the last slot"),
    Field(name="win_rate_average", unit="share", meaning="running average over slots"),
    Field(name="price_ratio", unit="ratio", meaning="mean price paid / the history's"),
    Field(name="value_ratio", unit="ratio", meaning="mean value won / the history's"),
    Field(name="log_lambda", unit="log", meaning="price of budget in the last slot / planned"),
    Field(name="sine_of_day", unit="", meaning="sine of the time of day"),
    Field(name="cosine_of_day", unit="", meaning="cosine of the time of day"),
    Field(name="weekend", unit="0 or 1", meaning="Saturday or Sunday, UTC"),
    Field(name="tightness", unit="log / 2", meaning="budget / cost of buying everything"),
    Field(name="cost_to_limit", unit="ratio", meaning="cost per value / its limit; 0: no limit"),
    Field(name="click_ratio", unit="ratio", meaning="realised / expected clicks, shrunk"),
)
ACTION = Field(
    name="a", unit="-1 to 1", meaning="how far above (bids more) the pacing rule; 0 is the rule"
)


def live_form(world: BiddingWorld, calibration: Any) -> LiveForm:
    """What a policy of this world is asked with; a calibration says how clicks were foretold."""
    return LiveForm(fields=FIELDS, amounts=(ACTION,), terms=live_terms(world, calibration))


def live_terms(world: BiddingWorld, calibration: Any) -> dict[str, Any]:
    """`Terms` and what turns a predicted click into currency, as plain values."""
    plan = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in world.terms._asdict().items()
    }
    if not np.isfinite(world.terms.cost_per_value_limit):
        plan["cost_per_value_limit"] = None
    market = None if calibration is None else calibration.earlier
    settings = world.settings
    return {
        "plan": plan,
        "currency": settings.currency,
        "currency_per_price_unit": settings.currency_per_price_unit,
        "recalibration": {
            "log_probability": [0.0] if market is None else _list(market.recalibration[0]),
            "log_ratio": [0.0] if market is None else _list(market.recalibration[1]),
        },
        "usual_probability": world.terms.signal_ref / settings.click_value,
    }


def _list(values: Any) -> list[float]:
    return [float(value) for value in values]
