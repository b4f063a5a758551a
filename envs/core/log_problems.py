"""What is wrong with a log: every problem collected first, then told in one message."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

ROWS_NAMED = 5
"""Row numbers quoted per problem: enough to find the pattern, few enough to read."""

RAGGED_ROWS_LIMIT = 1_000
"""With more rows of a wrong width the delimiter or the quoting is wrong: reading on is idle."""


@dataclass(frozen=True)
class LogProblem:
    """One thing that is wrong: where, what was found, what is allowed, what to do.

    `column` is empty when the whole file is meant. `first_rows` count data rows from 1, the header
    excluded; `rows` is how many rows are affected in all (0 when rows do not apply).
    """

    column: str
    found: str
    allowed: str
    action: str
    rows: int = 0
    first_rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f"{self.column}: " if self.column else ""
        rows = ""
        if self.rows:
            named = ", ".join(map(str, self.first_rows))
            label = "first " if self.rows > len(self.first_rows) else ""
            rows = f" in {_counted(self.rows, 'row')} ({label}{named})" if named else ""
            rows = rows or f" in {_counted(self.rows, 'row')}"
        return f"{where}{self.found}{rows}. Allowed: {self.allowed}. To do: {self.action}."


class LogError(ValueError):
    """A log that breaks its schema, refused as a whole; `problems` holds every reason."""

    def __init__(self, source: str, problems: tuple[LogProblem, ...]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = problems

    def __str__(self) -> str:
        count = _counted(len(self.problems), "problem")
        lines = [f"{self.source} was not read: {count}. Nothing was written."]
        lines += [f"  {number}. {problem}" for number, problem in enumerate(self.problems, 1)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Fault:
    """A kind of broken cell: `found` is completed by an example from the file."""

    found: str
    allowed: str
    action: str


@dataclass
class Problems:
    """Collects the problems of one file while it streams past; memory does not grow with it."""

    source: str
    _whole: list[LogProblem] = field(default_factory=list)
    _cells: dict[tuple[str, Fault], _Tally] = field(default_factory=dict)
    _ragged: list[int] = field(default_factory=list)
    _ragged_widths: tuple[int, int] = (0, 0)

    def add(self, problem: LogProblem) -> None:
        """Record a finished problem."""
        self._whole.append(problem)

    def add_cells(
        self, column: str, fault: Fault, wrong: NDArray[np.bool_], raw: Any, first_row: int
    ) -> None:
        """Count the cells of one batch where `wrong` [rows] is set.

        `raw` is the Arrow array as it came from the file; `first_row` is the number of the
        batch's first row, counted from 1.
        """
        positions = np.flatnonzero(wrong)
        if positions.size == 0:
            return
        tally = self._cells.setdefault((column, fault), _Tally(_shown(raw[int(positions[0])])))
        tally.count += int(positions.size)
        missing = ROWS_NAMED - len(tally.rows)
        tally.rows += [first_row + int(p) for p in positions[: max(missing, 0)]]

    def add_ragged(self, row: int, expected: int, actual: int) -> None:
        """Record a CSV row of the wrong width."""
        insort(self._ragged, row)
        self._ragged_widths = (expected, actual)

    @property
    def too_ragged(self) -> bool:
        """Whether so many rows have a wrong width that reading on says no more."""
        return len(self._ragged) > RAGGED_ROWS_LIMIT

    def refuse(self) -> None:
        """Raise what was collected, if anything was.

        Raises:
            LogError: with every problem recorded so far.
        """
        problems = [
            replace(problem, first_rows=tuple(map(self._in_file, problem.first_rows)))
            for problem in self._whole
        ]
        if self._ragged:
            expected, actual = self._ragged_widths
            problems.append(
                LogProblem(
                    "",
                    f"a number of values other than {expected}, such as {actual},",
                    f"{expected} values in every row, as in the header",
                    "quote values that contain the delimiter, and complete cut rows",
                    len(self._ragged),
                    tuple(self._ragged[:ROWS_NAMED]),
                )
            )
        problems += [
            LogProblem(
                column,
                fault.found + (f", such as {tally.example}," if tally.example else ""),
                fault.allowed,
                fault.action,
                tally.count,
                tuple(self._in_file(row) for row in tally.rows),
            )
            for (column, fault), tally in self._cells.items()
        ]
        if problems:
            raise LogError(self.source, tuple(problems))

    def refuse_file(self, found: str, allowed: str, action: str, *, column: str = "") -> NoReturn:
        """Raise what was collected together with a problem that makes reading on impossible.

        Raises:
            LogError: always.
        """
        self.add(LogProblem(column, found, allowed, action))
        self.refuse()
        raise AssertionError("a problem was just added")

    def _in_file(self, row: int) -> int:
        # Rows of a wrong width are skipped while reading, so they are missing from the count.
        for skipped in self._ragged:
            if skipped > row:
                break
            row += 1
        return row


@dataclass
class _Tally:
    example: str
    count: int = 0
    rows: list[int] = field(default_factory=list)


def listed(names: Sequence[str]) -> str:
    """Names for a message: 'a, b, c', or 'none'."""
    return ", ".join(names) if names else "none"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _shown(scalar: Any) -> str:
    value = scalar.as_py()
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            value = value.decode("utf-8")
    if value is None or value == "":
        return ""
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
