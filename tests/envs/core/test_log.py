"""Reading a good log: what comes back, in which order, from where."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.core.log import (
    Column,
    LogError,
    LogSchema,
    LogTable,
    RawLog,
    Reader,
    RowRule,
    read_log,
)

SCHEMA = LogSchema(
    name="sales",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="order_id", kind="id", unit="one per row", required=False, key=True),
        Column(name="price", kind="number", unit="euro", low=0.0, may_be_empty=True),
        Column(name="sold", kind="bool", unit="0 or 1", may_be_empty=True),
        Column(name="shop", kind="category", unit="shop", required=False, may_be_empty=True),
    ),
    rules=(
        RowRule(
            columns=("price", "sold"),
            broken="sold AND price IS NULL",
            found="a sale without a price",
            allowed="a price for every sale",
            action="fill it in",
        ),
    ),
)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
LINES = (
    "timestamp,order_id,price,sold,shop",
    "2024-05-02T10:00:00Z,b,2.5,1,north",
    "2024-05-01T10:00:00Z,a,,0,south",
    "2024-05-02T10:00:00Z,c,1.5,1,",
)

ReadLines = Callable[..., LogTable]


@pytest.fixture
def read_lines(tmp_path: Path) -> ReadLines:
    def read(*lines: str, schema: LogSchema = SCHEMA, **options: object) -> LogTable:
        path = tmp_path / "sales.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_log(path, schema, cache=tmp_path / "cache", now=NOW, **options)  # type: ignore[arg-type]

    return read


def test_rows_come_sorted_by_time_and_file_order_breaks_ties(read_lines: ReadLines) -> None:
    table = read_lines(*LINES)
    assert table.arrays(["order_id"])["order_id"].tolist() == ["a", "b", "c"]
    assert (table.rows, table.days()) == (3, [date(2024, 5, 1), date(2024, 5, 2)])
    assert table.first == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert table.last == datetime(2024, 5, 2, 10, tzinfo=UTC)


def test_empty_cells_are_nan_false_and_empty_text_and_a_note_says_so(
    read_lines: ReadLines,
) -> None:
    table = read_lines(*LINES[:2], "2024-05-01T10:00:00Z,a,,,south", LINES[3])
    arrays = table.arrays(["price", "sold", "shop", "timestamp"])
    np.testing.assert_array_equal(arrays["price"], [np.nan, 2.5, 1.5])
    np.testing.assert_array_equal(arrays["sold"], [False, True, True])
    assert arrays["shop"].tolist() == ["south", "north", ""]
    assert {name: array.dtype.str for name, array in arrays.items()} == {
        "price": "<f8",
        "sold": "|b1",
        "shop": "|O",
        "timestamp": "<M8[us]",
    }
    assert table.notes == ("sold is empty on 1 rows: read as false",)


def test_times_with_an_offset_become_utc_and_times_without_are_noted(
    read_lines: ReadLines,
) -> None:
    header = "timestamp,price,sold"
    table = read_lines(header, "2024-05-01T01:00:00+02:00,1,1", "2024-05-01 05:00:00+0530,1,1")
    assert table.first == datetime(2024, 4, 30, 23, tzinfo=UTC)
    assert table.last == datetime(2024, 4, 30, 23, 30, tzinfo=UTC)
    assert table.notes == ()
    naive = read_lines(header, "2024-05-01 01:00:00.25,1,1", "2024-05-01,1,1")
    assert naive.first == datetime(2024, 5, 1, tzinfo=UTC)
    assert naive.notes == (
        "timestamps carry no time zone: taken as UTC",
        "1 timestamps are dates without a time: taken as midnight",
    )


def test_mapped_columns_are_renamed_and_others_become_context(read_lines: ReadLines) -> None:
    table = read_lines(
        "when;EUR;ok;city;secret",
        '2024-05-01;1;true;"Bonn; Süd";x',
        "2024-05-02;2;FALSE;Köln;x",
        columns={"timestamp": "when", "price": "EUR", "sold": "ok", "town": "city"},
    )
    assert table.names == ("timestamp", "price", "sold", "town")
    assert table.arrays(["town"])["town"].tolist() == ["Bonn; Süd", "Köln"]
    assert "columns of the file that were not read: secret" in table.notes
    assert [column.kind for column in table.columns][-1] == "category"


def test_a_schema_may_take_every_unmapped_column_as_context(read_lines: ReadLines) -> None:
    schema = replace(SCHEMA, unmapped_is_context=True)
    lines = ("when,price,sold,,city", "2024-05-01,1,1,7,Bonn", "2024-05-02,2,0,8,Bonn")
    table = read_lines(*lines, schema=schema, columns={"timestamp": "when"})
    assert table.names == ("timestamp", "price", "sold", "city")
    named = read_lines(*lines, schema=schema, columns={"timestamp": "when", "town": "city"})
    assert named.names == ("timestamp", "price", "sold", "town")


def sales_reader() -> LogSchema:
    """A reader of sales whose file keeps its own column names."""

    def opened(_path: Path, *_: object) -> RawLog:
        names = ("when", "price", "sold")
        rows = pa.record_batch({"when": ["2024-05-01"] * 2, "price": ["1"] * 2, "sold": ["1"] * 2})
        return RawLog(names, lambda wanted, _: iter([rows.select(list(wanted))]))

    reader = Reader(summary="", open=opened, takes_columns=True)
    return replace(SCHEMA, readers={"sales": reader})


def test_a_reader_that_keeps_the_files_names_takes_a_mapping(read_lines: ReadLines) -> None:
    table = read_lines("any", schema=sales_reader(), reader="sales", columns={"timestamp": "when"})
    assert table.names == ("timestamp", "price", "sold")


def test_identical_rows_are_dropped_and_counted_when_an_id_names_them(
    read_lines: ReadLines,
) -> None:
    table = read_lines(*LINES, LINES[1], LINES[1], LINES[3])
    assert (table.rows, table.duplicates_dropped) == (3, 3)
    assert table.arrays(["order_id"])["order_id"].tolist() == ["a", "b", "c"]


def test_logs_without_an_id_keep_repeats(read_lines: ReadLines) -> None:
    table = read_lines("timestamp,price,sold", *["2024-05-01,1,1"] * 4)
    assert (table.rows, table.duplicates_dropped) == (4, 0)


def test_the_same_file_is_read_once_and_a_changed_one_again(
    read_lines: ReadLines, tmp_path: Path
) -> None:
    table = read_lines(*LINES)
    written = table.path.stat().st_mtime_ns
    assert read_lines(*LINES) == table
    assert table.path.stat().st_mtime_ns == written
    assert read_lines(*LINES, "2024-05-03T10:00:00Z,d,1,1,").path != table.path
    assert read_lines(*LINES, columns={"price": "price"}).path != table.path
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_damaged_cache_entry_is_made_again(read_lines: ReadLines) -> None:
    table = read_lines(*LINES)
    whole = table.path.read_bytes()
    table.path.write_bytes(whole[:-40])
    assert read_lines(*LINES) == table
    assert table.path.read_bytes() == whole


def test_a_cached_log_is_still_refused_when_its_rows_lie_in_the_future(
    tmp_path: Path, read_lines: ReadLines
) -> None:
    read_lines(*LINES)
    with pytest.raises(LogError, match="a time in the future"):
        read_log(
            tmp_path / "sales.csv",
            SCHEMA,
            cache=tmp_path / "cache",
            now=datetime(2024, 4, 1, tzinfo=UTC),
        )


def test_a_flipped_byte_in_the_cache_is_noticed_when_read(read_lines: ReadLines) -> None:
    header = "timestamp,price,sold"
    table = read_lines(header, *[f"2024-05-01,{price},1" for price in range(2_000)])
    damaged = bytearray(table.path.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    table.path.write_bytes(bytes(damaged))
    with pytest.raises(OSError, match="delete it and read sales"):
        table.arrays(["timestamp", "price", "sold"])


@pytest.fixture
def month(tmp_path: Path) -> LogTable:
    """May 2024, an order every 10 seconds: several row groups, days that straddle them."""
    stamps = np.arange("2024-05-01", "2024-06-01", 10, dtype="datetime64[s]")
    path = tmp_path / "month.parquet"
    columns = {
        "timestamp": pa.array(stamps.astype("datetime64[us]"), pa.timestamp("us", "UTC")),
        "price": pa.array(np.arange(stamps.size, dtype=float)),
        "sold": pa.array(np.ones(stamps.size, dtype=bool)),
    }
    pq.write_table(pa.table(columns), path)
    return read_log(path, SCHEMA, cache=tmp_path / "cache", now=NOW)


def test_a_view_by_days_holds_exactly_those_days(month: LogTable) -> None:
    view = month.between(date(2024, 5, 10), date(2024, 5, 20))
    expected = np.arange(9 * 8_640, 20 * 8_640)
    np.testing.assert_array_equal(view.arrays(["price"])["price"], expected)
    assert view.first == datetime(2024, 5, 10, tzinfo=UTC)
    assert view.last == datetime(2024, 5, 20, 23, 59, 50, tzinfo=UTC)
    assert (view.rows, len(view.days())) == (expected.size, 11)


def test_a_view_of_a_view_is_the_view_of_their_overlap(month: LogTable) -> None:
    outer = month.between(date(2024, 5, 5), date(2024, 5, 25))
    inner = outer.between(date(2024, 5, 20), date(2024, 6, 30))
    assert inner == month.between(date(2024, 5, 20), date(2024, 5, 25))


def test_a_view_of_no_rows_is_refused_with_the_days_there_are(month: LogTable) -> None:
    with pytest.raises(ValueError, match="runs from 2024-05-01 to 2024-05-31"):
        month.between(date(2025, 1, 1), date(2025, 2, 1))


@pytest.mark.parametrize("rows", [1_000, 100_000, 131_072, 1_000_000])
def test_batches_concatenate_to_the_arrays_and_stay_small(month: LogTable, rows: int) -> None:
    view = month.between(date(2024, 5, 3), date(2024, 5, 30))
    batches = list(view.batches(["price", "timestamp"], rows))
    assert max(batch["price"].size for batch in batches) <= rows
    whole = view.arrays(["price", "timestamp"])
    for name, array in whole.items():
        np.testing.assert_array_equal(np.concatenate([b[name] for b in batches]), array)


def test_asking_for_a_column_that_is_not_there_names_those_that_are(month: LogTable) -> None:
    with pytest.raises(KeyError, match="has no shop; it has timestamp, price, sold"):
        next(month.batches(["shop"]))


ORDERS = st.lists(
    st.tuples(
        st.datetimes(datetime(2020, 1, 1), datetime(2024, 5, 1)),
        st.none() | st.floats(0.0, 1e9),
        st.booleans(),
        # Text is trimmed, so it is generated trimmed.
        st.none() | st.text("aé;,\"' \n#", max_size=6).map(str.strip).filter(bool),
    ),
    min_size=2,
    max_size=30,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(orders=ORDERS)
def test_a_valid_log_reads_the_same_from_csv_gzip_and_parquet(
    tmp_path_factory: pytest.TempPathFactory,
    orders: list[tuple[datetime, float | None, bool, str | None]],
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    stamps, prices, sold, shops = zip(*orders, strict=True)
    table = pa.table(
        {
            "timestamp": pa.array(stamps, pa.timestamp("us")),
            "order_id": [f"order {number}" for number in range(len(orders))],
            "price": pa.array([p or 0.0 if s else p for p, s in zip(prices, sold, strict=True)]),
            "sold": pa.array(sold),
            "shop": pa.array(shops, pa.string()),
        }
    )
    table = table.set_column(2, "price", table.column("price").cast(pa.float64()))
    table = table.append_column("channel", table.column("shop"))
    pa_csv.write_csv(table, folder / "log.csv")
    (folder / "log.csv.gz").write_bytes(gzip.compress((folder / "log.csv").read_bytes()))
    pq.write_table(table, folder / "log.parquet")
    read = [
        read_log(
            folder / name, SCHEMA, columns={"channel": "channel"}, cache=folder / "cache", now=NOW
        )
        for name in ("log.csv", "log.csv.gz", "log.parquet")
    ]
    order = np.argsort(np.array(stamps, dtype="datetime64[us]"), kind="stable")
    for log in read:
        arrays = log.arrays(log.names)
        assert arrays["timestamp"].tolist() == [stamps[i] for i in order]
        assert arrays["order_id"].tolist() == [f"order {i}" for i in order]
        np.testing.assert_array_equal(
            arrays["price"], np.array(table.column("price").to_numpy(), dtype=float)[order]
        )
        assert arrays["sold"].tolist() == [sold[i] for i in order]
        assert arrays["shop"].tolist() == [shops[i] or "" for i in order]
        assert arrays["channel"].tolist() == arrays["shop"].tolist()


SLOW_READING = """
import sys, time
from pathlib import Path
import numpy as np, pyarrow as pa
from envs.core.log import Column, LogSchema, RawLog, Reader, read_log

def endless(names, problems):
    while True:
        yield pa.record_batch({"timestamp": ["2024-05-01T00:00:00Z"] * 1000})
        print("reading", flush=True)
        time.sleep(0.01)

schema = LogSchema(
    name="endless",
    columns=(Column(name="timestamp", kind="timestamp", unit="UTC"),),
    readers={"slow": Reader(summary="", open=lambda *_: RawLog(("timestamp",), endless))},
)
read_log(Path(sys.argv[1]), schema, reader="slow", cache=Path(sys.argv[2]))
"""


def test_a_killed_reading_leaves_no_table_and_its_remains_are_cleared_later(
    tmp_path: Path, read_lines: ReadLines
) -> None:
    source, cache = tmp_path / "endless.txt", tmp_path / "cache"
    source.write_text("anything")
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_READING, str(source), str(cache)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        process.kill()
    [workspace] = cache.iterdir()
    assert not list(cache.glob("*.parquet"))
    assert read_lines(*LINES).rows == 3
    assert workspace.exists(), "a workspace that may be in use is left alone"
    two_days_ago = time.time() - 2 * 86_400
    os.utime(workspace, (two_days_ago, two_days_ago))
    (tmp_path / "sales.csv").unlink()
    table = read_lines(*LINES, LINES[1].replace(",b,", ",z,"))
    assert not workspace.exists()
    assert table.rows == 4


def test_a_log_of_several_files_is_read_again_when_any_of_them_changed(tmp_path: Path) -> None:
    def opened(folder: Path, *_: object) -> RawLog:
        files = tuple(sorted(folder.iterdir()))
        first = files[0]
        rows = pa.record_batch({"timestamp": pa.array(first.read_text().split())})
        return RawLog(("timestamp",), lambda *_: iter([rows]), files=files)

    schema = LogSchema(
        name="two files",
        columns=(Column(name="timestamp", kind="timestamp", unit="UTC"),),
        readers={"folder": Reader(summary="two files", open=opened)},
    )
    folder, cache = tmp_path / "log", tmp_path / "cache"
    folder.mkdir()
    (folder / "events").write_text("2024-01-01T00:00:00Z 2024-01-02T00:00:00Z")
    hashes = []
    for customers in ("one", "two", "one"):
        (folder / "customers").write_text(customers)
        (folder / "customers").replace(folder / "z-customers")
        hashes.append(read_log(folder, schema, cache=cache, reader="folder").sha256)
    assert hashes[0] == hashes[2] != hashes[1]
