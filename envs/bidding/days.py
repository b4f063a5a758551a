"""Realised days of auctions, laid out so that what a slot yields at any bid level is a look-up.

With second price an impression is won as soon as the bid multiplier reaches its *threshold*
price / signal, and then costs its price whatever the bid was. Sorting a slot by threshold therefore
turns "win rate, spend and value at multiplier alpha" into one binary search in prefix sums; only a
slot in which the budget runs out has to be walked in arrival order.

Units: money in the account's currency, per impression (a CPM price divided by 1000).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SLOTS_PER_DAY = 48


class Days(NamedTuple):
    """`D` days x `T` slots of auctions, flat over all `M` impressions.

    Slot `t` of day `d` holds the rows `offset[d, t] : offset[d, t + 1]`. `signal` is what bids are
    proportional to; `value` is what an impression is worth (the calibrated expectation). They are
    the same array unless bids are made on a noisy or miscalibrated prediction. One row stands for
    `weight` impressions of the campaign, so that a large campaign is simulated on a thinned day.
    """

    offset: NDArray[np.int64]  # [D, T + 1]
    # In arrival order.
    signal: NDArray[np.float32]  # [M]
    value: NDArray[np.float32]  # [M]
    price: NDArray[np.float32]  # [M] lowest winning bid; inf where no allowed bid wins
    click: NDArray[np.uint8]  # [M] the realised event
    arrival_threshold: NDArray[np.float32]  # [M] price / signal
    # In order of threshold within the slot.
    threshold: NDArray[np.float32]  # [M]
    cumulative: NDArray[np.float32]  # [M, 4] sums up to this row: price, value, clicks, signal
    weekday: NDArray[np.int8]  # [D] 0 = Monday
    member: NDArray[np.int16]  # [D] the calibration member that drew the day
    weight: float

    @property
    def count(self) -> int:  # type: ignore[override] # tuple's own, which makes no sense here
        """The number of days."""
        return int(self.offset.shape[0])

    @property
    def slots(self) -> int:
        """The number of slots in a day."""
        return int(self.offset.shape[1]) - 1


def build_days(
    *,
    day: NDArray[np.integer],
    slot: NDArray[np.integer],
    signal: NDArray[np.floating],
    value: NDArray[np.floating],
    price: NDArray[np.floating],
    click: NDArray[np.integer],
    bid_cap: float,
    weekday: NDArray[np.integer],
    member: NDArray[np.integer] | None = None,
    slots: int = SLOTS_PER_DAY,
    weight: float = 1.0,
) -> Days:
    """Lay out impressions (each array `[M]`, in arrival order within a slot) as `Days`.

    `day` counts from 0; `weekday` is `[D]`. Prices above `bid_cap` (currency per impression) can
    never be won and become infinite.
    """
    days = len(weekday)
    cell = day.astype(np.int32) * np.int32(slots) + slot.astype(np.int32)
    signal32 = np.ascontiguousarray(signal, np.float32)
    value32 = np.ascontiguousarray(value, np.float32)
    price32 = price.astype(np.float32)
    click8 = click.astype(np.uint8)
    if (cell[1:] < cell[:-1]).any():
        order = np.argsort(cell, kind="stable")
        cell, signal32, value32 = cell[order], signal32[order], value32[order]
        price32, click8 = price32[order], click8[order]
    price32[price32 > np.float32(bid_cap)] = np.inf

    # Of one type: the search would convert a copy of the longer.
    boundary = np.searchsorted(cell, np.arange(days * slots + 1, dtype=cell.dtype))
    offset = np.empty((days, slots + 1), dtype=np.int64)
    offset[:, :slots] = boundary[:-1].reshape(days, slots)
    offset[:, slots] = boundary[slots::slots]

    threshold, cumulative = _by_threshold(boundary, cell, slots, signal32, value32, price32, click8)
    return Days(
        offset=offset,
        signal=signal32,
        value=value32,
        price=price32,
        click=click8,
        arrival_threshold=_threshold(price32, signal32),
        threshold=threshold,
        cumulative=cumulative,
        weekday=np.asarray(weekday, dtype=np.int8),
        member=(
            np.zeros(days, dtype=np.int16) if member is None else np.asarray(member, dtype=np.int16)
        ),
        weight=weight,
    )


def _threshold(price: NDArray[np.float32], signal: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(divide="ignore", invalid="ignore"):
        threshold = price / signal
    # A signal of zero never bids, not even for a price of zero.
    return np.where(signal > 0, threshold, np.float32(np.inf)).astype(np.float32)


def _by_threshold(
    boundary: NDArray[np.int64],
    cell: NDArray[np.int32],
    slots: int,
    signal: NDArray[np.float32],
    value: NDArray[np.float32],
    price: NDArray[np.float32],
    click: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sort each slot by threshold and accumulate price, value and clicks within the slot.

    Day by day: double precision for all days at once would be two thirds of a training's memory.
    """
    threshold = _threshold(price, signal)
    within = np.empty((len(cell), 4), np.float32)
    total = np.zeros(4)  # of all days before
    for first in range(0, len(boundary) - 1, slots):
        rows = slice(boundary[first], boundary[first + slots])
        order = _order(cell[rows], threshold[rows])
        threshold[rows] = threshold[rows][order]
        amounts = np.empty((len(order), 4))
        amounts[:, 0] = np.where(np.isfinite(threshold[rows]), price[rows][order], 0.0)
        amounts[:, 1] = value[rows][order]
        amounts[:, 2] = click[rows][order]
        amounts[:, 3] = signal[rows][order]
        running = np.cumsum(np.vstack([total, amounts]), axis=0)
        before = running[boundary[first : first + slots] - boundary[first]]
        within[rows] = running[1:] - before[cell[rows] - first]
        total = running[-1]
    return threshold, within


def _order(cell: NDArray[np.int32], threshold: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows by cell, then threshold, then place: one sort of whole numbers, thrice as fast.

    The bits of numbers that are not negative are in the order of the numbers.
    """
    key = cell.astype(np.uint64) << np.uint64(32)
    key |= threshold.view(np.uint32).astype(np.uint64)
    return np.argsort(key, kind="stable")


def take_days(days: Days, chosen: NDArray[np.integer]) -> Days:
    """The same days in another choice and order (a day may come twice)."""
    lengths = days.offset[chosen, -1] - days.offset[chosen, 0]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    rows = np.repeat(days.offset[chosen, 0] - starts, lengths) + np.arange(lengths.sum())
    return Days(
        offset=days.offset[chosen] - days.offset[chosen, :1] + starts[:, None],
        signal=days.signal[rows],
        value=days.value[rows],
        price=days.price[rows],
        click=days.click[rows],
        arrival_threshold=days.arrival_threshold[rows],
        threshold=days.threshold[rows],
        cumulative=days.cumulative[rows],
        weekday=days.weekday[chosen],
        member=days.member[chosen],
        weight=days.weight,
    )


def join_days(parts: list[Days]) -> Days:
    """All days of several parts, in order; the parts must have the same slots and weight."""
    assert len({(part.slots, part.weight) for part in parts}) == 1, "parts of different campaigns"
    shift = np.cumsum([0] + [len(part.price) for part in parts[:-1]])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Days._fields
        if name not in ("offset", "weight")
    }
    offset = np.concatenate([part.offset + rows for part, rows in zip(parts, shift, strict=True)])
    return Days(offset=offset, weight=parts[0].weight, **columns)


def rebuilt(
    days: Days,
    *,
    bid_cap: float,
    signal: NDArray[np.floating] | None = None,
    value: NDArray[np.floating] | None = None,
    price: NDArray[np.floating] | None = None,
    click: NDArray[np.integer] | None = None,
) -> Days:
    """The same arrivals with other signals, values, prices or clicks (`[M]`, arrival order)."""
    lengths = np.diff(days.offset, axis=1)
    day = np.repeat(np.arange(days.count), lengths.sum(axis=1))
    slot = np.repeat(np.tile(np.arange(days.slots), days.count), lengths.ravel())
    return build_days(
        day=day,
        slot=slot,
        signal=days.signal if signal is None else signal,
        value=days.value if value is None else value,
        price=days.price if price is None else price,
        click=days.click if click is None else click,
        bid_cap=bid_cap,
        weekday=days.weekday,
        member=days.member,
        slots=days.slots,
        weight=days.weight,
    )
