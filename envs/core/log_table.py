"""A validated log: typed, sorted by time, on disk, read in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.core.log_schema import Column, LogSchema

BATCH_ROWS = 131_072
_METADATA_KEY = b"log"


@dataclass(frozen=True, kw_only=True)
class LogDigest:
    """What is stored beside the rows: where they came from and how they lie in time.

    `days` lists every UTC day that has rows, with its number of rows, in order.
    """

    sha256: str
    names: tuple[str, ...]
    duplicates_dropped: int
    days: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """A log that keeps its schema, sorted by time (file order breaks ties), or a view of its days.

    `source` is the file it was read from and `sha256` the hash of that file's bytes; `path` is the
    canonical Parquet file. `names` are the columns it has: the schema's, then context columns.
    `notes` say what the log cannot show. `day_rows` lists (UTC day, rows) in order, empty days
    left out; `first_row` is where the view starts in the file.
    """

    schema: LogSchema
    source: str
    sha256: str
    path: Path
    names: tuple[str, ...]
    duplicates_dropped: int
    notes: tuple[str, ...]
    day_rows: tuple[tuple[date, int], ...]
    first_row: int = 0

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(count for _, count in self.day_rows)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns it has, with kinds and units."""
        return tuple(self.schema.resolve(name) for name in self.names)

    @property
    def first(self) -> datetime:
        """The earliest timestamp (UTC)."""
        return self._time_at(0)

    @property
    def last(self) -> datetime:
        """The latest timestamp (UTC)."""
        return self._time_at(self.rows - 1)

    def days(self) -> list[date]:
        """The UTC days that have rows, in order."""
        return [day for day, _ in self.day_rows]

    def between(self, first_day: date, last_day: date) -> LogTable:
        """The view of the rows from `first_day` to `last_day`, both included (UTC days).

        Raises:
            ValueError: no row lies in that time.
        """
        kept = tuple(item for item in self.day_rows if first_day <= item[0] <= last_day)
        if not kept:
            days = self.days()
            raise ValueError(
                f"no rows from {first_day} to {last_day}: {self.source} runs from {days[0]} to "
                f"{days[-1]}; choose days inside that time"
            )
        before = sum(count for day, count in self.day_rows if day < first_day)
        return replace(self, day_rows=kept, first_row=self.first_row + before)

    @property
    def context(self) -> tuple[str, ...]:
        """The columns that the schema does not know."""
        return tuple(name for name in self.names if name not in self.schema.names)

    def without(self, columns: Sequence[str], notes: Sequence[str]) -> LogTable:
        """The view that lacks these context columns, with further notes.

        Raises:
            KeyError: a column that this log does not have, or that its schema knows.
        """
        known = [name for name in columns if name not in self.context]
        if known:
            raise KeyError(f"{', '.join(known)}: only context can be left out")
        names = tuple(name for name in self.names if name not in columns)
        return replace(self, names=names, notes=(*self.notes, *notes))

    def batches(
        self, columns: Sequence[str], rows: int = BATCH_ROWS
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Arrays of the named columns, at most `rows` at a time, in time order; bounded memory.

        Numbers are float64 with NaN where a cell is empty, bools are bool, timestamps are
        datetime64[us] in UTC, ids and categories are str objects with "" where empty.

        Raises:
            KeyError: a column that this log does not have.
        """
        self._require(columns)
        for batch in self._record_batches(columns, rows):
            yield {name: _array(batch.column(name)) for name in columns}

    def arrays(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Arrays of the named columns, whole; kinds as in `batches`.

        Raises:
            KeyError: a column that this log does not have.
        """
        self._require(columns)
        parts = list(self.batches(columns))
        return {name: np.concatenate([part[name] for part in parts]) for name in columns}

    def _require(self, columns: Sequence[str]) -> None:
        absent = [name for name in columns if name not in self.names]
        if absent:
            raise KeyError(
                f"{self.source} has no {', '.join(absent)}; it has {', '.join(self.names)}"
            )

    def _record_batches(self, columns: Sequence[str], rows: int) -> Iterator[Any]:
        texts = [c.name for c in self.columns if c.kind == "category" and c.name in columns]
        try:
            with pq.ParquetFile(
                self.path, page_checksum_verification=True, pre_buffer=False, read_dictionary=texts
            ) as file:
                groups, skip = self._groups(file.metadata)
                left = self.rows
                for batch in file.iter_batches(rows, row_groups=groups, columns=list(columns)):
                    kept = batch.slice(skip, left)
                    skip = max(0, skip - batch.num_rows)
                    left -= kept.num_rows
                    if kept.num_rows:
                        yield kept
        except (OSError, pa.ArrowException) as error:
            raise OSError(
                f"{self.path} is damaged ({error}): delete it and read {self.source} again"
            ) from error

    def _groups(self, metadata: Any) -> tuple[list[int], int]:
        """The row groups that hold the view, and how many rows of the first to skip."""
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        ends = np.cumsum(sizes)
        low = int(np.searchsorted(ends, self.first_row, side="right"))
        high = int(np.searchsorted(ends, self.first_row + self.rows, side="left"))
        return list(range(low, high + 1)), self.first_row - int(ends[low] - sizes[low])

    def _time_at(self, row: int) -> datetime:
        one = replace(self, first_row=self.first_row + row, day_rows=((date.min, 1),))
        stamp = one.arrays([self.schema.timestamp])[self.schema.timestamp][0]
        return datetime.fromisoformat(str(stamp)).replace(tzinfo=UTC)


def attach_digest(writer: Any, digest: LogDigest) -> None:
    """Store a digest in the Parquet file that is being written."""
    writer.add_key_value_metadata({_METADATA_KEY: json.dumps(asdict(digest)).encode()})


def load_table(path: Path, schema: LogSchema, source: str) -> LogTable | None:
    """The table kept in a canonical Parquet file; None where there is no sound one."""
    try:
        stored = json.loads(pq.read_metadata(path).metadata[_METADATA_KEY])
    except (OSError, pa.ArrowException, KeyError):
        return None
    return LogTable(
        schema=schema,
        source=source,
        sha256=stored["sha256"],
        path=path,
        names=tuple(stored["names"]),
        duplicates_dropped=stored["duplicates_dropped"],
        notes=tuple(stored["notes"]),
        day_rows=tuple((date.fromisoformat(day), rows) for day, rows in stored["days"]),
    )


def _array(values: Any) -> NDArray[Any]:
    kind = values.type
    if pa.types.is_timestamp(kind):
        return np.asarray(values.cast(pa.int64())).view("datetime64[us]")
    if pa.types.is_dictionary(kind):
        # One Python string a level, shared by its rows.
        levels = np.array([*values.dictionary.to_pylist(), ""], dtype=object)
        codes = values.indices.fill_null(len(levels) - 1)
        return np.asarray(levels[codes.to_numpy(zero_copy_only=False)])
    if pa.types.is_string(kind):
        return np.asarray(values.fill_null("").to_numpy(zero_copy_only=False), dtype=object)
    return np.asarray(values.to_numpy(zero_copy_only=False))
