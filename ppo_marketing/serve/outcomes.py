"""From a decision log and what came of it to the log that the next calibration reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ppo_marketing.errors import UserError
from ppo_marketing.files import written_whole
from ppo_marketing.serve.decision_log import read_lines

BATCH_ROWS = 50_000
FORMATS = (".csv", ".parquet")


@dataclass
class _Found:
    """What a first pass over everything learned: outcomes by id, columns with their kind."""

    outcomes: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    numbers: dict[str, bool] = field(default_factory=dict)
    decisions: int = 0
    without_row: int = 0

    def saw(self, row: Mapping[str, Any]) -> None:
        """Learn the columns of a row; one that ever holds text is text."""
        for name, value in row.items():
            number = value is None or isinstance(value, int | float)
            self.numbers[name] = self.numbers.get(name, True) and number


def join_outcomes(
    logs: Sequence[Path],
    output: Path,
    *,
    outcomes: Path | None = None,
    key: str = "decision_id",
    absent: Mapping[str, Any] | None = None,
    events: Path | None = None,
) -> dict[str, Any]:
    """Write one row a decision, with what came of it; what was counted.

    `outcomes` (CSV or Parquet) adds its columns to the decision whose id its column `key` holds;
    outcomes that the log itself holds are added first. `absent` fills columns of decisions that
    nothing came of. `events` are further rows of the same log, taken as they are. Memory is bounded
    by the outcomes, not by the decisions.

    Raises:
        UserError: a file cannot be read, or holds no such column; nothing is written then.
    """
    if output.suffix not in FORMATS:
        raise UserError(f"{output} must end in {' or '.join(FORMATS)}")
    files = _files(logs)
    found = _learned(files, outcomes, key, absent or {}, events)
    written = 0
    seen: set[str] = set()
    with written_whole(output) as path, _writer(path, output.suffix, found) as writer:
        batch: list[dict[str, Any]] = []
        for row in _rows(files, found, absent or {}, events, seen):
            batch.append(row)
            written += 1
            if len(batch) == BATCH_ROWS:
                writer.write(_table(batch, found))
                batch = []
        writer.write(_table(batch, found))
    unmatched = len(set(found.outcomes) - seen)
    return {
        "output": str(output),
        "files": len(files),
        "decisions": found.decisions,
        "rows": written,
        "without_row": found.without_row,
        "with_outcome": len(found.outcomes) - unmatched,
        "outcomes_of_unknown_decisions": unmatched,
    }


def _files(logs: Sequence[Path]) -> list[Path]:
    files = [
        path
        for place in logs
        for path in (sorted(place.glob("*.jsonl")) if place.is_dir() else [place])
    ]
    missing = [str(path) for path in files if not path.is_file()]
    if missing or not files:
        raise UserError(
            f"no decision log: {', '.join(missing or map(str, logs))}. Name finished files "
            "(.jsonl), or the folder `decisions` of a server"
        )
    return files


def _learned(
    files: Sequence[Path],
    outcomes: Path | None,
    key: str,
    absent: Mapping[str, Any],
    events: Path | None,
) -> _Found:
    found = _Found()
    for path in files:
        for line in read_lines(path):
            if line.get("kind") == "outcome":
                found.outcomes[line["id"]].update(line["columns"])
                found.saw(line["columns"])
            elif line.get("kind") == "decision":
                found.decisions += 1
                found.without_row += not line["row"]
                found.saw(line["row"])
    for row in _table_rows(outcomes):
        if row.get(key) is None:
            raise UserError(
                f"{outcomes} must hold a column {key} that names a decision in every row (--key)"
            )
        columns = {name: value for name, value in row.items() if name != key}
        found.outcomes[str(row[key])].update(columns)
        found.saw(columns)
    found.saw(absent)
    for row in _table_rows(events):
        found.saw(row)
    return found


def _rows(
    files: Sequence[Path],
    found: _Found,
    absent: Mapping[str, Any],
    events: Path | None,
    seen: set[str],
) -> Iterator[dict[str, Any]]:
    for path in files:
        for line in read_lines(path):
            if line.get("kind") == "decision" and line["row"]:
                came = found.outcomes.get(line["id"])
                if came is not None:
                    seen.add(line["id"])
                yield {**absent, **line["row"], **(came or {})}
    yield from _table_rows(events)


def _table_rows(path: Path | None) -> Iterator[dict[str, Any]]:
    if path is None:
        return
    try:
        kind = "csv" if path.suffix == ".csv" else "parquet"
        for batch in ds.dataset(path, format=kind).to_batches():
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _schema(found: _Found) -> pa.Schema:
    return pa.schema(
        [(name, pa.float64() if number else pa.string()) for name, number in found.numbers.items()]
    )


def _table(rows: Sequence[Mapping[str, Any]], found: _Found) -> pa.Table:
    columns = {
        name: [_cell(row.get(name), number) for row in rows]
        for name, number in found.numbers.items()
    }
    return pa.table(columns, schema=_schema(found))


def _cell(value: Any, number: bool) -> Any:
    if value is None:
        return None
    if number:
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _writer(path: Path, suffix: str, found: _Found) -> Any:
    if suffix == ".csv":
        return pc.CSVWriter(path, _schema(found))
    return pq.ParquetWriter(path, _schema(found), write_page_checksum=True)
