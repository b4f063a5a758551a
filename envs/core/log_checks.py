"""Checks that need the whole log: contradictions between columns, repeated ids, mixed units.

They run in DuckDB over the staged rows (a view `staged` with the canonical columns, a row number
`__row` counted from 1 and `__broken`, true where a cell was already reported).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.log_problems import ROWS_NAMED, LogProblem, Problems
from envs.core.log_schema import Column, LogSchema

UNIT_RATIO = 50.0
"""Two groups of values this far apart differ by a unit, not by a market.

A change of unit is a factor of 100 (cents) or 1000 (per impression); half of 100 leaves room for
the price level to move by a factor of two at the same time.
"""

BINS_PER_DECADE = 20
FEWEST_FOR_UNITS = 10
"""With fewer positive values a wide spread says nothing."""

_QUARTILES = np.array([0.25, 0.5, 0.75])

_BLOCKS = 200
"""A change of unit that lasts for a hundredth of the file fills at least one block."""

_SMALLEST_BLOCK = 20
_FEWEST_IN_BLOCK = 10


def quoted(name: str) -> str:
    """A column name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def check_rules(connection: Any, schema: LogSchema, names: Sequence[str], found: Problems) -> None:
    """Record every row rule of the schema that some row breaks."""
    for rule in schema.rules:
        if not set(rule.columns) <= set(names) or set(rule.absent) & set(names):
            continue
        where = f"({rule.broken}) AND NOT __broken"
        rows, first_rows = _rows_where(connection, where)
        if rows:
            found.add(
                LogProblem(rule.columns[0], rule.found, rule.allowed, rule.action, rows, first_rows)
            )


def drop_repeats(connection: Any, key: str, names: Sequence[str], found: Problems) -> int:
    """Fill the table `dropped` with rows identical to an earlier one; returns how many.

    Rows that share an id and differ in anything else are recorded as a problem.
    """
    row_id = quoted(key)
    content = ", ".join(quoted(name) for name in names)
    # Grouping 64-bit hashes first keeps memory small: ids of any length, nearly all unique.
    connection.execute(
        f"CREATE TEMP TABLE suspects AS SELECT hash({row_id}) AS h FROM staged "
        "WHERE NOT __broken GROUP BY h HAVING count(*) > 1"
    )
    connection.execute(
        f"CREATE TEMP TABLE repeats AS SELECT __row, {row_id} AS id, hash({content}) AS content "
        f"FROM staged WHERE NOT __broken AND hash({row_id}) IN (SELECT h FROM suspects)"
    )
    connection.execute(
        "CREATE TEMP TABLE groups AS SELECT id, min(__row) AS kept, count(*) AS rows, "
        "min(content) <> max(content) AS differ FROM repeats GROUP BY id HAVING count(*) > 1"
    )
    connection.execute(
        "CREATE TEMP TABLE dropped AS SELECT __row FROM repeats JOIN groups USING (id) "
        "WHERE __row > kept AND NOT differ"
    )
    [(rows, example)] = connection.execute(
        "SELECT coalesce(sum(rows), 0), min(id) FROM groups WHERE differ"
    ).fetchall()
    if rows:
        first = connection.execute(
            "SELECT __row FROM repeats JOIN groups USING (id) WHERE differ "
            f"ORDER BY id, __row LIMIT {ROWS_NAMED}"
        ).fetchall()
        found.add(
            LogProblem(
                key,
                f"the same id with different content, such as {example!r},",
                "one content per id",
                "keep one row per id, or map a column that names each row",
                int(rows),
                tuple(row for (row,) in first),
            )
        )
    dropped: int = connection.execute("SELECT count(*) FROM dropped").fetchall()[0][0]
    return dropped


def check_units(connection: Any, column: Column, rows: int, found: Problems) -> None:
    """Record a column whose positive values mix two units.

    Each sign is a factor of `UNIT_RATIO` or more: a stretch of the file on another level, or what
    `unit_break` finds in the histogram.
    """
    name = quoted(column.name)
    stretch = _shifted_stretch(connection, name, rows)
    if stretch is not None:
        first_row, last_row, ratio = stretch
        what = f"values about {ratio:,.3g} times the rest in rows {first_row:,} to {last_row:,}"
        found.add(_unit_problem(column, what, last_row - first_row + 1, (first_row,)))
        return
    bins = connection.execute(
        f"SELECT floor(log10({name}) * {BINS_PER_DECADE})::INT AS bin, count(*) FROM staged "
        f"WHERE {name} > 0 AND NOT __broken GROUP BY bin ORDER BY bin"
    ).fetchnumpy()
    lowest = unit_break(np.asarray(bins["bin"]), np.asarray(bins["count_star()"]))
    if lowest is not None:
        # The same expression as the bins, so that rounding cannot part the two.
        where = f"{name} > 0 AND floor(log10({name}) * {BINS_PER_DECADE}) >= {lowest}"
        count, first_rows = _rows_where(connection, f"{where} AND NOT __broken")
        edge = 10.0 ** (lowest / BINS_PER_DECADE)
        what = f"values from {edge:,.4g} up, far above the rest of the column,"
        found.add(_unit_problem(column, what, count, first_rows))


def unit_break(bins: NDArray[np.int64], counts: NDArray[np.int64]) -> int | None:
    """The histogram bin from which values are in another unit; None where one unit explains all.

    `bins` [B] are floor(log10(value) * BINS_PER_DECADE), ascending; `counts` [B] how many values.
    A long honest tail thins out with every decade and its quartiles stay together; a second unit
    is a gap, a second hump, or parts the quartiles. Not seen: more than two thirds of the rows in
    the larger unit, scattered singly and overlapping the smaller.
    """
    if counts.sum() < FEWEST_FOR_UNITS:
        return None
    unit_distance = BINS_PER_DECADE * math.log10(UNIT_RATIO)
    for split in np.flatnonzero(np.diff(bins) > BINS_PER_DECADE) + 1:
        below, above = slice(None, split), slice(split, None)
        distance = _mean(bins[above], counts[above]) - _mean(bins[below], counts[below])
        # A single low price (an exchange's minimum) under a whole market is no second unit.
        lone_minimum = split == 1 and len(bins) > 2
        if distance >= unit_distance and not lone_minimum:
            return int(bins[split])
    lower, median, upper = bins[np.searchsorted(np.cumsum(counts), counts.sum() * _QUARTILES)]
    if upper - lower >= unit_distance:
        return int(bins[bins >= (lower + upper) / 2][0])
    far = bins >= median + 2 * BINS_PER_DECADE
    between = (bins >= median + BINS_PER_DECADE) & ~far
    # Even with infinite mean (Pareto, exponent 1) the farther decade holds a ninth of the nearer.
    if counts[far].sum() * 3 > counts[between].sum():
        return int(bins[far][0]) if far.any() else None
    return None


def _shifted_stretch(connection: Any, name: str, rows: int) -> tuple[int, int, float] | None:
    """First row, last row and ratio of the stretch of blocks on another level, if there is one."""
    size = max(_SMALLEST_BLOCK, math.ceil(rows / _BLOCKS))
    blocks = connection.execute(
        f"SELECT (__row - 1) // {size} AS block, avg(log10({name})) AS level FROM staged "
        f"WHERE {name} > 0 AND NOT __broken GROUP BY block "
        f"HAVING count(*) >= {_FEWEST_IN_BLOCK} ORDER BY block"
    ).fetchnumpy()
    level = np.asarray(blocks["level"])
    if level.size < 2:
        return None
    # Not an average of the two middle levels, which would lie on neither when they tie.
    usual = np.sort(level)[(level.size - 1) // 2]
    shifted = np.flatnonzero(np.abs(level - usual) >= math.log10(UNIT_RATIO))
    if shifted.size == 0:
        return None
    block = np.asarray(blocks["block"])[shifted]
    ratio = 10.0 ** float(np.mean(level[shifted]) - usual)
    return int(block[0] * size + 1), int(min((block[-1] + 1) * size, rows)), ratio


def _unit_problem(column: Column, what: str, rows: int, first_rows: tuple[int, ...]) -> LogProblem:
    return LogProblem(
        column.name,
        f"mixed units: {what}",
        f"one unit throughout ({column.unit})",
        "convert the column to one unit, or leave out the part logged in another",
        rows,
        first_rows,
    )


def _rows_where(connection: Any, where: str) -> tuple[int, tuple[int, ...]]:
    [(count,)] = connection.execute(f"SELECT count(*) FROM staged WHERE {where}").fetchall()
    if not count:
        return 0, ()
    first = connection.execute(
        f"SELECT __row FROM staged WHERE {where} ORDER BY __row LIMIT {ROWS_NAMED}"
    ).fetchall()
    return count, tuple(row for (row,) in first)


def _mean(bins: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    return float(np.average(bins, weights=counts))
