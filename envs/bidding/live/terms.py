"""What a bundle and a campaign's owner say together, read once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from envs.bidding.live.campaign import Campaign, is_currency
from envs.bidding.live.plan import ClickValue, Plan, plan_of


class Terms(NamedTuple):
    """What every bid is made on; money in currency."""

    plan: Plan
    value: ClickValue
    campaign: Campaign
    currency: str
    log_unit: float  # currency per unit of the log's prices
    cap: float  # per impression
    auctions: tuple[int, ...]


def terms_of(plain: Mapping[str, Any], campaign: Campaign) -> Terms:
    """The terms of a bundle for a campaign; raises ValueError where they do not fit."""
    plan = plan_of(plain["plan"], campaign.budget_day)
    currency = campaign.currency or plain["currency"]
    if not is_currency(currency):
        raise ValueError(
            f"the policy's currency is {plain['currency']!r}: give `currency` as ISO-4217"
        )
    own = 0.0 if campaign.bid_cap_cpm is None else campaign.bid_cap_cpm / 1000
    recalibration = plain["recalibration"]
    return Terms(
        plan=plan,
        value=ClickValue(
            np.array(recalibration["log_probability"]),
            np.array(recalibration["log_ratio"]),
            plan.click_value,
            float(plain["usual_probability"]),
        ),
        campaign=campaign,
        currency=currency,
        log_unit=float(plain["currency_per_price_unit"]),
        cap=min(plan.bid_cap, own) if own else plan.bid_cap,
        auctions=campaign.auctions or ((1,) if plan.first_price else (2,)),
    )
