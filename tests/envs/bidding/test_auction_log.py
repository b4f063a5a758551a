"""What an auction log may not say; every problem of a file is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from envs.bidding.log import AUCTIONS
from envs.core.log import LogError, LogTable, read_log

Rows = list[dict[str, str]]


def good_rows(count: int = 40) -> Rows:
    """Two days of auctions: every second one won, at prices from 20 to 60."""
    return [
        {
            "timestamp": f"2024-05-{1 + i % 2:02}T12:{i:02}:00Z",
            "auction_id": f"auction {i}",
            "campaign_id": "7",
            "bid_cpm": "80",
            "won": str(i % 2),
            "price_cpm": str(20 + i) if i % 2 else "",
            "floor_cpm": "10" if i % 3 else "",
            "pctr": "0.001",
            "click": "1" if i % 10 == 1 else "0",
            "conversion": "1" if i % 20 == 1 else "0",
            "value": "5.5" if i % 20 == 1 else "",
        }
        for i in range(count)
    ]


def read(rows: Rows, folder: Path, columns: Mapping[str, str] | None = None) -> LogTable:
    path = folder / "auctions.csv"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_log(
        path,
        AUCTIONS,
        columns=columns,
        cache=folder / "cache",
        now=datetime(2024, 6, 1, tzinfo=UTC),
    )


def test_a_good_log_is_read(tmp_path: Path) -> None:
    table = read(good_rows(), tmp_path)
    assert table.rows == 40
    assert table.names == AUCTIONS.names
    arrays = table.arrays(["won", "price_cpm", "floor_cpm", "click"])
    np.testing.assert_array_equal(np.isnan(arrays["price_cpm"]), ~arrays["won"])
    assert arrays["click"].sum() == 4


def test_only_the_needed_columns_must_be_there(tmp_path: Path) -> None:
    needed = [column.name for column in AUCTIONS.columns if column.required]
    assert needed == ["timestamp", "bid_cpm", "won", "price_cpm", "click"]
    table = read([{name: row[name] for name in needed} for row in good_rows()], tmp_path)
    assert table.names == tuple(needed)


def edit(row: int, **cells: str) -> Callable[[Rows], None]:
    return lambda rows: rows[row].update(cells)


def rename(column: str, name: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in rows:
            row[name] = row.pop(column)

    return change


def scale(first: int, *columns: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in rows[first:]:
            row.update({name: str(float(row[name]) * 100) for name in columns if row[name]})

    return change


# Row 1 (the second) is a clicked and converted win; row 2 is a loss. Messages count from 1.
REFUSED: dict[str, tuple[Callable[[Rows], None], str, str]] = {
    "a missing column": (
        rename("price_cpm", "Price"),
        "price_cpm",
        "map it with --columns, price_cpm: Price (close: Price",
    ),
    "a negative price": (edit(1, price_cpm="-3"), "price_cpm", "a negative number, such as '-3'"),
    "a negative bid": (edit(2, bid_cpm="-0.01"), "bid_cpm", "a negative number"),
    "a win without a price": (edit(1, price_cpm=""), "price_cpm", "a win without a price"),
    "a loss with a price": (edit(2, price_cpm="0"), "price_cpm", "a price on a lost auction"),
    "a price above the bid": (
        edit(1, price_cpm="80.01"),
        "price_cpm",
        "a price above the winning bid",
    ),
    "a probability above one": (edit(2, pctr="1.5"), "pctr", "a number above 1, such as '1.5'"),
    "a negative probability": (edit(2, pctr="-0.1"), "pctr", "a negative number"),
    "a probability in percent": (edit(2, pctr="2%"), "pctr", "text that is not a number"),
    "no probability": (edit(2, pctr=""), "pctr", "no value in 1 row (3)"),
    "text for a number": (edit(2, bid_cpm="1,5".replace(",", ";")), "bid_cpm", "not a number"),
    "a null marker": (edit(2, price_cpm="NULL"), "price_cpm", "text that is not a number"),
    "NaN": (edit(2, bid_cpm="NaN"), "bid_cpm", "a number that is not finite, such as 'NaN'"),
    "infinity": (edit(2, bid_cpm="inf"), "bid_cpm", "a number that is not finite"),
    "two clicks": (edit(1, click="2"), "click", "a value other than 0 and 1, such as '2'"),
    "yes for 1": (edit(1, won="yes"), "won", "a value other than 0 and 1, such as 'yes'"),
    "an undecided auction": (edit(2, won=""), "won", "no value"),
    "a click on a loss": (edit(2, click="1"), "click", "a click on a lost auction"),
    "a win of unknown click": (edit(3, click=""), "click", "without saying whether"),
    "a conversion without a click": (
        edit(3, conversion="1"),
        "conversion",
        "a conversion without a click in 1 row (4)",
    ),
    "an id with two contents": (
        edit(3, auction_id="auction 1"),
        "auction_id",
        "the same id with different content, such as 'auction 1', in 2 rows (2, 4)",
    ),
    "a row without its id": (edit(3, auction_id=""), "auction_id", "no value in 1 row (4)"),
    "a day in the far future": (
        edit(2, timestamp="2024-06-02T00:00:01Z"),
        "timestamp",
        "a time in the future",
    ),
    "a time of 1970": (edit(2, timestamp="1970-01-20T00:00:00Z"), "timestamp", "before 2000"),
    "an epoch number": (edit(2, timestamp="1714567890"), "timestamp", "text that is not a time"),
    "a local date": (edit(2, timestamp="05/01/2024 10:00"), "timestamp", "not a time"),
    "a day that no month has": (edit(2, timestamp="2024-02-30T00:00:00Z"), "timestamp", "not a"),
    "a time without its zone": (
        edit(2, timestamp="2024-05-01T12:02:00"),
        "timestamp",
        "39 times with a zone and 1 without",
    ),
    "a stretch in cents": (
        scale(20, "bid_cpm", "price_cpm", "floor_cpm"),
        "bid_cpm",
        "mixed units: values about 100 times the rest in rows 21 to 40",
    ),
    "one bid in cents": (
        edit(2, bid_cpm="8000"),
        "bid_cpm",
        "mixed units: values from 7,943 up, far above the rest of the column, in 1 row (3)",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_log_is_refused_for(tmp_path: Path, fault: str) -> None:
    change, column, expected = REFUSED[fault]
    rows = good_rows()
    change(rows)
    with pytest.raises(LogError) as refusal:
        read(rows, tmp_path)
    told = [str(problem) for problem in refusal.value.problems if problem.column == column]
    assert len(told) == 1
    assert expected in told[0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["auctions.csv"]


def test_every_problem_is_told_at_once_and_only_once(tmp_path: Path) -> None:
    rows = good_rows()
    for row, cells in {
        1: {"price_cpm": "-3"},
        3: {"price_cpm": ""},
        4: {"pctr": "7"},
        5: {"timestamp": "yesterday"},
        6: {"bid_cpm": "?"},
        8: {"click": "1"},
        10: {"pctr": "8"},
    }.items():
        rows[row].update(cells)
    rename("won", "is_won")(rows)
    with pytest.raises(LogError) as refusal:
        read(rows, tmp_path)
    # Without `won` the rules that need it cannot be applied.
    assert {(p.column, p.rows, p.first_rows) for p in refusal.value.problems} == {
        ("won", 0, ()),
        ("price_cpm", 1, (2,)),
        ("pctr", 2, (5, 11)),
        ("timestamp", 1, (6,)),
        ("bid_cpm", 1, (7,)),
    }
    with pytest.raises(LogError) as refusal:
        read(rows, tmp_path, columns={"won": "is_won"})
    assert {(p.column, p.rows, p.first_rows) for p in refusal.value.problems} == {
        ("price_cpm", 1, (2,)),
        ("price_cpm", 1, (4,)),
        ("pctr", 2, (5, 11)),
        ("timestamp", 1, (6,)),
        ("bid_cpm", 1, (7,)),
        ("click", 1, (9,)),
    }
    message = str(refusal.value)
    assert message.startswith("auctions.csv was not read: 6 problems. Nothing was written.")
    assert all(f"\n  {number}. " in message for number in range(1, 7))


def test_a_mapping_to_a_column_that_is_not_there_suggests_close_names(tmp_path: Path) -> None:
    rows = good_rows()
    rename("floor_cpm", "reserve")(rows)
    with pytest.raises(LogError, match=r"floor_cpm: no column 'reserv'; .*\(close: reserve\)"):
        read(rows, tmp_path, columns={"floor_cpm": "reserv"})


def test_a_row_at_the_edge_of_what_is_allowed_is_read(tmp_path: Path) -> None:
    rows = good_rows()
    rows[1].update(price_cpm="80", pctr="1")
    rows[3].update(price_cpm="0", pctr="0")
    rows[5].update(timestamp="2024-06-02T00:00:00Z")
    assert read(rows, tmp_path).rows == 40


def test_a_replayed_file_counts_once(tmp_path: Path) -> None:
    table = read(good_rows() * 2, tmp_path)
    assert (table.rows, table.duplicates_dropped) == (40, 40)


def test_two_identical_rows_are_one_row_and_so_too_short(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="1 row left after dropping identical ones"):
        read(good_rows()[:1] * 2, tmp_path)


def test_an_unknown_reader_and_unknown_options_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("0\t51\t0.1\t0\n")
    with pytest.raises(LogError, match=r"unknown reader 'ipinyou'.*ipinyou-rlb, ipinyou-rows"):
        read_log(path, AUCTIONS, reader="ipinyou", cache=tmp_path)
    with pytest.raises(LogError, match="reader options days=0, weeks=2") as refusal:
        read_log(
            path,
            AUCTIONS,
            reader="ipinyou-sam",
            reader_options={"days": 0, "weeks": 2},
            columns={"click": "click"},
            cache=tmp_path,
        )
    assert len(refusal.value.problems) == 2
