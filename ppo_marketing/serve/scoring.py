"""A table of situations in, the same table with what to do out, in chunks of bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.export.loading import load_bundle
from ppo_marketing.files import written_whole
from ppo_marketing.progress import Reporter
from ppo_marketing.serve.batch import in_text, require_timeless, scored
from ppo_marketing.serve.champion import Champion, champion_of
from ppo_marketing.serve.words import Words

CHUNK_ROWS = 131_072
CHUNK_BYTES = 16 * 2**20
"""Of a CSV read at a time."""
FORMATS = (".csv", ".parquet")
MASK = "allowed_"
"""Columns allowed_0, allowed_1, ...: which choices a row may get; without them, all."""
NEW = ("probability", "reason")


class _Table(NamedTuple):
    """A table opened for reading; `total` is in the unit that `reached` counts in."""

    names: list[str]
    total: float
    chunks: Iterator[tuple[pa.RecordBatch, float]]


def score_table(
    bundle: Path,
    table: Path,
    output: Path,
    reporter: Reporter,
    *,
    fallback: float | None = None,
    threads: int = 2,
) -> dict[str, Any]:
    """Decide every row of a CSV or Parquet file and write it with what to do; what was counted.

    Its columns are the observation's fields by name; `allowed_0`, ... say what each row may get;
    all others are kept as they are. Unknown cells, and values outside a field's range, get the
    fallback, with the reason beside it.

    Raises:
        UserError: a file cannot be read, or lacks columns; nothing is written then.
        Refused: the bundle's limits only hold decisions made one after the other.
        IntegrityError: the bundle is not what was exported.
    """
    if output.suffix not in FORMATS:
        raise UserError(f"{output} must end in {' or '.join(FORMATS)}")
    champion = champion_of(load_bundle(bundle), fallback)
    require_timeless(champion.bundle.limits)
    opened = _opened(table)
    kept = _kept(opened.names, champion, table)
    counts: Counter[str] = Counter()
    rows = 0
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        path = stack.enter_context(written_whole(output))
        stage = stack.enter_context(reporter.stage(f"scoring {table.name}", opened.total))
        writer = None
        try:
            for chunk, reached in _read(opened, table):
                found = _scored(champion, chunk, kept, counts, pool)
                if writer is None:
                    writer = _writer(path, output.suffix, found.schema)
                writer.write(found)
                rows += len(found)
                stage.reach(reached, f"{rows:,} rows")
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise UserError(f"{table} has no rows")
    return {
        "output": str(output),
        "rows": rows,
        "policy": champion.version,
        "reasons": dict(sorted(counts.items())),
    }


def _opened(table: Path) -> _Table:
    try:
        size = table.stat().st_size
        if table.suffix == ".parquet":
            file = pq.ParquetFile(table, page_checksum_verification=True)
            names = list(file.schema_arrow.names)
            return _Table(names, max(file.metadata.num_rows, 1), _of_parquet(file))
        read = pc.ReadOptions(block_size=CHUNK_BYTES)
        reader = pc.open_csv(table, read_options=read)
    except (OSError, ValueError) as error:
        raise UserError(f"{table} cannot be read: {error}") from error
    return _Table(list(reader.schema.names), max(size, 1), _of_csv(reader))


def _of_parquet(file: Any) -> Iterator[tuple[pa.RecordBatch, float]]:
    done = 0
    for batch in file.iter_batches(batch_size=CHUNK_ROWS):
        done += len(batch)
        yield batch, done


def _of_csv(reader: Any) -> Iterator[tuple[pa.RecordBatch, float]]:
    done = 0.0
    for batch in reader:
        done += batch.nbytes  # about what the text took: numbers are as long as their digits
        yield batch, done


def _read(opened: _Table, table: Path) -> Iterator[tuple[pa.RecordBatch, float]]:
    try:
        yield from opened.chunks
    except (OSError, ValueError) as error:
        raise UserError(f"{table} cannot be read: {error}") from error


def _kept(names: list[str], champion: Champion, table: Path) -> list[str]:
    """The columns that are only passed on; raises UserError that names every missing one."""
    words = champion.words
    missing = [name for name in words.names if name not in names]
    problems = [f"columns are missing: {', '.join(missing)}"] if missing else []
    masks = [name for name in names if name.startswith(MASK)]
    wanted = [f"{MASK}{k}" for k in range(champion.choices)]
    if masks and sorted(masks) != sorted(wanted):
        problems.append(f"columns {MASK}... must be {MASK}0 to {MASK}{champion.choices - 1}")
    made = [*_columns(words), *NEW]
    twice = sorted({name for name in names if name in made or names.count(name) > 1})
    if twice:
        problems.append(f"rename {', '.join(twice)}: columns of these names are written")
    if problems:
        raise UserError(f"{table} cannot be scored: {'; '.join(problems)}")
    return [name for name in names if name not in words.names and name not in masks]


def _columns(words: Words) -> list[str]:
    """What an action is written as."""
    if words.amounts:
        return list(words.amounts)
    return list(dict.fromkeys(name for choice in words.choices for name in choice))


def _scored(
    champion: Champion,
    chunk: pa.RecordBatch,
    kept: list[str],
    counts: Counter[str],
    pool: ThreadPoolExecutor,
) -> pa.Table:
    words = champion.words
    observation = np.empty((len(chunk), len(words.names)), np.float32)
    for place, name in enumerate(words.names):
        observation[:, place] = _numbers(chunk.column(name), name)
    mask = None
    if f"{MASK}0" in chunk.schema.names:
        allowed = [_numbers(chunk.column(f"{MASK}{k}"), MASK) for k in range(champion.choices)]
        mask = np.nan_to_num(np.stack(allowed, axis=1)) != 0
    found = scored(champion, observation, mask, pool)
    reasons = in_text(found.reasons)
    for text, count in zip(*np.unique(reasons, return_counts=True), strict=True):
        for one in str(text).split():
            counts[one] += int(count)
    columns = {name: chunk.column(name) for name in kept}
    columns |= _in_words(champion, found.action)
    if found.probability is not None:
        columns["probability"] = pa.array(found.probability)
    columns["reason"] = pa.array(reasons)
    metadata = {"policy": champion.version, "bundle": champion.bundle.sha256}
    return pa.table(columns).replace_schema_metadata(metadata)


def _numbers(column: pa.Array, name: str) -> NDArray[np.float64]:
    try:
        numbers = compute.cast(column, pa.float64())
    except pa.ArrowInvalid as error:
        raise UserError(f"column {name} must hold numbers: {error}") from error
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def _in_words(champion: Champion, action: NDArray[Any]) -> dict[str, pa.Array]:
    words = champion.words
    if words.amounts:
        return {name: pa.array(action[:, k]) for k, name in enumerate(words.amounts)}
    schema = champion.bundle.policy.action_schema
    if not schema["scalar"]:
        return {f"part_{k}": pa.array(action[:, k]) for k in range(action.shape[1])}
    number = pa.array(action[:, 0] - int(schema["starts"][0]))
    return {
        name: pa.array([choice.get(name) for choice in words.choices]).take(number)
        for name in _columns(words)
    }


def _writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    if suffix == ".csv":
        return pc.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, write_page_checksum=True)
