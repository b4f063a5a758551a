"""The ground-truth auction market behind the built-in sample (MODELLING 6.1).

Per day `d` and half-hour slot `t`, with z, e ~ N(0, 1) per impression:

    volume   N_d = 20000 LN(-sd_v^2/2, sd_v^2),  slot counts Poisson(N_d share_dt)
    theta    = theta_bar exp(s z - s^2/2) (1 + .2 sin(2 pi (t - 24)/48))
    log m    = mu_dt + .95 (.15 z + sqrt(1 - .15^2) e)
    mu_dt    = 4.0 + sd_d N(0,1)_d + .25 sin(2 pi (t - 16)/48) + AR1(.9, sd_a)_dt

A tenth of the prices are the round numbers 20, 50 or 70; all are rounded and clipped to 1..300.
Prices are CPM in cents; a conversion follows 2.5 % of clicks and is worth 40 units of currency, so
that a click is worth 1.00 and costs about 0.99 at the market's mean price.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.days import SLOTS_PER_DAY, Days, build_days

# AuctionNet's half-hour traffic curve (Apache-2.0), from midnight.
TRAFFIC_SHARE = np.array(
    [
        0.023012, 0.010762, 0.008822, 0.004816, 0.004799, 0.003329, 0.003393, 0.003033,
        0.004299, 0.004863, 0.011136, 0.012360, 0.018507, 0.017291, 0.026119, 0.024050,
        0.036409, 0.033095, 0.038111, 0.032375, 0.037192, 0.032876, 0.033528, 0.025498,
        0.023720, 0.022214, 0.026216, 0.020075, 0.022233, 0.020495, 0.022686, 0.020809,
        0.024124, 0.020575, 0.019990, 0.016486, 0.017456, 0.016890, 0.020426, 0.019787,
        0.024951, 0.025120, 0.031101, 0.028595, 0.030061, 0.025651, 0.025380, 0.025285,
    ]
)  # fmt: skip
ROUND_PRICES_CPM = np.array([20.0, 50.0, 70.0])
BID_CAP_CPM = 300.0
CONVERSION_RATE = 0.025
CONVERSION_VALUE = 40.0
CLICK_VALUE = CONVERSION_RATE * CONVERSION_VALUE
CURRENCY = "USD"
CURRENCY_PER_PRICE_UNIT = 0.01
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The parameters in which the built-in markets differ; all standard deviations are of logs."""

    theta_mean: float = 0.0008
    theta_sd: float = 1.0
    volume_mean: float = 20_000.0
    volume_sd: float = 0.20
    day_price_sd: float = 0.15
    drift_sd: float = 0.10
    drift_persistence: float = 0.9


PRESETS: dict[str, Preset] = {
    "default": Preset(),
    "retargeting": Preset(theta_mean=0.005, theta_sd=0.6),
    "shock": Preset(volume_sd=0.35, day_price_sd=0.30, drift_sd=0.20),
}


@dataclass(frozen=True)
class Impressions:
    """Drawn auctions, in arrival order; every array is `[M]`, prices in CPM."""

    day: NDArray[np.int32]
    slot: NDArray[np.int32]
    theta: NDArray[np.float64]
    price_cpm: NDArray[np.float64]
    click: NDArray[np.uint8]


def draw_impressions(preset: Preset, days: int, rng: Generator) -> Impressions:
    """Draw all auctions of `days` days by the equations at the head of this file."""
    slot_index = np.arange(SLOTS_PER_DAY)
    volume = preset.volume_mean * np.exp(
        preset.volume_sd * rng.standard_normal(days) - preset.volume_sd**2 / 2
    )
    blocks = rng.uniform(0.6, 1.4, (days, SLOTS_PER_DAY // 4)).repeat(4, axis=1)
    share = TRAFFIC_SHARE * blocks
    share /= share.sum(axis=1, keepdims=True)
    counts = rng.poisson(volume[:, None] * share)  # [D, T]

    level = (
        4.0
        + preset.day_price_sd * rng.standard_normal((days, 1))
        + 0.25 * np.sin(2 * np.pi * (slot_index - 16) / SLOTS_PER_DAY)
        + _autoregression(days, preset.drift_persistence, preset.drift_sd, rng)
    )
    season = 1 + 0.2 * np.sin(2 * np.pi * (slot_index - 24) / SLOTS_PER_DAY)

    cell = np.repeat(np.arange(days * SLOTS_PER_DAY), counts.ravel())
    day, slot = np.divmod(cell, SLOTS_PER_DAY)
    z, e = rng.standard_normal((2, len(cell)))
    theta = preset.theta_mean * np.exp(preset.theta_sd * z - preset.theta_sd**2 / 2) * season[slot]
    log_price = level.ravel()[cell] + 0.95 * (0.15 * z + np.sqrt(1 - 0.15**2) * e)
    price = np.exp(log_price)
    round_price = rng.random(len(cell)) < 0.10
    price[round_price] = rng.choice(ROUND_PRICES_CPM, size=int(round_price.sum()))
    price = np.clip(np.rint(price), 1.0, BID_CAP_CPM)
    theta = np.minimum(theta, 1.0)
    return Impressions(
        day=day.astype(np.int32),
        slot=slot.astype(np.int32),
        theta=theta,
        price_cpm=price,
        click=(rng.random(len(cell)) < theta).astype(np.uint8),
    )


def _autoregression(
    days: int, persistence: float, sd: float, rng: Generator
) -> NDArray[np.float64]:
    """Stationary AR(1) paths `[D, T]` with marginal standard deviation `sd`."""
    noise = rng.standard_normal((days, SLOTS_PER_DAY)) * sd
    noise[:, 1:] *= np.sqrt(1 - persistence**2)
    path = np.empty_like(noise)
    path[:, 0] = noise[:, 0]
    for t in range(1, SLOTS_PER_DAY):
        path[:, t] = persistence * path[:, t - 1] + noise[:, t]
    return path


@dataclass(frozen=True)
class GeneratedMarket:
    """The true market as a source of days: what training on the generator means."""

    preset: Preset

    def draw_days(self, count: int, rng: Generator) -> Days:
        """Draw `count` days; money per impression in currency."""
        drawn = draw_impressions(self.preset, count, rng)
        # In the precision of Days: twice as much of everything would double a training's memory.
        value = (drawn.theta * CLICK_VALUE).astype(np.float32)
        to_currency = CURRENCY_PER_PRICE_UNIT / 1000
        return build_days(
            day=drawn.day,
            slot=drawn.slot,
            signal=value,
            value=value,
            price=(drawn.price_cpm * to_currency).astype(np.float32),
            click=drawn.click,
            bid_cap=BID_CAP_CPM * to_currency,
            weekday=np.arange(count) % 7,
        )


@dataclass(frozen=True)
class GeneratedLog:
    """A log as a campaign would have kept it, and the lost prices it could not have kept."""

    table: pa.Table
    true_price_cpm: NDArray[np.float64]


def generate_log(
    preset: Preset, days: int, rng: Generator, *, bid_multiplier: float = 0.65
) -> GeneratedLog:
    """Log `days` days under the LIN rule with noise: bid = multiplier value exp(.5 N(0,1)).

    The noise per auction is what makes the price law identifiable below the largest bids.
    `bid_multiplier` (currency bid per currency of value) of .65 wins about 35 % of auctions in the
    default preset, the share of the published censored sample (MODELLING 2.4). A bid wins when it
    is at least the price; lost prices stay empty.
    """
    drawn = draw_impressions(preset, days, rng)
    count = len(drawn.day)
    value_cpm = drawn.theta * CLICK_VALUE / CURRENCY_PER_PRICE_UNIT * 1000
    noise = np.exp(0.5 * rng.standard_normal(count))
    bid = np.clip(np.round(bid_multiplier * value_cpm * noise, 2), 0.01, BID_CAP_CPM)
    won = bid >= drawn.price_cpm
    click = won & drawn.click.astype(bool)
    conversion = click & (rng.random(count) < CONVERSION_RATE)

    within_slot = np.sort(drawn.day * SLOTS_PER_DAY + drawn.slot + rng.random(count) * 0.999_999)
    seconds = within_slot * (86_400 / SLOTS_PER_DAY)
    start = np.datetime64(FIRST_DAY.replace(tzinfo=None), "us")
    timestamp = start + (seconds * 1e6).astype("timedelta64[us]")
    table = pa.table(
        {
            "timestamp": pa.array(timestamp, type=pa.timestamp("us", tz="UTC")),
            "auction_id": pa.array([f"a{index:09d}" for index in range(count)]),
            "campaign_id": pa.array(np.full(count, "sample")),
            "bid_cpm": bid,
            "won": won.astype(np.int8),
            "price_cpm": pa.array(drawn.price_cpm, mask=~won),
            "pctr": drawn.theta,
            "click": click.astype(np.int8),
            "conversion": conversion.astype(np.int8),
            "value": np.where(conversion, CONVERSION_VALUE, 0.0),
        }
    )
    return GeneratedLog(table=table, true_price_cpm=drawn.price_cpm)
