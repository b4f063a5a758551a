"""A log in pictures' worth of numbers: volume over time, and how each column is spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.log import LogTable
from ppo_marketing.retraining.profile import LogProfile, profile_of
from ppo_marketing.retraining.shift import ShiftBounds, ShiftReport, shift_report

BINS, LEVELS = 30, 12


@dataclass(frozen=True)
class Spread:
    """How one column is spread over a sample: numbers in bins, or its most frequent levels.

    `places` are the bins' middles or the levels, `shares` of the sample's rows; `empty` is the
    share of empty cells over the whole log.
    """

    column: str
    unit: str
    numeric: bool
    places: tuple[float, ...] | tuple[str, ...]
    shares: tuple[float, ...]
    empty: float


@dataclass(frozen=True)
class LogSummary:
    """A log: its rows, its days with their rows, how its columns are spread."""

    source: str
    rows: int
    duplicates_dropped: int
    first: datetime
    last: datetime
    volume: tuple[tuple[date, int], ...]
    spreads: tuple[Spread, ...]
    notes: tuple[str, ...]
    profile: LogProfile


def summary_of(log: LogTable, currency: str) -> LogSummary:
    """Read a log once and sum it up."""
    profile = profile_of(log, currency)
    units = {column.name: column.unit for column in log.columns}
    return LogSummary(
        source=log.source,
        rows=log.rows,
        duplicates_dropped=log.duplicates_dropped,
        first=log.first,
        last=log.last,
        volume=log.day_rows,
        spreads=tuple(
            _spread(name, units[name], values, profile.facts.columns[name].empty_share)
            for name, values in profile.sample.items()
        ),
        notes=log.notes,
        profile=profile,
    )


def moved(reference: LogSummary, current: LogSummary) -> ShiftReport:
    """How far the columns of a log have moved since another one."""
    return shift_report(reference.profile.sample, current.profile.sample, ShiftBounds())


def _spread(name: str, unit: str, values: NDArray[Any], empty: float) -> Spread:
    if values.dtype.kind == "f":
        places, shares = _binned(values[np.isfinite(values)])
        return Spread(name, unit, True, places, shares, empty)
    levels, counts = np.unique(values, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:LEVELS]
    named: Mapping[str, int] = {str(levels[i]) or "(empty)": int(counts[i]) for i in most}
    rest = len(values) - sum(named.values())
    if rest:
        named = {**named, "all others": rest}
    return Spread(
        name, unit, False, tuple(named), tuple(n / len(values) for n in named.values()), empty
    )


def _binned(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Equal bins up to the 99.5 % point, so that one outlier does not hide all others."""
    if not len(values):
        return (), ()
    low, high = (float(end) for end in (values.min(), np.quantile(values, 0.995)))
    few = np.unique(values)
    if len(few) <= LEVELS:
        counts = np.array([(values == value).sum() for value in few])
        return tuple(few.tolist()), tuple((counts / len(values)).tolist())
    counts, edges = np.histogram(np.minimum(values, high), BINS, (low, max(high, low + 1e-12)))
    middles = (edges[1:] + edges[:-1]) / 2
    return tuple(middles.tolist()), tuple((counts / len(values)).tolist())
