"""Decision-table pack: CSV, Parquet and JSON with a DDL and a primary key, for reverse ETL.

Reverse ETL tools (Hightouch, RudderStack, Segment) need one primary-key column, unique and never
null, and follow changes by a timestamp. Segment's limits are the narrowest: 512 columns, names of
128 characters, cells of 128 KiB.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ppo_marketing.errors import Refused
from ppo_marketing.export.cells import Mode, csv_bytes, text_of
from ppo_marketing.export.decision_table import ID, DecisionTable
from ppo_marketing.export.sealed import as_json
from ppo_marketing.export.target import Draft, Ready, Row, Unfit, drafted

MOST_COLUMNS = 512
LONGEST_NAME = 128
LARGEST_CELL = 128 * 1024
VERSION, UPDATED = "policy_version", "updated_at"
_SQL: Mapping[type, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE PRECISION",
    str: "VARCHAR",
}


@dataclass(frozen=True)
class DecisionPack:
    """The decision table of one policy; `updated_at` is ISO 8601, UTC."""

    table: DecisionTable
    policy_version: str
    updated_at: str
    relation: str = "decision_table"

    name = "table"
    key = (ID,)
    mode: Mode = "spreadsheet"
    personal = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Key, situation, decision, which policy decided and when."""
        return (*self.table.columns, VERSION, UPDATED)

    def draft(self, given: Sequence[Row]) -> Draft:
        """The table's own rows."""
        return drafted(given, self._ready)

    def _ready(self, row: Row) -> Ready:
        large = [n for n, v in row.items() if len(text_of(v).encode()) > LARGEST_CELL]
        if large:
            raise Unfit(f"{', '.join(large)}: more than {LARGEST_CELL:,} bytes")
        sizes = {name: Decimal(text_of(row[name])) for name in self.table.amounts}
        return Ready(row, sizes)

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """CSV (for people: text is escaped), Parquet, JSON and the DDL, all of the same rows."""
        columns = self.columns
        long = [name for name in columns if len(name) > LONGEST_NAME]
        if len(columns) > MOST_COLUMNS or long:
            raise Refused(
                f"{len(columns)} columns, of which {len(long)} have names longer than "
                f"{LONGEST_NAME} characters; {MOST_COLUMNS} columns are the most"
            )
        # Not part of what is compared: another policy that decides alike changes nothing.
        stamp = {VERSION: self.policy_version, UPDATED: self.updated_at}
        dated: list[dict[str, Any]] = [{**row, **stamp} for row in rows]
        about = {
            "relation": self.relation,
            "primary_key": ID,
            "meaning": dict(self.table.meaning),
            "notes": list(self.table.notes),
            "rows": dated,
        }
        return {
            f"{self.relation}.csv": csv_bytes(columns, dated, mode=self.mode),
            f"{self.relation}.parquet": _parquet(columns, dated),
            f"{self.relation}.json": as_json(about),
            f"{self.relation}.sql": self._ddl(columns, dated).encode(),
        }

    def _ddl(self, columns: Sequence[str], rows: Sequence[Row]) -> str:
        kinds = {name: type(rows[0][name]) for name in columns}
        lines = [
            f"    {_named(name)} {'TIMESTAMP' if name == UPDATED else _SQL[kinds[name]]} NOT NULL"
            for name in columns
        ]
        lines.append(f"    PRIMARY KEY ({_named(ID)})")
        notes = "".join(f"-- {note}\n" for note in self.table.notes)
        body = ",\n".join(lines)
        return f"{notes}CREATE TABLE {_named(self.relation)} (\n{body}\n);\n"


def _named(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _parquet(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: [row[name] for row in rows] for name in columns})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()
