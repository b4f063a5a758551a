"""Reading historical logs: a file is validated whole, then kept typed and sorted in a cache.

A log that breaks its schema is refused with every problem listed at once; nothing is coerced
silently and nothing is left behind. Memory is bounded by the batch size, not by the log.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from envs.core.log_checks import check_rules, check_units, drop_repeats, quoted
from envs.core.log_convert import ARROW_TYPES
from envs.core.log_problems import LogError, LogProblem, Problems, listed
from envs.core.log_schema import Column, Kind, LogSchema, RawLog, Reader, RowRule
from envs.core.log_source import open_log
from envs.core.log_staging import Staged, stage, too_short
from envs.core.log_table import BATCH_ROWS, LogDigest, LogTable, attach_digest, load_table

__all__ = [
    "Column",
    "Kind",
    "LogError",
    "LogProblem",
    "LogSchema",
    "LogTable",
    "RawLog",
    "Reader",
    "RowRule",
    "read_log",
]

DEFAULT_CACHE = Path("data/cache")
FUTURE_TOLERANCE = timedelta(days=1)
"""How far past `now` a row may lie: clocks and time zones of writer and reader differ."""

CANONICAL_FORM = 1
"""Part of a cache entry's name; raise it when a file would be kept or judged otherwise."""

DUCKDB_MEMORY = "512MB"
"""Sorting and grouping beyond this spill to the cache folder, so that memory stays bounded."""

_WORKSPACE = ".reading-"
_ABANDONED_SECONDS = 86_400
"""A reading takes minutes: a workspace this old was left by a process that was killed."""


def read_log(
    path: Path | str,
    schema: LogSchema,
    *,
    columns: Mapping[str, str] | None = None,
    cache: Path | None = None,
    now: datetime | None = None,
    reader: str | None = None,
    reader_options: Mapping[str, int] | None = None,
) -> LogTable:
    """Validate a log file whole and return it as a table sorted by time.

    `columns` maps canonical names to the file's own; a name the schema does not know becomes a
    context column. `reader` is one of `schema.readers`, for files in a known format, and
    `reader_options` its options. `now` (default: the clock) bounds the timestamps. The canonical
    Parquet goes to `cache` (default `data/cache`), named by the file's bytes, the schema and the
    mapping, and is reused when the same file is read again.

    Raises:
        LogError: with every problem of the file; nothing is written then.
    """
    path = Path(path)
    cache = DEFAULT_CACHE if cache is None else cache
    latest = (now or datetime.now(UTC)) + FUTURE_TOLERANCE
    assert latest.tzinfo is not None, "now carries its time zone"
    problems = Problems(path.name)
    raw = _opened(path, schema, reader, reader_options or {}, bool(columns), problems)
    sha256 = _sha256(raw.files or (path,))
    request = [CANONICAL_FORM, sha256, schema.fingerprint, sorted((columns or {}).items())]
    request += [reader, sorted((reader_options or {}).items())]
    key = hashlib.sha256(json.dumps(request).encode()).hexdigest()
    target = cache / f"{key}.parquet"
    table = load_table(target, schema, path.name)
    if table is not None and table.last <= latest:
        return table
    # A reader names its columns canonically, unless it says otherwise; all it yields is wanted.
    named = reader is not None and not schema.readers[reader].takes_columns
    mapping = {name: name for name in raw.names} if named else columns or {}
    source_of = _resolved(raw.names, schema, mapping, problems)
    with _workspace(cache) as folder:
        staged = stage(raw, schema, source_of, folder / "staged.parquet", latest, problems)
        canonical = folder / "canonical.parquet"
        _write_canonical(staged, schema, sha256, canonical, problems)
        os.replace(canonical, target)
    table = load_table(target, schema, path.name)
    assert table is not None
    return table


def _opened(
    path: Path,
    schema: LogSchema,
    name: str | None,
    options: Mapping[str, int],
    mapped: bool,
    problems: Problems,
) -> RawLog:
    if name is None:
        return open_log(path, problems)
    known = listed(sorted(schema.readers))
    if name not in schema.readers:
        problems.refuse_file(f"an unknown reader {name!r}", known, "name one of these readers")
    reader = schema.readers[name]
    if mapped and not reader.takes_columns:
        problems.add(
            LogProblem(
                "",
                f"a column mapping together with the reader {name!r}",
                "one of the two: a reader knows its columns",
                "leave out the mapping or the reader",
            )
        )
    wrong = [
        f"{option}={value}"
        for option, value in options.items()
        if option not in reader.defaults or value < 1
    ]
    if wrong:
        allowed = listed([f"{option} (a whole number)" for option in reader.defaults])
        problems.add(
            LogProblem("", f"reader options {listed(wrong)}", allowed, "correct the options")
        )
    problems.refuse()
    return reader.open(path, {**reader.defaults, **options}, problems)


def _resolved(
    available: tuple[str, ...], schema: LogSchema, mapping: Mapping[str, str], problems: Problems
) -> dict[str, str]:
    """Canonical name -> the file's name, schema order first, then context; problems recorded."""
    source_of: dict[str, str] = {}
    context = [name for name in mapping if name not in schema.names]
    if schema.unmapped_is_context and not context:
        taken = {*schema.names, *mapping.values()}
        context = [name for name in available if name.strip() and name not in taken]
    for column in (*schema.columns, *map(schema.resolve, context)):
        source = mapping.get(column.name, column.name)
        if source in available:
            source_of[column.name] = source
        elif column.required or column.name in mapping:
            problems.add(_missing(column, source, available))
    for source, count in Counter(source_of.values()).items():
        if count > 1:
            sharing = [name for name, user in source_of.items() if user == source]
            problems.add(
                LogProblem(
                    source,
                    f"one column mapped to {listed(sharing)}",
                    "one canonical name per column",
                    "correct the column mapping",
                )
            )
    if not source_of or len(set(source_of.values())) < len(source_of):
        problems.refuse()
    return source_of


def _missing(column: Column, source: str, available: tuple[str, ...]) -> LogProblem:
    lower = {name.lower().strip(): name for name in available}
    wanted = column.name if column.name in lower else source.lower()
    close = [lower[name] for name in get_close_matches(wanted, lower, n=3, cutoff=0.7)]
    example = "<its name in your file>"
    if close:
        example = close[0] if close[0].isidentifier() else json.dumps(close[0])
    hint = f" (close: {listed(close)})" if close else ""
    return LogProblem(
        column.name,
        f"no column {source!r}; the file has {listed(available)}",
        f"a column of {column.kind} values ({column.unit})",
        f"map it with --columns, {column.name}: {example}{hint}",
    )


def _write_canonical(
    staged: Staged, schema: LogSchema, sha256: str, path: Path, problems: Problems
) -> None:
    """Check the staged rows as a whole, then write them sorted by time."""
    with _duckdb(staged.path) as connection:
        check_rules(connection, schema, staged.names, problems)
        columns = [schema.resolve(name) for name in staged.names]
        for column in columns:
            if column.one_unit:
                check_units(connection, column, staged.rows, problems)
        key = next((c.name for c in columns if c.key), None)
        dropped = drop_repeats(connection, key, staged.names, problems) if key else 0
        left = staged.rows - dropped
        if left < schema.minimum_rows <= staged.rows:
            problems.add(too_short(left, schema, "left after dropping identical ones"))
        problems.refuse()
        empties = _empty_bools(connection, columns)
        selected = ", ".join(
            f"coalesce({quoted(c.name)}, false) AS {quoted(c.name)}"
            if c.kind == "bool"
            else quoted(c.name)
            for c in columns
        )
        kept = "WHERE __row NOT IN (SELECT __row FROM dropped)" if dropped else ""
        rows = connection.sql(
            f"SELECT {selected} FROM staged {kept} ORDER BY {quoted(schema.timestamp)}, __row"
        ).to_arrow_reader(BATCH_ROWS)
        layout = pa.schema([pa.field(c.name, ARROW_TYPES[c.kind]) for c in columns])
        days: Counter[str] = Counter()
        with pq.ParquetWriter(path, layout, write_page_checksum=True) as writer:
            for batch in rows:
                typed = pa.Table.from_batches([batch]).cast(layout)
                writer.write_table(typed)
                stamps = typed.column(schema.timestamp).to_numpy().astype("datetime64[D]")
                found, counts = np.unique(stamps, return_counts=True)
                days.update(dict(zip(map(str, found), counts.tolist(), strict=True)))
            attach_digest(
                writer,
                LogDigest(
                    sha256=sha256,
                    names=staged.names,
                    duplicates_dropped=dropped,
                    days=tuple(sorted(days.items())),
                    notes=(*staged.notes, *empties),
                ),
            )
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _empty_bools(connection: Any, columns: list[Column]) -> list[str]:
    notes = []
    for column in columns:
        if column.kind == "bool" and column.may_be_empty:
            query = f"SELECT count(*) FROM staged WHERE {quoted(column.name)} IS NULL"
            empty = connection.execute(query).fetchall()[0][0]
            if empty:
                notes.append(f"{column.name} is empty on {empty:,} rows: read as false")
    return notes


@contextmanager
def _duckdb(staged: Path) -> Iterator[Any]:
    config = {
        "memory_limit": DUCKDB_MEMORY,
        "temp_directory": str(staged.parent / "spill"),
        "threads": 2,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        file = str(staged).replace("'", "''")
        connection.execute(f"CREATE VIEW staged AS SELECT * FROM read_parquet('{file}')")
        yield connection


@contextmanager
def _workspace(cache: Path) -> Iterator[Path]:
    """A folder beside the cache entries, gone afterwards; a cache folder made in vain goes too."""
    made = [folder for folder in (cache, *cache.parents) if not folder.exists()]
    cache.mkdir(parents=True, exist_ok=True)
    for leftover in cache.glob(f"{_WORKSPACE}*"):
        with suppress(OSError):  # another reading removed it first
            if time.time() - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=_WORKSPACE, dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for vain in made:
            with suppress(OSError):  # not empty: it holds this log, or another's
                vain.rmdir()


def _sha256(paths: tuple[Path, ...]) -> str:
    """The hash of one file's bytes; of several, the hash of their names and hashes in order."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) == 1:
        return digests[0]
    listing = [[path.name, digest] for path, digest in zip(paths, digests, strict=True)]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
