"""Reader of any table of a randomised test: one row a unit, with its arm, outcome and features.

The user names arm and outcome (and times, where there are any) with `--columns`. A table without
times is dealt to pseudo-days, one without unit ids has one unit a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from envs.core.log import RawLog
from envs.core.log_problems import Problems
from envs.core.log_source import open_log
from envs.personalization.pseudo_time import dealt_times

TABLE_NOTE = (
    "read as a randomised table: rows without times are dealt evenly to pseudo-days, so that drift "
    "cannot be seen"
)


def open_table(path: Path, options: Mapping[str, int], problems: Problems) -> RawLog:
    """The file's own columns, and `timestamp` and `unit_id` where it has none of these names."""
    raw = open_log(path, problems)
    made = [name for name in ("timestamp", "unit_id") if name not in raw.names]

    def read(wanted: Sequence[str], found: Problems) -> Iterator[Any]:
        own = [name for name in wanted if name not in made] or list(raw.names[:1])
        rows = 0
        for batch in raw.read(own, found):
            columns = {name: batch.column(batch.schema.get_field_index(name)) for name in own}
            if "timestamp" in made:
                columns["timestamp"] = dealt_times(rows, batch.num_rows, options["days"])
            if "unit_id" in made:
                numbers = np.arange(rows, rows + batch.num_rows)
                columns["unit_id"] = pa.array(numbers).cast(pa.string())
            rows += batch.num_rows
            yield pa.record_batch({name: columns[name] for name in wanted})

    return RawLog((*raw.names, *made), read, (TABLE_NOTE,))
