"""`marketing/Bidding-v0`: spaces, observation, reward, ends; the environment's documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.bidding.generator import (
    BID_CAP_CPM,
    CLICK_VALUE,
    CURRENCY,
    CURRENCY_PER_PRICE_UNIT,
    PRESETS,
    GeneratedMarket,
)
from envs.bidding.world import BiddingSettings, BiddingWorld
from envs.core.env import WorldEnv
from envs.core.settings import load_settings
from envs.core.vector import WorldVectorEnv

HISTORY_DAYS = 28  # four weeks of history are what a campaign plans with


class BiddingEnv(WorldEnv):
    """How much to bid, slot by slot, so that a day's budget buys the most value.

    ## Description
    One episode is one day of one campaign, cut into 48 half-hour slots. In each slot the agent sets
    one number, and every auction of the slot is bid by formula: `bid = v / lambda`, where `v` is
    the calibrated value of the impression and `lambda` the price of a unit of budget. In second
    price this form is optimal for value under a budget, also with a CPA target (MODELLING 2.2), so
    one dimension is enough. In first price the bid is shaded: `argmax_b (v / lambda - b) F(b)`.

    ## Action Space
    `Box(-1, 1, (1,), float32)`, a: `log lambda_t = log lambda_0 - g log(pace) - kappa a`, with
    pace = (budget left) / (budget x share of traffic still expected), g = 1 and kappa = .7.
    a = 0 is the pacing rule itself; a > 0 bids more.

    ## Observation Space
    `Box(-3, 3, (16,), float32)`; nothing of the coming slot enters.

    | # | observation | # | observation |
    |---|---|---|---|
    | 0 | time left, 1 to 0 | 8 | value of the impressions won / reference |
    | 1 | budget left / budget | 9 | log(lambda of the last slot / lambda_0) |
    | 2 | log pace | 10, 11 | sine and cosine of the time of day |
    | 3 | running log(spend / planned spend) | 12 | weekend |
    | 4 | log(traffic seen / expected) | 13 | log(budget tightness c0) / 2 |
    | 5, 6 | win rate: last slot, running | 14 | cost per value / its limit (0: none) |
    | 7 | price paid / reference price | 15 | realised / expected clicks, shrunk |

    ## Rewards
    The gain of the score S = R min(1, (C / CPA)^2) in the slot, divided by what the linear program
    earned on an average day of history; R is the *calibrated* value won, C the CPA target. The
    rewards of a day sum to its value in units of the history's ceiling; use gamma = 1.

    ## Starting State
    A day drawn from the world's days and a budget level drawn from the settings' `tightness`.

    ## Episode End
    Both ends are terminations: the planned end of the day (time left is observed, nothing follows)
    and a balance below the price of one average impression. There are no truncations.

    ## Calibrated from
    A log of auctions (`envs/bidding/log.py`), by `envs/bidding/fit.py`; or, with `preset`, drawn
    from the built-in generator (`envs/bidding/generator.py`).

    ## Not modelled
    Reactions of other bidders to this campaign's bids; more than one campaign on one budget;
    delays between a bid and its price becoming known; conversions after clicks (a click carries
    its average value).

    ## Version History
    * v0: first version.
    """

    @staticmethod
    def world_of(**options: Any) -> BiddingWorld:
        """As `make_world` says."""
        return make_world(**options)


class BiddingVectorEnv(WorldVectorEnv):
    """`marketing/Bidding-v0` for many copies at once; see `BiddingEnv`."""

    world_of = staticmethod(BiddingEnv.world_of)


def make_world(
    *,
    calibration: str | Path | None = None,
    preset: str = "default",
    days: int = 64,
    world_seed: int = 0,
    **settings: Any,
) -> BiddingWorld:
    """A world from a saved calibration, or from the generator's `preset` where none is given.

    `settings` are fields of `BiddingSettings`; the rest is as it was calibrated.
    """
    rng = np.random.default_rng(world_seed)
    if calibration is not None:
        # Calibrating pulls in scikit-learn; the generator's own world does without.
        from envs.bidding.fit import BiddingCalibration

        folder = Path(calibration)
        chosen = load_settings(folder, BiddingSettings, **settings)
        return BiddingCalibration.load(folder).training_world(days, chosen, rng)
    return true_world(preset, days, BiddingSettings(**sample_settings(settings)), rng)


def sample_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The given settings over those of the built-in sample (its currency, cap and click value)."""
    return {
        "currency_per_price_unit": CURRENCY_PER_PRICE_UNIT,
        "click_value": CLICK_VALUE,
        "bid_cap_cpm": BID_CAP_CPM,
        "currency": CURRENCY,
        **settings,
    }


def true_world(
    preset: str, days: int, settings: BiddingSettings, rng: np.random.Generator
) -> BiddingWorld:
    """The generator's own world: `days` fresh days, planned with four weeks of its history."""
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}: choose one of {sorted(PRESETS)}")
    market = GeneratedMarket(PRESETS[preset])
    history = market.draw_days(HISTORY_DAYS, rng)
    return BiddingWorld.planned(market.draw_days(days, rng), history, settings)
