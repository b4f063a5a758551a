"""Whether held-out days look like days the simulator draws: the predictive checks of fidelity.

Traffic is taken as it was, price levels are drawn. The interval of a day's spend is the simulator's
spend per impression times the held-out day's traffic.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.days import SLOTS_PER_DAY
from envs.bidding.held_out import HeldOut
from envs.core.fidelity import SIGNIFICANCE, Check, Curve

Floats = NDArray[np.float64]

PREDICTIVE_DAYS = 200
"""Ten of them lie beyond either end of the 90 % interval."""

LEAST_COVERAGE = 0.8
_BANDS = 20


class _SlotOutcomes(NamedTuple):
    """Per impression, by day and slot `[D, 48]`: spend (CPM) and wins."""

    spend: Floats
    wins: Floats


def predictive_checks(
    held: HeldOut, rng: Generator, width_limit: float
) -> tuple[list[Check], Curve]:
    """Are the held-out days' spend and wins, given their traffic, such as drawn days have?"""
    auctions = held.auctions
    volume = auctions.volume
    drawn = _simulated_outcomes(held, rng)
    spent = np.where(auctions.won, auctions.price_cpm, 0.0)
    spend = _by_slot(auctions.cell, spent, volume.shape)
    wins = _by_slot(auctions.cell, auctions.won, volume.shape)
    checks = [
        *_coverage_checks("spend", spend, volume, drawn.spend, rng),
        *_coverage_checks("wins", wins, volume, drawn.wins, rng),
    ]
    low, centre, high = np.quantile(volume @ drawn.spend.T, [0.05, 0.5, 0.95], axis=1)
    checks.append(
        Check(
            name="width of the day interval",
            value=float(np.median((high - low) / centre)),
            low=0.0,
            high=width_limit,
            n=auctions.days,
            unit="days",
            meaning="Median width of a day's 90 % spend interval over its centre: a wide one says "
            "nothing.",
        )
    )
    return checks, Curve(
        name="day spend", x_label="held-out day", y_label="spend (CPM units)",
        x=tuple(range(1, auctions.days + 1)), observed=tuple(spend.sum(axis=1).tolist()),
        simulated=tuple(centre.tolist()), kind="forecast", low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )  # fmt: skip


def _coverage_checks(
    what: str, observed: Floats, volume: Floats, drawn: Floats, rng: Generator
) -> list[Check]:
    """Shares of slots and of days of `observed [D, 48]` inside the 90 % interval of `drawn`.

    `drawn [R, 48]` is per impression. At least 80 % must be inside, less only where so few days
    cannot tell 80 from 90 %: the slots of a day move together, so the bound is what the worst 1 %
    of as many of the simulator's own days would show.
    """
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    inside = (volume * low <= observed) & (observed <= volume * high) & (volume > 0)
    own_slots = ((low <= drawn) & (drawn <= high)).mean(axis=1)
    traffic = volume.mean(axis=0)
    totals = volume @ drawn.T  # [D, R]
    day_low, day_high = np.quantile(totals, [0.05, 0.95], axis=1)
    day_inside = (day_low <= observed.sum(axis=1)) & (observed.sum(axis=1) <= day_high)
    own_low, own_high = np.quantile(drawn @ traffic, [0.05, 0.95])
    own_days = (own_low <= drawn @ traffic) & (drawn @ traffic <= own_high)
    return [
        Check(
            name=f"{unit[:-1]} {what} in the 90 % interval",
            value=share,
            low=min(LEAST_COVERAGE, _worst_mean(own.astype(np.float64), len(volume), rng)),
            high=1.0,
            n=n,
            unit=unit,
            meaning=f"Share of held-out {unit} whose {what} the simulator's 90 % interval holds.",
        )
        for unit, share, n, own in (
            ("slots", float(inside.sum() / (volume > 0).sum()), int((volume > 0).sum()), own_slots),
            ("days", float(day_inside.mean()), len(volume), own_days),
        )
    ]


def _worst_mean(values: Floats, n: int, rng: Generator) -> float:
    """The 1 % quantile of the mean of `n` values drawn from `values`."""
    means = rng.choice(values, (4000, n)).mean(axis=1)
    return float(np.quantile(means, SIGNIFICANCE, method="lower"))


def _simulated_outcomes(held: HeldOut, rng: Generator) -> _SlotOutcomes:
    """Spend and wins per impression of drawn days under bids like the held-out days' own.

    Bids are drawn from held-out rows of the same slot and a similar click probability, so that the
    market is judged and not the logging policy.
    """
    days = held.simulator.draw_in_log_units(PREDICTIVE_DAYS, rng)
    edges = np.quantile(held.probability, np.arange(1, _BANDS) / _BANDS)
    band = np.searchsorted(edges, held.probability)
    key = band * SLOTS_PER_DAY + held.auctions.slot
    order = np.argsort(key, kind="stable")
    bids = held.auctions.bid_cpm[order]
    starts = np.searchsorted(key[order], np.arange(_BANDS * SLOTS_PER_DAY + 1))

    rows = np.diff(days.offset, axis=1)  # [draws, 48]
    slot = np.repeat(np.tile(np.arange(days.slots), days.count), rows.ravel())
    like = np.searchsorted(edges, days.value) * SLOTS_PER_DAY + slot
    # Where no such bid was made the next one in order stands in: the same band, the next slot.
    length = np.maximum(np.diff(starts)[like], 1)
    place = starts[like] + (rng.random(len(like)) * length).astype(np.int64)
    bid = bids[np.minimum(place, len(bids) - 1)]
    won = bid >= days.price * (1 - 1e-6)
    cell = np.repeat(np.arange(rows.size), rows.ravel())
    count = np.maximum(rows, 1)
    spend = _by_slot(cell, np.where(won, days.price, 0.0), rows.shape)
    wins = _by_slot(cell, won, rows.shape)
    return _SlotOutcomes(spend / count, wins / count)


def _by_slot(cell: NDArray[np.int64], amount: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Sums of `amount [n]` by day and slot."""
    sums = np.bincount(cell, amount, int(np.prod(shape)))
    return np.asarray(sums.reshape(shape), np.float64)
