"""From a raw log to typed rows on disk, cell by cell checked, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from envs.core.log_convert import ARROW_TYPES, Mask, TimeForms, converted
from envs.core.log_problems import Fault, LogProblem, Problems, listed
from envs.core.log_schema import Column, LogSchema, RawLog


@dataclass(frozen=True)
class Staged:
    """Typed rows in file order; wrong cells are empty there and their rows marked as broken."""

    path: Path
    names: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]


def stage(
    raw: RawLog,
    schema: LogSchema,
    source_of: Mapping[str, str],
    path: Path,
    latest: datetime,
    problems: Problems,
) -> Staged:
    """Write the rows typed, with `__row` counted from 1 and `__broken`; record every wrong cell.

    `source_of` maps canonical names to the file's; `latest` is the last time allowed.
    """
    columns = [schema.resolve(name) for name in source_of]
    fields = [pa.field(column.name, ARROW_TYPES[column.kind]) for column in columns]
    layout = pa.schema([*fields, pa.field("__row", pa.int64()), pa.field("__broken", pa.bool_())])
    forms, rows = TimeForms(), 0
    with pq.ParquetWriter(path, layout) as writer:
        for batch in raw.read(tuple(source_of.values()), problems):
            broken = np.zeros(batch.num_rows, dtype=bool)
            arrays = []
            for column in columns:
                cells = batch.column(batch.schema.get_field_index(source_of[column.name]))
                report = partial(_report, problems, column.name, cells, rows + 1, broken)
                arrays.append(_typed(column, cells, forms, latest, report))
            numbers = pa.array(np.arange(rows + 1, rows + 1 + batch.num_rows))
            writer.write_batch(pa.record_batch([*arrays, numbers, pa.array(broken)], schema=layout))
            rows += batch.num_rows
    _check_zones(forms, schema, problems)
    if rows < schema.minimum_rows:
        problems.add(too_short(rows, schema, "in the file"))
    return Staged(path, tuple(source_of), rows, _notes(raw, source_of, forms))


def too_short(rows: int, schema: LogSchema, where: str) -> LogProblem:
    """The problem of a log with fewer rows than its schema asks for."""
    found = f"{rows} row{'' if rows == 1 else 's'} {where}"
    return LogProblem("", found, f"{schema.minimum_rows} rows or more", "export a longer period")


def _report(
    problems: Problems,
    column: str,
    cells: Any,
    first_row: int,
    broken: NDArray[np.bool_],
    fault: Fault,
    wrong: Mask,
) -> None:
    problems.add_cells(column, fault, wrong, cells, first_row)
    np.logical_or(broken, wrong, out=broken)


def _typed(column: Column, cells: Any, forms: TimeForms, latest: datetime, report: Any) -> Any:
    values = converted(column, cells, forms, report)
    if column.kind == "timestamp":
        bound = pa.scalar(latest.astimezone(UTC).replace(tzinfo=None), pa.timestamp("us"))
        future = Fault(
            "a time in the future",
            f"times up to {latest:%Y-%m-%d %H:%M} UTC, a day from now",
            "check the clock, the zone and the date format of the log",
        )
        late = pc.greater(values, bound).fill_null(False)
        report(future, np.asarray(late.to_numpy(zero_copy_only=False)))
    return values


def _check_zones(forms: TimeForms, schema: LogSchema, problems: Problems) -> None:
    if forms.naive and forms.zoned:
        problems.add(
            LogProblem(
                schema.timestamp,
                f"{forms.zoned:,} times with a zone and {forms.naive:,} without",
                "all with a zone, or all without (then read as UTC)",
                "add the zone to every time",
            )
        )


def _notes(raw: RawLog, source_of: Mapping[str, str], forms: TimeForms) -> tuple[str, ...]:
    notes = [*raw.notes]
    if forms.naive:
        notes.append("timestamps carry no time zone: taken as UTC")
    if forms.dates_only:
        notes.append(f"{forms.dates_only:,} timestamps are dates without a time: taken as midnight")
    unread = [name for name in raw.names if name not in source_of.values()]
    if unread:
        notes.append(f"columns of the file that were not read: {listed(unread)}")
    return tuple(notes)
