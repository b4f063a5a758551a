"""What is remembered of a log that was trained on: enough to notice that the next one differs."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.log import LogTable

SAMPLED = 10_000
"""Rows of a sample, evenly spaced: a PSI then moves by .005 and a KS distance by .03 by chance."""
_COMPARED = ("bool", "number", "category")

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """One column: its kind, the share of empty cells, the median of its positive numbers."""

    kind: str
    one_unit: bool
    empty_share: float
    positive_median: float | None


@dataclass(frozen=True, kw_only=True)
class LogFacts:
    """A log in a few numbers; `last` is its last moment (UTC, ISO 8601)."""

    sha256: str
    source: str
    rows: int
    days: int
    duplicates: int
    first: str
    last: str
    currency: str
    columns: dict[str, ColumnFacts]

    @property
    def rows_per_day(self) -> float:
        """Rows of a day that has any."""
        return self.rows / self.days

    @property
    def last_day(self) -> date:
        """The UTC day of its last row."""
        return datetime.fromisoformat(self.last).date()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LogFacts:
        """What `as_dict` took apart."""
        columns = {name: ColumnFacts(**facts) for name, facts in values["columns"].items()}
        return cls(**{**values, "columns": columns})


@dataclass(frozen=True, eq=False)
class LogProfile:
    """Facts of a log and a sample of every column that can shift: float `[n]` or text `[n]`."""

    facts: LogFacts
    sample: dict[str, Array]

    def to_bytes(self) -> bytes:
        """One file's content, without pickles."""
        content = io.BytesIO()
        facts = np.frombuffer(json.dumps(self.facts.as_dict()).encode(), np.uint8)
        columns = {f"column {name}": values for name, values in self.sample.items()}
        np.savez_compressed(content, allow_pickle=False, facts=facts, **columns)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> LogProfile:
        """What `to_bytes` wrote.

        Raises ValueError, KeyError or zipfile.BadZipFile where it is something else.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            facts = LogFacts.from_dict(json.loads(saved["facts"].tobytes()))
            named = {name.removeprefix("column "): saved[name] for name in saved.files}
        del named["facts"]
        return cls(facts, named)


def profile_of(log: LogTable, currency: str) -> LogProfile:
    """What is remembered of a log, read once in batches."""
    columns = [c for c in log.columns if c.kind in _COMPARED and not c.key]
    names = [c.name for c in columns]
    wanted = np.unique(np.linspace(0, log.rows - 1, min(SAMPLED, log.rows)).astype(np.int64))
    parts: dict[str, list[Array]] = {name: [] for name in names}
    empty = dict.fromkeys(names, 0)
    row = 0
    for batch in log.batches(names) if names else ():
        size = len(batch[names[0]])
        rows = wanted[(wanted >= row) & (wanted < row + size)] - row
        for name in names:
            values = batch[name]
            empty[name] += _empty(values)
            parts[name].append(_plain(values[rows]))
        row += size
    sample = {name: np.concatenate(values) for name, values in parts.items()}
    facts = {
        c.name: ColumnFacts(
            kind=c.kind,
            one_unit=c.one_unit,
            empty_share=empty[c.name] / log.rows,
            positive_median=_positive_median(sample[c.name]),
        )
        for c in columns
    }
    return LogProfile(
        LogFacts(
            sha256=log.sha256,
            source=log.source,
            rows=log.rows,
            days=len(log.days()),
            duplicates=log.duplicates_dropped,
            first=log.first.isoformat(),
            last=log.last.isoformat(),
            currency=currency,
            columns=facts,
        ),
        sample,
    )


def newer_part(log: LogTable, than: LogFacts | None) -> LogTable:
    """The days of a log after the last one of an earlier log; all of it where there are none.

    A log that grows shares most of its rows with the earlier one, and they would hide what is new.
    """
    if than is None or log.last.date() <= than.last_day:
        return log
    days = [day for day in log.days() if day > than.last_day]
    return log.between(days[0], days[-1]) if days else log


def _plain(values: Array) -> Array:
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    if values.dtype.kind == "b":
        return np.where(values, "true", "false")
    return values.astype(str)


def _empty(values: Array) -> int:
    if values.dtype.kind == "f":
        return int(np.isnan(values).sum())
    return int((values == "").sum()) if values.dtype.kind == "O" else 0


def _positive_median(values: Array) -> float | None:
    if values.dtype.kind != "f":
        return None
    positive = values[np.nan_to_num(values) > 0]
    return float(np.median(positive)) if len(positive) else None
