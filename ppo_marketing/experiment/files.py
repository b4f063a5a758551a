"""The files of an experiment: units to deal, dealt units, results; refused with every problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.core.log_convert import TimeForms, converted
from envs.core.log_problems import Fault, LogError, LogProblem, Problems, listed
from envs.core.log_schema import Column
from envs.core.log_source import open_log
from ppo_marketing.errors import UserError
from ppo_marketing.experiment.readout import Results
from ppo_marketing.export.cells import csv_bytes, unusable
from ppo_marketing.files import made, written_whole


class ResultColumns(NamedTuple):
    """What the columns of a results file are called."""

    unit: str = "unit_id"
    arm: str = "arm"
    outcome: str = "outcome"
    before: str | None = None


class ArmNames(NamedTuple):
    """What the arms are called."""

    champion: str = "champion"
    challenger: str = "challenger"


def read_units(path: Path, column: str = "unit_id") -> tuple[str, ...]:
    """The distinct ids of a file's column, in order.

    Raises:
        UserError: the file or the column cannot be read; every problem is listed.
    """
    problems = Problems(path.name)
    try:
        cells = read_cells(path, [id_column(column)], problems)
        problems.refuse()
    except LogError as error:
        raise UserError(str(error)) from error
    return tuple(dict.fromkeys(cells[column].tolist()))


def write_assignment(path: Path, unit_ids: Sequence[str], arms: Any) -> None:
    """Write unit_id and arm, a row a unit, as CSV or Parquet by the file's name; never partially.

    Raises:
        UserError: the name ends otherwise, the file exists, or it cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"an assignment is written as CSV or Parquet: name a file {path.stem}.csv")
    if path.exists():
        raise UserError(f"{path} exists already: choose another name, or delete it")
    table = pa.table({"unit_id": list(unit_ids), "arm": pa.array(np.asarray(arms).tolist())})
    write = pa_csv.write_csv if path.suffix == ".csv" else pq.write_table
    made(path.parent)
    with written_whole(path) as temporary:
        write(table, temporary)


def assignment_csv(unit_ids: Sequence[str], arms: Any) -> bytes:
    """The same as the bytes of a CSV file, which systems read: text is quoted, never changed.

    Raises:
        UserError: an id holds what no text file should, such as control characters.
    """
    wrong = [unit for unit in unit_ids if unusable(unit)]
    if wrong:
        raise UserError(f"{len(wrong)} of the ids {unusable(wrong[0])}: export the ids again")
    rows = (
        {"unit_id": unit, "arm": arm}
        for unit, arm in zip(unit_ids, np.asarray(arms).tolist(), strict=True)
    )
    return csv_bytes(("unit_id", "arm"), rows, mode="machine")


def read_results(
    path: Path, columns: ResultColumns | None = None, arms: ArmNames | None = None
) -> Results:
    """The rows of a results file, CSV or Parquet: who, in which arm, with what outcome.

    An outcome must be there for every row: who did nothing has 0.

    Raises:
        UserError: with every problem of the file.
    """
    named, sides = columns or ResultColumns(), arms or ArmNames()
    problems = Problems(path.name)
    numbers = [name for name in (named.outcome, named.before) if name is not None]
    wanted = [
        id_column(named.unit),
        id_column(named.arm),
        *(Column(name=name, kind="number", unit="outcome") for name in numbers),
    ]
    try:
        cells = read_cells(path, wanted, problems)
        unit, arm = cells[named.unit], cells[named.arm]
        _check_arms(arm, named.arm, sides, problems)
        numbered = _check_units(unit, arm, named, problems)
        problems.refuse()
    except LogError as error:
        raise UserError(str(error)) from error
    return Results(
        unit=numbered,
        challenger=arm == sides.challenger,
        outcome=cells[named.outcome],
        before=None if named.before is None else cells[named.before],
    )


def id_column(name: str) -> Column:
    """A column of ids or names."""
    return Column(name=name, kind="id", unit="one word each")


def read_cells(
    path: Path, columns: Sequence[Column], problems: Problems
) -> dict[str, NDArray[Any]]:
    """The named columns whole; ids are str ("" where empty), numbers float64.

    Raises:
        LogError: the file or a column cannot be read; `problems` lists everything.
    """
    raw = open_log(path, problems)
    absent = [column.name for column in columns if column.name not in raw.names]
    for name in absent:
        problems.add(
            LogProblem(
                name, f"no such column; the file has {listed(raw.names)}", "a column of that name",
                "name yours with the options that end in -column",
            )
        )  # fmt: skip
    names = [column.name for column in columns]
    for name in {name for name in names if names.count(name) > 1}:
        problems.add(
            LogProblem(name, "one column named twice", "a column for each", "correct the names")
        )
    problems.refuse()
    parts: dict[str, list[Any]] = {name: [] for name in names}
    row = 1
    for batch in raw.read(names, problems):
        for column in columns:
            cells = batch.column(batch.schema.get_field_index(column.name))
            report = partial(_report, problems, column, cells, row)
            parts[column.name].append(converted(column, cells, TimeForms(), report))
        row += batch.num_rows
    if row == 1:
        problems.refuse_file("no rows", "one row an outcome", "export the results again")
    return {
        column.name: _array(pa.chunked_array(parts[column.name]), column.kind) for column in columns
    }


def _report(
    problems: Problems, column: Column, cells: Any, row: int, fault: Fault, wrong: Any
) -> None:
    if fault.found == "no value" and column.kind == "number":
        # Rows that are left out because nothing happened would favour the arm with more of them.
        fault = replace(fault, action="write 0 where nothing happened; leave no unit out")
    problems.add_cells(column.name, fault, wrong, cells, row)


def _array(values: Any, kind: str) -> NDArray[Any]:
    if kind == "number":
        return np.asarray(values.fill_null(0.0).to_numpy())
    return np.asarray(values.cast(pa.string()).fill_null("").to_numpy(), dtype=str)


def _check_arms(arm: NDArray[np.str_], column: str, sides: ArmNames, problems: Problems) -> None:
    found = set(np.unique(arm).tolist()) - {""}
    other = sorted(found - set(sides))
    missing = sorted(set(sides) - found)
    if other:
        problems.add(
            LogProblem(
                column, f"arms named {listed(other[:10])}", " and ".join(sides),
                "name yours with --champion and --challenger, and leave other arms out",
                rows=int(np.isin(arm, other).sum()),
            )
        )  # fmt: skip
    if missing:
        problems.add(
            LogProblem(
                column, f"no row of {listed(missing)}", f"rows of {' and '.join(sides)}",
                "export the rows of both arms",
            )
        )  # fmt: skip


def _check_units(
    unit: NDArray[np.str_], arm: NDArray[np.str_], named: ResultColumns, problems: Problems
) -> NDArray[np.int64]:
    """The units numbered; one in two arms was not dealt."""
    _, first, numbered = np.unique(unit, return_index=True, return_inverse=True)
    strays = np.unique(unit[(arm != arm[first][numbered]) & (unit != "")])
    if len(strays):
        problems.add(
            LogProblem(
                named.unit, f"{len(strays):,} units in two arms, such as {strays[0]}",
                "one arm for each unit", "take the arm that was assigned, not the one last seen",
            )
        )  # fmt: skip
    return np.asarray(numbered)
