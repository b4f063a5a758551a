"""What a historical log must look like: columns with units and bounds, rules between columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from envs.core.log_problems import Problems

Kind = Literal["timestamp", "id", "bool", "number", "category"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One canonical column of a log.

    `low` and `high` are inclusive bounds of a number. `may_be_empty` allows cells without a value;
    when such a column is a bool, empty reads as false and the log's notes say how often, so pair it
    with a `RowRule` that demands it where it matters. `key` marks the id that names a row: rows
    with the same id must be identical. `one_unit` refuses a column that mixes units.
    """

    name: str
    kind: Kind
    unit: str
    required: bool = True
    low: float | None = None
    high: float | None = None
    may_be_empty: bool = False
    key: bool = False
    one_unit: bool = False

    def __post_init__(self) -> None:
        assert self.kind == "number" or (
            self.low is None and self.high is None and not self.one_unit
        )
        assert not self.key or self.kind == "id"

    @property
    def bounds(self) -> str:
        """The allowed numbers in words."""
        if self.low is not None and self.high is not None:
            return f"numbers from {self.low:g} to {self.high:g} ({self.unit})"
        if self.low is not None:
            return f"numbers of {self.low:g} or more ({self.unit})"
        if self.high is not None:
            return f"numbers up to {self.high:g} ({self.unit})"
        return f"finite numbers ({self.unit})"


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A contradiction between columns of one row.

    `broken` is a SQL expression over `columns` that is true for a bad row; it may look at other
    rows by querying the view `staged`, which holds all of them. The rule is applied when the log
    has all of `columns` and none of `absent`; the first column is named in the message.
    """

    columns: tuple[str, ...]
    broken: str
    found: str
    allowed: str
    action: str
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawLog:
    """A file opened for reading: its column names, and its rows as they are written there.

    `read(names, problems)` yields Arrow batches of those columns in file order; what it cannot
    parse it records in `problems`. `files` are all the files that the rows come from, where that is
    not the one file alone that was named.
    """

    names: tuple[str, ...]
    read: Callable[[Sequence[str], Problems], Iterator[Any]]
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A known file format: yields canonical columns from it, whatever the file calls them.

    `open(path, options, problems)` returns the log; `options` holds a whole number of 1 or more for
    every name in `defaults`. `takes_columns` says that the file's own column names are yielded, so
    that a user maps them as without a reader.
    """

    summary: str
    open: Callable[[Path, Mapping[str, int], Problems], RawLog]
    defaults: Mapping[str, int] = field(default_factory=dict)
    takes_columns: bool = False


@dataclass(frozen=True, kw_only=True)
class LogSchema:
    """The historical log of one decision type: columns, rules between them, named readers.

    Exactly one column is a timestamp, always required; rows are kept in its order. Columns that the
    schema does not know are context when the user maps them; with `unmapped_is_context`, all of
    them are when the user maps none.
    """

    name: str
    columns: tuple[Column, ...]
    rules: tuple[RowRule, ...] = ()
    readers: Mapping[str, Reader] = field(default_factory=dict)
    minimum_rows: int = 2
    unmapped_is_context: bool = False
    unit: str | None = None  # the id of whoever is treated; None: every row is another's

    def __post_init__(self) -> None:
        assert self.unit is None or self.unit in self.names
        assert [c.required for c in self.columns if c.kind == "timestamp"] == [True]
        assert sum(c.key for c in self.columns) <= 1
        assert len(set(self.names)) == len(self.columns)
        assert {name for rule in self.rules for name in rule.columns} <= set(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical column names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def timestamp(self) -> str:
        """The name of the column that orders the log."""
        return next(c.name for c in self.columns if c.kind == "timestamp")

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the same file could be read differently."""
        return repr(
            (self.name, self.columns, self.rules, self.minimum_rows, self.unmapped_is_context)
        )

    def resolve(self, name: str) -> Column:
        """The column of that name; one the schema does not know is context, carried as text."""
        for column in self.columns:
            if column.name == name:
                return column
        return Column(
            name=name, kind="category", unit="category", required=False, may_be_empty=True
        )
