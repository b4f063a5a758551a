"""The decision-table pack says the same in all of its forms, under one key."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import duckdb
import pyarrow.parquet as pq
import pytest

from ppo_marketing.errors import Refused
from ppo_marketing.export.decision_table import DecisionTable
from ppo_marketing.export.targets import DecisionPack

TABLE = DecisionTable(
    key=("weeks", "weekend"),
    decided=("decision", "multiplier"),
    amounts=("multiplier",),
    rows=(
        {"decision_id": "1|t", "weeks": 1, "weekend": True, "decision": "=none", "multiplier": 0.1},
        {"decision_id": "2|f", "weeks": 2, "weekend": False, "decision": "a,b", "multiplier": 1.5},
    ),
    meaning={"weeks": "since"},
    notes=("caps are free",),
)
PACK = DecisionPack(TABLE, "abc123", "2026-11-21T06:00:00+00:00")


def files() -> dict[str, bytes]:
    return PACK.files([ready.row for _, ready in PACK.draft(TABLE.rows).ready])


def test_csv_parquet_and_json_hold_the_same_rows() -> None:
    made = files()
    stamp = {"policy_version": "abc123", "updated_at": "2026-11-21T06:00:00+00:00"}
    wanted = [{**row, **stamp} for row in TABLE.rows]
    assert json.loads(made["decision_table.json"])["rows"] == wanted
    assert pq.read_table(io.BytesIO(made["decision_table.parquet"])).to_pylist() == wanted
    rows = list(csv.DictReader(io.StringIO(made["decision_table.csv"].decode(), newline="")))
    assert rows[0] == {
        "decision_id": "1|t", "weeks": "1", "weekend": "true", "decision": "'=none",
        "multiplier": "0.1", **stamp,
    }  # fmt: skip
    assert rows[1]["decision"] == "a,b"


def test_the_ddl_makes_a_table_that_takes_the_rows_once() -> None:
    made = files()
    db = duckdb.connect()
    db.execute(made["decision_table.sql"].decode())
    rows = json.loads(made["decision_table.json"])["rows"]
    columns = PACK.columns
    marks = ", ".join("?" for _ in columns)
    for row in rows:
        db.execute(f"INSERT INTO decision_table VALUES ({marks})", [row[name] for name in columns])
    assert db.execute("SELECT count(*) FROM decision_table").fetchall() == [(2,)]
    with pytest.raises(duckdb.ConstraintException):
        db.execute(
            f"INSERT INTO decision_table VALUES ({marks})", [rows[0][name] for name in columns]
        )
    assert re.search('PRIMARY KEY \\("decision_id"\\)', made["decision_table.sql"].decode())


def test_amounts_are_held_to_the_largest_change() -> None:
    ((_, first), _) = PACK.draft(TABLE.rows).ready
    assert str(first.sizes["multiplier"]) == "0.1"


def test_segments_limits_are_held() -> None:
    wide = replace(TABLE, key=tuple(f"k{n}" for n in range(600)))
    with pytest.raises(Refused, match="512 columns"):
        DecisionPack(wide, "a", "b").files(list(TABLE.rows))
    long = {**TABLE.rows[0], "decision": "x" * 140_000}
    assert "bytes" in PACK.draft([long]).refused[0].reason
