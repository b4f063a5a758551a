"""Auction logs drawn from the generator, without files."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions
from envs.bidding.generator import PRESETS, GeneratedLog, generate_log

FIRST_DATE = np.datetime64("2024-01-01")  # a Monday


def as_auctions(log: GeneratedLog, days: int) -> Auctions:
    """The rows of a generated log as calibration sees them."""
    column = {
        name: log.table[name].to_numpy(zero_copy_only=False) for name in log.table.column_names
    }
    time = column["timestamp"].astype("datetime64[us]")
    since = (time - FIRST_DATE.astype("datetime64[us]")).astype(np.int64)
    half_hour = since // 1_800_000_000
    return Auctions(
        day=(half_hour // 48).astype(np.int16),
        slot=(half_hour % 48).astype(np.int8),
        context=np.zeros(len(time), np.int16),
        bid_cpm=column["bid_cpm"].astype(np.float32),
        won=column["won"].astype(np.bool_),
        price_cpm=column["price_cpm"].astype(np.float32),
        probability=column["pctr"].astype(np.float32),
        click=column["click"].astype(np.bool_),
        dates=FIRST_DATE + np.arange(days),
        weight=1.0,
    )


@cache
def generated(preset: str, days: int, seed: int) -> tuple[Auctions, NDArray[np.float64]]:
    """A generated log and the prices of all its auctions, lost ones included (CPM)."""
    log = generate_log(PRESETS[preset], days, np.random.default_rng(seed))
    return as_auctions(log, days), log.true_price_cpm
