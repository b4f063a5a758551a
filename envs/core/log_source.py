"""Opening CSV, CSV.gz and Parquet files: raw Arrow batches in file order, damage told in words."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from envs.core.log_problems import Problems
from envs.core.log_schema import RawLog

BATCH_ROWS = 131_072
CSV_BLOCK_BYTES = 8 << 20
"""Longest CSV row that can be read, and how much of the file is parsed at a time."""

_DELIMITERS = ",;\t|"
_DAMAGED_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
_DAMAGED = "a whole file, as it was first written"
_COPY_AGAIN = "copy or export the file again"


def open_log(path: Path, problems: Problems) -> RawLog:
    """Open a log by its content: Parquet, gzip or plain delimited text with a header.

    Raises:
        LogError: the file is absent, empty, damaged, or none of the three.
    """
    if file_magic(path, problems).startswith(b"PAR1"):
        return _open_parquet(path, problems)
    return _open_csv(path, problems)


def file_magic(path: Path, problems: Problems) -> bytes:
    """The first bytes of a file that can be a log.

    Raises:
        LogError: the file is absent, empty, or its name promises a format that its bytes are not.
    """
    if not path.is_file():
        problems.refuse_file(
            "a folder, not a file" if path.is_dir() else "no such file",
            "a CSV, CSV.gz or Parquet file",
            "check the path and its spelling",
        )
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        problems.refuse_file("an empty file (0 bytes)", "a header and rows", "export the log again")
    promised = {".parquet": b"PAR1", ".gz": b"\x1f\x8b"}.get(path.suffix.lower(), b"")
    if not magic.startswith(promised):
        problems.refuse_file(
            f"a file named {path.suffix} that does not begin like one", _DAMAGED, _COPY_AGAIN
        )
    if magic.startswith(b"PK\x03\x04"):
        problems.refuse_file(
            "a zip archive or a spreadsheet", "CSV, CSV.gz or Parquet", "save it as CSV (UTF-8)"
        )
    return magic


def text_lines(path: Path, problems: Problems) -> Iterator[bytes]:
    """The lines of a plain or gzip-compressed text file, without their ends.

    Raises:
        LogError: the file is absent or empty, or its compressed data is damaged.
    """
    file_magic(path, problems)
    try:
        with _open_text(path) as file:
            for line in file:
                yield line.rstrip(b"\r\n")
    except _DAMAGED_GZIP as error:
        problems.refuse_file(f"damaged gzip data ({error})", _DAMAGED, _COPY_AGAIN)


def read_delimited(
    path: Path,
    names: Sequence[str],
    wanted: Sequence[str],
    problems: Problems,
    *,
    delimiter: str,
    header_rows: int,
    quoting: bool = True,
) -> Iterator[Any]:
    """Batches of the `wanted` columns of delimited text, as undecoded bytes.

    Rows of a wrong width are recorded in `problems` and left out.
    """

    def ragged(row: Any) -> str:
        problems.add_ragged(row.number - header_rows, row.expected_columns, row.actual_columns)
        return "error" if problems.too_ragged else "skip"

    with _open_text(path) as file:
        try:
            reader = pa_csv.open_csv(
                file,
                # Threads would lose the row numbers that the messages quote.
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=CSV_BLOCK_BYTES,
                    column_names=list(names),
                    skip_rows=header_rows,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if quoting else False,
                    newlines_in_values=quoting,
                    invalid_row_handler=ragged,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.binary()),
                    include_columns=list(wanted),
                    strings_can_be_null=False,
                ),
            )
            yield from reader
        except _DAMAGED_GZIP as error:
            problems.refuse_file(f"damaged gzip data ({error})", _DAMAGED, _COPY_AGAIN)
        except pa.ArrowInvalid as error:
            if problems.too_ragged:
                problems.refuse()
            problems.refuse_file(
                f"text that is not delimited rows ({error})",
                f"rows of at most {CSV_BLOCK_BYTES >> 20} MB with balanced quotes",
                "look for an opening quote without its closing one",
            )


def _open_text(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if compressed else path.open("rb")


def _open_csv(path: Path, problems: Problems) -> RawLog:
    try:
        with _open_text(path) as file:
            start = file.read(1 << 16)
    except _DAMAGED_GZIP as error:
        problems.refuse_file(f"damaged gzip data ({error})", _DAMAGED, _COPY_AGAIN)
    header = _header_text(start, problems)
    delimiter = max(_DELIMITERS, key=header.count)
    names = tuple(next(csv.reader([header], delimiter=delimiter), []))
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated or not any(name.strip() for name in names):
        problems.refuse_file(
            f"a header that repeats {', '.join(map(repr, repeated))}" if repeated else "no header",
            "a first row that names every column once",
            "rename or add the column names",
        )
    if b"\n" not in start and b"\r" not in start:
        return RawLog(names, lambda _wanted, _problems: iter(()))
    return RawLog(
        names,
        lambda wanted, found: read_delimited(
            path, names, wanted, found, delimiter=delimiter, header_rows=1
        ),
    )


def _header_text(start: bytes, problems: Problems) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in start:
        problems.refuse_file(
            "UTF-16 text or binary data", "UTF-8 text", "save the file as CSV UTF-8"
        )
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    header = lines[0] if lines else b""
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.refuse_file(
            f"a header that is not UTF-8 ({error.reason} at byte {error.start})",
            "UTF-8 text",
            "save the file as CSV UTF-8",
        )


def _open_parquet(path: Path, problems: Problems) -> RawLog:
    try:
        with _parquet_file(path) as file:
            names = tuple(file.schema_arrow.names)
    except (pa.ArrowException, OSError) as error:
        problems.refuse_file(
            f"a truncated or damaged Parquet file ({error})", _DAMAGED, _COPY_AGAIN
        )
    return RawLog(names, lambda wanted, found: _parquet_batches(path, wanted, found))


def _parquet_batches(path: Path, wanted: Sequence[str], problems: Problems) -> Iterator[Any]:
    with _parquet_file(path) as file:
        for group in range(file.num_row_groups):
            try:
                yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(wanted))
            except (pa.ArrowException, OSError) as error:
                problems.refuse_file(
                    f"damage in row group {group} ({error})", _DAMAGED, _COPY_AGAIN
                )


def _parquet_file(path: Path) -> Any:
    # Buffered streaming keeps one page of each column in memory, not whole row groups.
    return pq.ParquetFile(
        path, page_checksum_verification=True, pre_buffer=False, buffer_size=1 << 20
    )
