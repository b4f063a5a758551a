"""The rows of an auction log that calibration works on: typed, thinned, cut into days and slots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.days import SLOTS_PER_DAY
from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable

ROWS_PER_DAY = 20_000
"""What a simulated day holds at most on average: MODELLING 6.1's campaign, and a day of PPO's."""

ROWS_IN_ALL = 2_000_000
"""Bounds memory for logs of many days; about 200 MB while fitting."""

CONTEXT_COLUMNS = ("exchange", "slot_format")
"""What price laws are told apart by where the log has it (MODELLING 2.4)."""

LARGEST_CONTEXTS = 8
"""More kinds than these are rare ones: they share one price law."""

_MICROSECONDS_PER_DAY = 86_400_000_000


class Auctions(NamedTuple):
    """`n` auctions of `D` days in time order; one row stands for `weight` auctions.

    `probability` is the click probability as logged (or as fitted where the log has none), before
    recalibration. `price_cpm` is NaN where the auction was lost: all that is known there is that
    the price lies above the bid.
    """

    day: NDArray[np.int16]  # [n] position in `dates`
    slot: NDArray[np.int8]  # [n]
    context: NDArray[np.int16]  # [n]
    bid_cpm: NDArray[np.float32]  # [n]
    won: NDArray[np.bool_]  # [n]
    price_cpm: NDArray[np.float32]  # [n]
    probability: NDArray[np.float32]  # [n]
    click: NDArray[np.bool_]  # [n]
    dates: NDArray[np.datetime64]  # [D] days, UTC
    weight: float

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.day)

    @property
    def days(self) -> int:
        """The number of days."""
        return len(self.dates)

    @property
    def cell(self) -> NDArray[np.int64]:
        """The slot of the part each row lies in, `[n]`: day x 48 + slot."""
        return self.day.astype(np.int64) * SLOTS_PER_DAY + self.slot

    @property
    def cells(self) -> int:
        """The number of slots in all days."""
        return self.days * SLOTS_PER_DAY

    @property
    def volume(self) -> NDArray[np.float64]:
        """Rows in every slot, `[D, 48]`."""
        counts = np.bincount(self.cell, minlength=self.cells)
        return counts.reshape(self.days, SLOTS_PER_DAY).astype(np.float64)

    @property
    def weekday(self) -> NDArray[np.int64]:
        """The weekday of every day, `[D]`, 0 = Monday."""
        return (self.dates.astype("datetime64[D]").astype(np.int64) + 3) % 7

    def where(self, kept: NDArray[np.bool_]) -> Auctions:
        """The rows of `kept [n]`; the days stay what they are."""
        columns = {name: getattr(self, name)[kept] for name in self._fields[:-2]}
        return Auctions(**columns, dates=self.dates, weight=self.weight)

    def between(self, first: int, last: int) -> Auctions:
        """Days `first` to `last - 1` as a part of their own, counted from 0."""
        part = self.where((self.day >= first) & (self.day < last))
        return part._replace(day=part.day - np.int16(first), dates=self.dates[first:last])


class Gathered(NamedTuple):
    """The rows that were kept, and their context columns for a response model, `[n]` each."""

    auctions: Auctions
    columns: dict[str, NDArray[np.int32]]
    context_names: tuple[str, ...]


def gather(log: LogTable, rng: Generator) -> Gathered:
    """Read the log in batches, keeping one row drawn from every run of `weight` rows.

    Runs are consecutive in time, so that every slot of every day is thinned alike. Memory is
    bounded by the rows kept. Where the log has no `pctr`, `probability` is NaN.
    """
    stride = max(1, round(log.rows / len(log.days()) / ROWS_PER_DAY), -(-log.rows // ROWS_IN_ALL))
    numbers = [name for name in ("bid_cpm", "won", "price_cpm", "pctr", "click") if _has(log, name)]
    texts = [c.name for c in log.columns if c.kind == "category" and c.name != "campaign_id"]
    codes: dict[str, dict[str, int]] = {name: {} for name in texts}
    parts: list[dict[str, NDArray[np.generic]]] = []
    offset = 0
    for batch in log.batches(["timestamp", *numbers, *texts]):
        rows = len(batch["timestamp"])
        kept = _one_of_each_run(offset, rows, stride, rng)
        offset += rows
        part: dict[str, NDArray[np.generic]] = {
            "time": batch["timestamp"][kept].view(np.int64),
            "bid_cpm": batch["bid_cpm"][kept].astype(np.float32),
            "price_cpm": batch["price_cpm"][kept].astype(np.float32),
            "won": batch["won"][kept],
            "click": batch["click"][kept],
        }
        if "pctr" in numbers:
            part["pctr"] = batch["pctr"][kept].astype(np.float32)
        for name in texts:
            part[name] = _coded(batch[name][kept], codes[name])
        parts.append(part)
    column = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    dates = np.array(log.days(), dtype="datetime64[D]")
    time = column.pop("time").astype(np.int64)
    count = len(time)
    context, names = _contexts({t: column[t].astype(np.int32) for t in texts}, codes, count)
    day = np.searchsorted(dates.astype(np.int64), time // _MICROSECONDS_PER_DAY)
    auctions = Auctions(
        day=day.astype(np.int16),
        slot=(time % _MICROSECONDS_PER_DAY * SLOTS_PER_DAY // _MICROSECONDS_PER_DAY).astype(
            np.int8
        ),
        context=context,
        bid_cpm=column["bid_cpm"].astype(np.float32),
        won=column["won"].astype(np.bool_),
        price_cpm=column["price_cpm"].astype(np.float32),
        probability=column.get("pctr", np.full(count, np.nan)).astype(np.float32),
        click=column["click"].astype(np.bool_),
        dates=dates,
        weight=float(stride),
    )
    return Gathered(auctions, {t: column[t].astype(np.int32) for t in texts}, names)


def _has(log: LogTable, name: str) -> bool:
    return name in log.names


def _one_of_each_run(offset: int, rows: int, stride: int, rng: Generator) -> NDArray[np.int64]:
    """Positions within a batch that begins at row `offset`; a run cut by its end is left out."""
    if stride == 1:
        return np.arange(rows)
    starts = np.arange(-offset % stride, rows - stride + 1, stride)
    return starts + rng.integers(0, stride, len(starts))


def _coded(values: NDArray[np.object_], codes: dict[str, int]) -> NDArray[np.int32]:
    """Categories as numbers in order of first appearance; `codes` grows."""
    levels, index = np.unique(values.astype(str), return_inverse=True)
    number = np.array([codes.setdefault(str(level), len(codes)) for level in levels], np.int32)
    return number[index]


def _contexts(
    columns: dict[str, NDArray[np.int32]], codes: dict[str, dict[str, int]], count: int
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """The combination of the context columns that price laws differ by, `[n]`, and its names."""
    used = [name for name in CONTEXT_COLUMNS if name in columns]
    if not used:
        return np.zeros(count, np.int16), ("all",)
    combined = np.zeros(len(columns[used[0]]), np.int64)
    for name in used:
        combined = combined * len(codes[name]) + columns[name]
    found, index, counts = np.unique(combined, return_inverse=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:LARGEST_CONTEXTS]
    number = np.full(len(found), len(largest), np.int16)
    number[largest] = np.arange(len(largest), dtype=np.int16)
    names = [_name_of(int(found[i]), used, codes) for i in largest]
    rest = ["others"] if len(found) > len(largest) else []
    return number[index], (*names, *rest)


def _name_of(combined: int, used: Sequence[str], codes: dict[str, dict[str, int]]) -> str:
    words = []
    for name in reversed(used):
        combined, code = divmod(combined, len(codes[name]))
        words.append(f"{name} {list(codes[name])[code] or 'unknown'}")
    return ", ".join(reversed(words))


def split_day(dates: Sequence[date], held_out_days: int | None) -> int:
    """The first day of the later part: a third of the days judges, the earlier two thirds train.

    Raises:
        CalibrationError: fewer than two earlier days and one later would be left.
    """
    days = len(dates)
    later = max(1, round(days / 3)) if held_out_days is None else held_out_days
    if later < 1 or days - later < 2:
        raise CalibrationError(
            f"the log has {days} UTC days, of which {later} would be held out: calibration needs "
            "at least 2 earlier days, to learn how days differ, and 1 later day, to be checked on. "
            "Use a log of more days or hold out fewer"
        )
    return days - later
