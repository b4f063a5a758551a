"""Files that cannot be read: damaged, of another format, or in another encoding."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.core.log import Column, LogError, LogSchema, LogTable, read_log

SCHEMA = LogSchema(
    name="prices",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="price", kind="number", unit="euro", low=0.0),
    ),
)
CSV = "timestamp,price\n" + "".join(f"2024-05-01T00:{i:02}:00Z,{i}\n" for i in range(60))


def parquet_bytes(rows: int = 5_000, **options: object) -> bytes:
    stamps = np.arange(rows).astype("datetime64[s]").astype("datetime64[us]")
    stamps += np.datetime64("2024-05-01") - np.datetime64("1970-01-01")
    sink = pa.BufferOutputStream()
    table = pa.table({"timestamp": stamps, "price": np.arange(rows, dtype=float)})
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue().to_pybytes())


def read(path: Path, cache: Path) -> LogTable:
    return read_log(path, SCHEMA, cache=cache, now=datetime(2024, 6, 1, tzinfo=UTC))


REFUSED = {
    "empty.csv": (b"", "an empty file"),
    "empty.parquet": (b"", "an empty file"),
    "header.csv": (b"timestamp,price\n", "0 rows in the file"),
    "header_without_end.csv": (b"timestamp,price", "0 rows in the file"),
    "header.parquet": (parquet_bytes(rows=0), "0 rows in the file"),
    "one_row.csv": (b"timestamp,price\n2024-05-01,1\n", "1 row in the file"),
    "blank.csv": (b"\n\n\n", "no header"),
    "twice.csv": (b"timestamp,price,price\n2024-05-01,1,2\n", "repeats 'price'"),
    "utf16.csv": (CSV.encode("utf-16"), "UTF-16 text"),
    "utf16_no_mark.csv": (CSV.encode("utf-16-le"), "UTF-16 text"),
    "latin1_header.csv": ("timestamp,pr\xefce\n2024-05-01,1\n".encode("latin-1"), "not UTF-8"),
    "latin1_cell.csv": (CSV.encode() + b"2024-05-01,1\xa0\n", "bytes that are not UTF-8"),
    "sheet.xlsx": (b"PK\x03\x04" + b"x" * 100, "a spreadsheet"),
    "cut.parquet": (parquet_bytes()[:-100], "truncated or damaged Parquet"),
    "not.parquet": (CSV.encode(), "does not begin like one"),
    "not.csv.gz": (CSV.encode(), "does not begin like one"),
    "cut.csv.gz": (gzip.compress(CSV.encode())[:-30], "damaged gzip"),
    "cut_head.csv.gz": (gzip.compress(CSV.encode())[:14], "damaged gzip"),
    "checksum.csv.gz": (gzip.compress(CSV.encode())[:-8] + bytes(8), "damaged gzip"),
    "ragged.csv": (CSV.encode() + b"2024-05-01\n", "a number of values other than 2"),
    "open_quote.csv": (CSV.encode() + b'2024-05-01,"1\n' + CSV.encode(), "not a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_left(
    tmp_path: Path, name: str
) -> None:
    content, expected = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LogError) as refusal:
        read(path, tmp_path / "deep" / "cache")
    assert expected in str(refusal.value)
    assert str(refusal.value).startswith(f"{name} was not read: ")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        read(tmp_path / "absent.csv", tmp_path / "cache")
    assert not list(tmp_path.iterdir())


def test_a_flipped_byte_names_the_row_group_when_pages_have_checksums(tmp_path: Path) -> None:
    content = bytearray(
        parquet_bytes(compression="none", write_page_checksum=True, row_group_size=1_000)
    )
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "flipped.parquet"
    path.write_bytes(bytes(content))
    with pytest.raises(LogError, match="damage in row group 2"):
        read(path, tmp_path / "cache")


def test_rows_are_numbered_as_in_the_file_even_after_rows_of_a_wrong_width(
    tmp_path: Path,
) -> None:
    lines = CSV.splitlines()
    lines[3] = "2024-05-01"
    lines[10] = "2024-05-01T00:00:00Z,minus one"
    lines[20] = "a,b,c"
    lines[30] = "2024-05-01T00:00:00Z,-1"
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(LogError) as refusal:
        read(path, tmp_path / "cache")
    rows = {problem.found.split(",")[0]: problem.first_rows for problem in refusal.value.problems}
    assert rows == {
        "a number of values other than 2": (3, 20),
        "text that is not a number": (10,),
        "a negative number": (30,),
    }


def test_a_wrong_delimiter_inside_stops_early_instead_of_listing_every_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(CSV + "2024-05-01;1\n" * 50_000)
    with pytest.raises(LogError, match=r"in 1,001 rows \(first 61, 62"):
        read(path, tmp_path / "cache")


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_usual_delimiters_line_ends_and_byte_order_mark_are_read(
    tmp_path: Path, delimiter: str, end: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(CSV.replace(",", delimiter).replace("\n", end).encode("utf-8-sig"))
    table = read(path, tmp_path / "cache")
    np.testing.assert_array_equal(table.arrays(["price"])["price"], np.arange(60.0))
