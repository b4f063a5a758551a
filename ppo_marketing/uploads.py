"""Logs that people hand in through a browser: bounded, checked whole, and kept only when sound.

The content is data and nothing else: it is never executed, its name never becomes a path, and
what it unpacks to is counted while it unpacks.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from envs.core.decision import Decision
from envs.core.log import LogError, LogProblem, LogSchema, LogTable
from envs.core.log_problems import Problems
from envs.core.log_source import open_log
from ppo_marketing.config import LogSection
from ppo_marketing.errors import UserError
from ppo_marketing.files import made, read_json
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.logs import cache_of
from ppo_marketing.pipeline import reading

MEGABYTE = 1 << 20
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_CHUNK_BYTES = MEGABYTE
_SHOWN_ROWS, _SHOWN_CHARACTERS = 8, 80
_FORMULA = r"^[=@\t\r]|^[+\-].*[(|!]"
ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """How much is taken: bytes as they come, bytes and rows once unpacked, columns.

    A four-week log of the built-in samples is a tenth of each.
    """

    bytes: int = 50 * MEGABYTE
    unpacked_bytes: int = 500 * MEGABYTE
    rows: int = 5_000_000
    columns: int = 200


@dataclass(frozen=True)
class Preview:
    """The first rows of a file as text, and which of its columns each canonical name may be."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    guesses: Mapping[str, str]


@dataclass(frozen=True)
class KeptLog:
    """A log that was found sound: where it lies, and how it is read."""

    path: Path
    name: str
    decision: str
    columns: Mapping[str, str]
    reader: str | None
    sha256: str
    rows: int
    first: str
    last: str

    def section(self) -> dict[str, Any]:
        """The `log` section of a configuration that reads it."""
        return {"path": str(self.path), "columns": dict(self.columns), "reader": self.reader}


class LogRefused(UserError):
    """A log that is not kept; `problems` are all that is wrong with it."""

    def __init__(self, problems: tuple[LogProblem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def uploads_folder(project: Path) -> Path:
    """Where a project keeps the logs that were handed in."""
    return project / "data" / "uploads"


def shown_name(name: str) -> str:
    """What a file is called on the screen: its last part, printable, and short."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(c for c in last if c.isprintable()).strip(" .")
    return plain[-_SHOWN_CHARACTERS:] or "log"


def preview(content: bytes, schema: LogSchema, limits: UploadLimits) -> Preview:
    """The first rows of a file and which columns they may be.

    Raises LogRefused where it cannot be a log, or is too large.
    """
    with held(content, limits) as path:
        problems = Problems("the file")
        try:
            raw = open_log(path, problems)
            if len(raw.names) > limits.columns:
                _refuse(
                    f"{len(raw.names):,} columns", f"at most {limits.columns}", "leave some out"
                )
            batch = next(iter(raw.read(raw.names, problems)), None)
        except LogError as error:
            raise LogRefused(error.problems) from error
        rows: tuple[tuple[str, ...], ...] = ()
        if batch is not None:
            columns = [_texts(batch.column(i)) for i in range(len(raw.names))]
            rows = tuple(zip(*columns, strict=True))
        return Preview(raw.names, rows, guessed(raw.names, schema))


def guessed(names: tuple[str, ...], schema: LogSchema) -> dict[str, str]:
    """Canonical name -> the file's column that it most likely is; each column at most once."""
    left = {name.lower().strip(): name for name in reversed(names)}
    found = {}
    for exact in (True, False):
        for column in schema.columns:
            if column.name in found:
                continue
            near = get_close_matches(column.name, left, n=1, cutoff=1.0 if exact else 0.75)
            if near:
                found[column.name] = left.pop(near[0])
    return found


def keep(
    project: Path,
    card: Decision,
    content: bytes,
    name: str,
    columns: Mapping[str, str],
    reader: str | None = None,
    limits: UploadLimits | None = None,
) -> tuple[KeptLog, LogTable]:
    """Check a log whole and keep it; the same content read the same way is kept once.

    Raises LogRefused, with every problem; nothing is kept then.
    """
    limits = limits or UploadLimits()
    sha256 = hashlib.sha256(content).hexdigest()
    with held(content, limits) as path:
        table = checked(project, card, path, columns, reader)
        problems = (*_too_long(table, limits), *_formulas(table))
        if problems:
            table.path.unlink(missing_ok=True)
            raise LogRefused(problems)
        read_as = hashlib.sha256(repr((card.name, sorted(columns.items()), reader)).encode())
        folder = uploads_folder(project) / f"{sha256[:16]}-{read_as.hexdigest()[:8]}"
        kept = KeptLog(
            path=folder / path.name,
            name=shown_name(name),
            decision=card.name,
            columns=dict(columns),
            reader=reader,
            sha256=sha256,
            rows=table.rows,
            first=table.first.isoformat(),
            last=table.last.isoformat(),
        )
        made(folder)
        shutil.copyfile(path, kept.path)
        write_json(folder / ABOUT, {**vars(kept), "path": kept.path.name})
    return kept, replace(table, source=kept.name)


def checked(
    project: Path, card: Decision, path: Path, columns: Mapping[str, str], reader: str | None
) -> LogTable:
    """A log file, validated whole.

    Raises LogRefused, with every problem.
    """
    section = LogSection(path=path, columns=dict(columns), reader=reader)
    try:
        return reading.read(card, section, cache_of(project))
    except UserError as error:
        if isinstance(error.__cause__, LogError):
            raise LogRefused(error.__cause__.problems) from error
        raise


def kept_logs(project: Path, decision: str) -> tuple[KeptLog, ...]:
    """The logs of a decision that were handed in and found sound, the newest content first."""
    found = []
    for about in uploads_folder(project).glob(f"*/{ABOUT}"):
        try:
            values = read_json(about)
            kept = KeptLog(**{**values, "path": about.parent / Path(values["path"]).name})
        except (UserError, TypeError, KeyError):
            continue
        if kept.decision == decision and kept.path.is_file():
            found.append(kept)
    return tuple(sorted(found, key=lambda log: log.last, reverse=True))


@contextmanager
def held(content: bytes, limits: UploadLimits) -> Iterator[Path]:
    """The content in a file of a name of our own, in a folder that is gone afterwards."""
    if len(content) > limits.bytes:
        _refuse(
            f"a file of {len(content) / MEGABYTE:,.0f} MB",
            f"at most {limits.bytes / MEGABYTE:,g} MB",
            "compress it (CSV.gz, Parquet), hand in a shorter period, or run `ppo-marketing run` "
            "on it, which takes logs of any size",
        )
    if content.startswith(_GZIP):
        _require_unpacks(content, limits)
    elif content.startswith(_PARQUET):
        _require_parquet(content, limits)
    suffix = {_GZIP: ".csv.gz", _PARQUET[:2]: ".parquet"}.get(content[:2], ".csv")
    with tempfile.TemporaryDirectory(prefix="ppo-marketing-upload-") as folder:
        path = Path(folder) / f"log{suffix}"
        path.write_bytes(content)
        yield path


def _require_unpacks(content: bytes, limits: UploadLimits) -> None:
    """Count what gzip data unpacks to, a chunk at a time, and refuse as soon as it is too much."""
    unpacked, data = 0, content
    while data:
        inflate = zlib.decompressobj(wbits=31)
        try:
            while data and not inflate.eof:
                unpacked += len(inflate.decompress(data, _CHUNK_BYTES))
                data = inflate.unconsumed_tail
                if unpacked > limits.unpacked_bytes:
                    _refuse(
                        "compressed data that unpacks to more than "
                        f"{limits.unpacked_bytes / MEGABYTE:,g} MB",
                        f"at most {limits.unpacked_bytes / MEGABYTE:,g} MB",
                        "hand in a shorter period",
                    )
        except zlib.error as error:
            _refuse(f"damaged gzip data ({error})", "a whole file", "export the file again")
        if not inflate.eof:
            _refuse("gzip data that ends too early", "a whole file", "export the file again")
        data = inflate.unused_data
        data = data if data.startswith(_GZIP) else b""


def _require_parquet(content: bytes, limits: UploadLimits) -> None:
    try:
        metadata = pq.read_metadata(io.BytesIO(content))
    except (pa.ArrowException, OSError):
        return  # the reading that follows says what is wrong
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    if metadata.num_rows > limits.rows or unpacked > limits.unpacked_bytes:
        _refuse(
            f"{metadata.num_rows:,} rows of {unpacked / MEGABYTE:,.0f} MB",
            f"at most {limits.rows:,} rows and {limits.unpacked_bytes / MEGABYTE:,g} MB",
            "hand in a shorter period",
        )


def _too_long(table: LogTable, limits: UploadLimits) -> Iterator[LogProblem]:
    if table.rows > limits.rows:
        yield LogProblem(
            "", f"{table.rows:,} rows", f"at most {limits.rows:,}", "hand in a shorter period"
        )


def _formulas(table: LogTable) -> Iterator[LogProblem]:
    """Cells that a spreadsheet would run, since what is exported later may be opened in one."""
    texts = [column.name for column in table.columns if column.kind in ("id", "category")]
    found = dict.fromkeys(texts, 0)
    examples: dict[str, str] = {}
    with pq.ParquetFile(table.path) as file:
        for batch in file.iter_batches(columns=texts):
            for name in texts:
                cells = batch.column(name).cast(pa.string())
                bad = pc.fill_null(pc.match_substring_regex(cells, _FORMULA), False)
                found[name] += pc.sum(bad).as_py() or 0
                if name not in examples and found[name]:
                    examples[name] = _text(cells.filter(bad)[0].as_py())
    for name, count in found.items():
        if count:
            yield LogProblem(
                name,
                f"cells that a spreadsheet would run as a formula, such as {examples[name]!r},",
                "text that does not begin with =, @ or a tab, nor with + or - and a call",
                "export the values instead of the formulas",
                count,
            )


def _texts(column: Any) -> list[str]:
    return [_text(value.as_py()) for value in column.slice(0, _SHOWN_ROWS)]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    text = "" if value is None else str(value)
    shown = "".join(c if c.isprintable() else "�" for c in text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"


def _refuse(found: str, allowed: str, action: str) -> NoReturn:
    raise LogRefused((LogProblem("", found, allowed, action),))
