"""A policy as a table of probabilities, read from a file and matched with the rows of a log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.core.log import Column, LogSchema, LogTable
from envs.core.log_convert import TimeForms, converted
from envs.core.log_problems import ROWS_NAMED, Fault, LogProblem, Problems, listed
from envs.core.log_source import open_log
from ppo_marketing.config import LogSection
from ppo_marketing.ope.checks import SUM_TOLERANCE

PREFIX = "p_"
"""May stand before an action's id. Where any column has it, only those that have it are actions,
unless the log's own actions are all there without it."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PolicyTable:
    """`probabilities [n, A]` of the columns, by `ids [n]` of rows where the file has them."""

    source: str
    columns: tuple[str, ...]
    probabilities: Floats
    ids: NDArray[Any] | None

    def action_names(self, logged: tuple[str, ...]) -> tuple[str, ...]:
        """What each column's action is called, less the prefix unless the log has it so."""
        return tuple(name if name in logged else name.removeprefix(PREFIX) for name in self.columns)


def read_policy(
    path: Path, key_names: tuple[str, ...], logged: tuple[str, ...] = ()
) -> PolicyTable:
    """Read a file of probabilities, CSV or Parquet; `key_names` are what ids may be called.

    `logged` are the actions that the log took, as far as they are known.

    Raises:
        LogError: with every problem of the file.
    """
    problems = Problems(path.name)
    raw = open_log(path, problems)
    key = next((name for name in key_names if name in raw.names), None)
    others = [name for name in raw.names if name.strip() and name != key]
    actions = others
    if not logged or not set(logged) <= set(others):
        actions = [name for name in others if name.startswith(PREFIX)] or others
    wanted = [
        Column(name=name, kind="number", unit="probability", low=0.0, high=1.0) for name in actions
    ]
    if key is not None:
        wanted.append(Column(name=key, kind="id", unit="row of the log", key=True))
    if not actions:
        problems.refuse_file("no columns of actions", "a column for every action", "add them")
    parts: dict[str, list[Any]] = {column.name: [] for column in wanted}
    row = 1
    for batch in raw.read([column.name for column in wanted], problems):
        for column in wanted:
            cells = batch.column(batch.schema.get_field_index(column.name))
            report = partial(_report, problems, column.name, cells, row)
            parts[column.name].append(converted(column, cells, TimeForms(), report))
        row += batch.num_rows
    if row == 1:
        problems.refuse_file("no rows", "one row for every row of the log", "write it again")
    cells = {name: pa.chunked_array(part) for name, part in parts.items()}
    probabilities = np.column_stack([
        cells[name].fill_null(np.nan).to_numpy() for name in actions
    ])  # fmt: skip
    ids = None
    if key is not None:
        ids = np.asarray(cells[key].fill_null("").to_numpy(), dtype=str)
        _refuse_repeats(ids, key, problems)
    _refuse_sums(probabilities, problems)
    problems.refuse()
    return PolicyTable(path.name, tuple(actions), probabilities, ids)


def _report(
    problems: Problems, column: str, cells: Any, row: int, fault: Fault, wrong: Any
) -> None:
    problems.add_cells(column, fault, wrong, cells, row)


def _refuse_repeats(ids: NDArray[Any], key: str, problems: Problems) -> None:
    first = np.unique(ids, return_index=True)[1]
    repeated = np.ones(len(ids), np.bool_)
    repeated[first] = False
    repeated &= ids != ""  # an empty one has been told of
    _add(problems, key, "rows that repeat an earlier id", "each row once", "drop copies", repeated)


def _refuse_sums(probabilities: Floats, problems: Problems) -> None:
    total = probabilities.sum(axis=1)
    off = np.abs(total - 1.0) > SUM_TOLERANCE  # NaN, told of already, is not
    example = f"{total[off][0]:g}" if off.any() else ""
    _add(
        problems, "", f"probabilities that do not sum to 1, such as {example},",
        f"1 within {SUM_TOLERANCE:g}", "divide each row by its sum, or add the missing actions",
        off,
    )  # fmt: skip


def _add(
    problems: Problems, column: str, found: str, allowed: str, action: str, wrong: NDArray[np.bool_]
) -> None:
    if wrong.any():
        rows = np.flatnonzero(wrong) + 1
        problems.add(
            LogProblem(column, found, allowed, action, len(rows), tuple(rows[:ROWS_NAMED].tolist()))
        )


def matched(
    table: PolicyTable, log: LogTable, section: LogSection, logged: tuple[str, ...]
) -> tuple[Floats, tuple[str, ...]]:
    """The probabilities in the log's order `[rows, A]`, and the names of the A actions.

    Rows are joined by the id that the log's schema marks as key; where the log has none, by their
    order in the two files. `logged` are the actions that the log took.

    Raises:
        LogError: actions or rows do not match; every reason is listed.
    """
    problems = Problems(table.source)
    names = table.action_names(logged)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        problems.add(
            LogProblem(
                "", f"two columns of {listed(twice)}", "one column an action", "keep one of them"
            )
        )
    absent = [action for action in logged if action not in names]
    if absent:
        problems.add(
            LogProblem(
                "", f"no column of the actions {listed(absent)}, which the log took",
                "a column named after every action of the log, with or without "
                f"{PREFIX!r} before it", "add them, with 0 where the policy never takes one",
            )
        )  # fmt: skip
    if log.duplicates_dropped:
        problems.add(
            LogProblem(
                "", f"{log.source} repeats {log.duplicates_dropped:,} rows", "each row once",
                "drop the copies: they would pass for independent evidence",
            )
        )  # fmt: skip
    key = key_of(log.schema)
    place = None
    if key is not None and key in log.names:
        place = _by_id(table, log.arrays([key])[key].astype(str), key, problems)
    elif len(table.probabilities) != log.rows:
        problems.add(
            LogProblem(
                "", f"{len(table.probabilities):,} rows, where the log has {log.rows:,}",
                "one row for every row of the log, in the order of its file",
                "write the probabilities of exactly these rows"
                + ("" if key is None else f", or give both files the column {key}"),
            )
        )  # fmt: skip
    else:
        place = _file_order(log, section, problems)
    problems.refuse()
    assert place is not None, "what is not matched has been refused"
    return table.probabilities[place], names


def key_of(schema: LogSchema) -> str | None:
    """The column whose ids name rows."""
    return next((column.name for column in schema.columns if column.key), None)


def _by_id(table: PolicyTable, wanted: NDArray[Any], key: str, problems: Problems) -> Ints | None:
    if table.ids is None:
        problems.add(
            LogProblem(
                key, "no such column, though the log names its rows by it", "the log's ids",
                "write the id beside the probabilities of each row",
            )
        )  # fmt: skip
        return None
    order = np.argsort(table.ids, kind="stable")
    place = order[np.minimum(np.searchsorted(table.ids[order], wanted), len(order) - 1)]
    missing = table.ids[place] != wanted
    strange = ~np.isin(table.ids, wanted)
    if missing.any():
        problems.add(
            LogProblem(
                key, f"no probabilities of {int(missing.sum()):,} rows of the log, such as "
                f"{wanted[missing][0]}", "one row for every row of the log", "add them",
            )
        )  # fmt: skip
    example = f"such as {table.ids[strange][0]}," if strange.any() else ""
    _add(
        problems, key, f"ids that the log does not have, {example}", "the log's ids",
        "drop these rows, or take the log that they belong to", strange,
    )  # fmt: skip
    return place


def _file_order(log: LogTable, section: LogSection, problems: Problems) -> Ints | None:
    """The row of the file `[rows]` that each row of the log, sorted by time, was."""
    assert section.path is not None
    column = log.schema.resolve(log.schema.timestamp)
    if section.reader is None:
        raw, name = open_log(section.path, problems), section.columns.get(column.name, column.name)
    else:
        reader = log.schema.readers[section.reader]
        raw = reader.open(section.path, {**reader.defaults, **section.reader_options}, problems)
        takes = reader.takes_columns
        name = section.columns.get(column.name, column.name) if takes else column.name
    times = [
        converted(
            column, batch.column(batch.schema.get_field_index(name)), TimeForms(), lambda *_: None
        )
        for batch in raw.read([name], problems)
    ]
    in_file = pa.chunked_array(times).cast(pa.int64()).to_numpy()
    order = np.argsort(in_file, kind="stable")
    logged = log.arrays([column.name])[column.name].astype(np.int64)
    if np.array_equal(in_file[order], logged):
        return np.asarray(order, np.int64)
    problems.add(
        LogProblem(
            "", "rows that cannot be matched with the log by their order",
            "a log that is read row by row", "give both files an id for every row",
        )
    )  # fmt: skip
    return None


def uniform(actions: int, rows: int, eligible: NDArray[np.bool_] | None) -> Floats:
    """Every eligible action equally likely, `[rows, actions]`; costs nothing where all are."""
    if eligible is None:
        return np.broadcast_to(np.full(actions, 1.0 / actions), (rows, actions))
    return np.asarray(eligible / eligible.sum(axis=1, keepdims=True))
