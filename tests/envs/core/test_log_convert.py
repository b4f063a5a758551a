"""Typed columns of Parquet files: taken as they are meant, or refused by their type."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.core.log import Column, LogError, LogSchema, LogTable, read_log

SCHEMA = LogSchema(
    name="visits",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="visit_id", kind="id", unit="one per row", required=False, key=True),
        Column(name="spend", kind="number", unit="euro", required=False),
        Column(name="bought", kind="bool", unit="0 or 1", required=False),
        Column(name="page", kind="category", unit="page", required=False, may_be_empty=True),
    ),
)
NOON = datetime(2024, 5, 1, 12)
TIMES = pa.array([NOON, NOON], pa.timestamp("us"))


def read(folder: Path, **columns: Any) -> LogTable:
    path = folder / "visits.parquet"
    pq.write_table(pa.table({"timestamp": TIMES, **columns}), path)
    return read_log(path, SCHEMA, cache=folder / "cache", now=datetime(2024, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("spend", pa.array([1, 2], pa.int32()), [1.0, 2.0]),
        ("spend", pa.array([1.5, 2.5], pa.float32()), [1.5, 2.5]),
        ("spend", pa.array([Decimal("1.25"), Decimal("2.50")]), [1.25, 2.5]),
        ("spend", pa.array([" 1e1", "+.5 "]), [10.0, 0.5]),
        ("bought", pa.array([True, False]), [True, False]),
        ("bought", pa.array([1, 0], pa.int8()), [True, False]),
        ("bought", pa.array([1.0, 0.0]), [True, False]),
        ("bought", pa.array(["TRUE", "0"]), [True, False]),
        ("visit_id", pa.array([7, 8]), ["7", "8"]),
        ("visit_id", pa.array(["7", "8"], pa.large_string()), ["7", "8"]),
        ("page", pa.array(["home", None]).dictionary_encode(), ["home", ""]),
        ("page", pa.array([None, None], pa.null()), ["", ""]),
        ("page", pa.array([b"home", b"cart"]), ["home", "cart"]),
        ("page", pa.array([0.1 + 0.2, None]), ["0.30000000000000004", ""]),
        ("page", pa.array([float("nan"), 1e-7]), ["", "1e-7"]),
    ],
)
def test_a_typed_column_keeps_its_values(
    tmp_path: Path, name: str, cells: Any, expected: list[object]
) -> None:
    assert read(tmp_path, **{name: cells}).arrays([name])[name].tolist() == expected


@pytest.mark.parametrize(
    ("stamps", "notes"),
    [
        (pa.array([NOON, NOON], pa.timestamp("ns", "UTC")), 0),
        (pa.array([NOON, NOON], pa.timestamp("ms", "Europe/Berlin")), 0),
        (pa.array([NOON, NOON], pa.timestamp("s")), 1),
        (pa.array(["2024-05-01T12:00:00Z"] * 2), 0),
        (pa.array(["2024-05-01 14:00+02:00", "2024-05-01T12:00:00.000000Z"]), 0),
    ],
)
def test_every_way_to_write_noon_is_noon(tmp_path: Path, stamps: Any, notes: int) -> None:
    table = read(tmp_path, timestamp=stamps)
    assert table.first == table.last == NOON.replace(tzinfo=UTC)
    assert len(table.notes) == notes


def test_a_date_is_midnight_and_noted(tmp_path: Path) -> None:
    table = read(tmp_path, timestamp=pa.array([date(2024, 5, 1)] * 2))
    assert table.first == datetime(2024, 5, 1, tzinfo=UTC)
    assert len(table.notes) == 2


@pytest.mark.parametrize(
    ("required", "advice"),
    [(True, "leave out rows where none is known"), (False, "leave the cell empty")],
)
def test_who_logs_a_number_that_is_none_is_told_what_the_column_allows_instead(
    tmp_path: Path, required: bool, advice: str
) -> None:
    spend = Column(name="spend", kind="number", unit="euro", required=required)
    schema = LogSchema(name="visits", columns=(SCHEMA.columns[0], spend))
    path = tmp_path / "visits.parquet"
    pq.write_table(pa.table({"timestamp": TIMES, "spend": [1.0, np.inf]}), path)
    with pytest.raises(LogError) as refusal:
        read_log(path, schema, cache=tmp_path / "cache", now=datetime(2024, 6, 1, tzinfo=UTC))
    [problem] = refusal.value.problems
    assert advice in str(problem)


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("timestamp", pa.array([1_714_567_890] * 2), "values of type int64, such as 1714567890"),
        ("spend", pa.array([[1.0], [2.0]]), "values of type list"),
        ("spend", pa.array([True, False]), "values of type bool"),
        ("spend", pa.array([1.0, np.nan]), "a number that is not finite, such as nan, in 1 row"),
        ("spend", pa.array([1.0, -np.inf]), "a number that is not finite, such as -inf"),
        ("spend", pa.array([1.0, None]), "no value in 1 row (2)"),
        ("bought", pa.array([0.5, 1.0]), "a value other than 0 and 1, such as 0.5"),
        ("bought", pa.array([NOON, NOON]), "values of type timestamp"),
        ("visit_id", pa.array([1.5, 2.5]), "values of type double"),
        ("page", pa.array([b"caf\xe9", b"x"]), "bytes that are not UTF-8, such as b'caf\\xe9'"),
    ],
)
def test_a_column_of_another_type_is_refused_not_converted(
    tmp_path: Path, name: str, cells: Any, expected: str
) -> None:
    with pytest.raises(LogError) as refusal:
        read(tmp_path, **{name: cells})
    [problem] = refusal.value.problems
    assert problem.column == name
    assert expected in str(problem)
