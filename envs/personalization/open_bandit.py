"""Reader of the Open Bandit format (Saito, Aihara, Matsutani and Narita, NeurIPS 2021 datasets).

One row per item shown on a fashion site, with the true propensity of (item | position). The item
table `item_context.csv` beside the log is joined as `item_...` columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from envs.core.log import RawLog
from envs.core.log_problems import Fault, Problems, listed
from envs.core.log_source import open_log

ITEM_TABLE = "item_context.csv"
_UNKNOWN_ITEM = Fault(
    f"an item that {ITEM_TABLE} does not have",
    "the items of the table beside the log",
    "add its row, or take the table away to read the log without item features",
)
_NAMES = {
    "timestamp": "timestamp",
    "action_id": "item_id",
    "position": "position",
    "propensity": "propensity_score",
    "reward": "click",
}


def open_bandit(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """The log's own columns renamed; what else it has is context."""
    raw = open_log(path, problems)
    absent = [name for name in _NAMES.values() if name not in raw.names]
    if absent:
        problems.refuse_file(
            f"no columns {listed(absent)}; the file has {listed(raw.names[:8])}",
            f"the Open Bandit columns {listed(list(_NAMES.values()))}",
            "choose another reader",
        )
    context = [name for name in raw.names if name.strip() and name not in _NAMES.values()]
    beside = path.with_name(ITEM_TABLE)
    table, item_names, notes = _item_table(beside, problems)

    def read(_wanted: Sequence[str], found: Problems) -> Iterator[Any]:
        rows = 0
        for batch in raw.read((*_NAMES.values(), *context), found):
            columns = {name: batch.column(source) for name, source in _NAMES.items()}
            numbers = pa.array(range(rows, rows + batch.num_rows), pa.int64())
            rows += batch.num_rows
            columns["unit_id"] = numbers.cast(pa.string())
            columns |= {name: batch.column(name) for name in context}
            columns |= _joined(
                columns["action_id"], table, item_names, rows - batch.num_rows, found
            )
            yield pa.record_batch(columns)

    names = (*_NAMES, "unit_id", *context, *item_names)
    unit = "visitors carry no id: every row counts as a visitor of its own"
    return RawLog(names, read, (unit, *notes), files=(path,) if table is None else (path, beside))


def _item_table(path: Path, problems: Problems) -> tuple[Any, list[str], tuple[str, ...]]:
    """The item table, its feature columns, notes."""
    if not path.is_file():
        return None, [], (f"no {ITEM_TABLE} beside the log: items have no features",)
    content = path.read_bytes()
    try:
        table = pa_csv.read_csv(pa.py_buffer(content))
    except pa.ArrowInvalid as error:
        problems.refuse_file(
            f"{ITEM_TABLE} beside the log cannot be read ({error})",
            "comma-separated rows, one an item",
            "copy it again, or take it away to read the log without item features",
        )
    if "item_id" not in table.column_names:
        problems.refuse_file(
            f"{ITEM_TABLE} has no item_id; it has {listed(table.column_names)}",
            "a column item_id",
            "copy it again, or take it away to read the log without item features",
        )
    names = [name for name in table.column_names if name.startswith("item_") and name != "item_id"]
    return table, names, ()


def _joined(
    item_id: Any, table: Any, names: Sequence[str], rows_before: int, problems: Problems
) -> dict[str, Any]:
    """The item's features of every row; items that the table does not know are a problem."""
    if table is None:
        return {}
    known = table.column("item_id").combine_chunks().cast(pa.string())
    row = pc.index_in(item_id.cast(pa.string()), known)
    unknown = pc.and_(pc.is_null(row), pc.is_valid(item_id)).to_numpy(zero_copy_only=False)
    problems.add_cells("action_id", _UNKNOWN_ITEM, unknown, item_id, rows_before + 1)
    return {name: pc.take(table.column(name).combine_chunks(), row) for name in names}
