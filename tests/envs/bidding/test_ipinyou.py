"""The iPinYou formats, on their own files where those are present and on small copies of them."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from envs.bidding.log import AUCTIONS
from envs.core.log import LogError, LogTable, read_log

ROW = (
    "0\t3\t19\t{bid}\t20131023193112417\t1\tuser\twindows_ie\t14.214.89.*\t216\t222\t3\tdomain\turl\t"
    'null\tslot "x\t300\t250\tNa\tFixed\t50\t7323\t294\t{price}\tnull\t2259\tnull'
)


def read(path: Path, reader: str, cache: Path, **options: int) -> LogTable:
    return read_log(path, AUCTIONS, reader=reader, reader_options=options, cache=cache)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def episodes(*sizes: int) -> list[str]:
    lines = ["560870\t4"]
    for number, size in enumerate(sizes, 1):
        lines += [str(number), *[f"0\t{50 + row} 0.001" for row in range(size)]]
    return lines


def test_full_rows_carry_time_bid_price_and_context(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.txt", ROW.format(bid="b1", price=148), ROW.format(bid="b2", price=9)
    )
    table = read(path, "ipinyou-rows", tmp_path / "cache")
    assert table.first == datetime(2013, 10, 23, 19, 31, 12, 417_000, tzinfo=UTC)
    arrays = table.arrays(table.names)
    assert {name: arrays[name][0] for name in table.names if name != "timestamp"} == {
        "campaign_id": "2259",
        "bid_cpm": 294.0,
        "won": True,
        "price_cpm": 148.0,
        "floor_cpm": 50.0,
        "click": False,
        "exchange": "3",
        "region": "216",
        "slot_format": "Fixed",
        "slot_visibility": "Na",
    }
    assert "won impressions only: the price is truncated at the logged bid" in table.notes


def test_a_full_row_is_refused_like_any_other(tmp_path: Path) -> None:
    rows = [ROW.format(bid="b", price=price) for price in (148, 295, -1)]
    rows.append(rows[0].replace("20131023193112417", "2013"))
    with pytest.raises(LogError) as refusal:
        read(write(tmp_path / "log.txt", *rows), "ipinyou-rows", tmp_path / "cache")
    assert {(p.column, p.first_rows) for p in refusal.value.problems} == {
        ("price_cpm", (2,)),
        ("price_cpm", (3,)),
        ("timestamp", (4,)),
    }


@pytest.mark.parametrize(
    ("reader", "line"),
    [
        ("ipinyou-rows", "0\t51\t0.1\t0"),
        ("ipinyou-sam", "0 51 0.1"),
        ("ipinyou-theta", "0\t51\t0.1\t0"),
        ("ipinyou-rlb", "0\t51\t0.1\t0"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, reader: str, line: str) -> None:
    with pytest.raises(LogError, match="choose another reader"):
        read(write(tmp_path / "log.txt", line, line), reader, tmp_path / "cache")


def test_damaged_gzip_is_refused_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "log.txt.gz"
    path.write_bytes(gzip.compress("\n".join(episodes(4, 4)).encode())[:-20])
    for reader in AUCTIONS.readers:
        with pytest.raises(LogError, match=r"damaged gzip|choose another reader"):
            read(path, reader, tmp_path / "cache")
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.txt.gz"]


@pytest.mark.parametrize("days", [1, 5, 7])
@pytest.mark.parametrize("rows", [48 * 7 * 5, 10_007])
def test_files_without_times_are_cut_into_pseudo_slots_of_equal_count_in_file_order(
    tmp_path: Path, days: int, rows: int
) -> None:
    lines = [f"0 {1 + row % 300} 0.001" for row in range(rows)]
    path = write(tmp_path / "theta.txt", *lines)
    table = read(path, "ipinyou-theta", tmp_path / "cache", days=days)
    arrays = table.arrays(["timestamp", "price_cpm"])
    np.testing.assert_array_equal(arrays["price_cpm"], 1 + np.arange(rows) % 300)
    slot = (arrays["timestamp"] - np.datetime64("2013-06-06")) // np.timedelta64(30, "m")
    np.testing.assert_array_equal(slot, np.arange(rows) * (48 * days) // rows)
    assert len(table.days()) == days


def test_episodes_are_read_without_their_own_lines(tmp_path: Path) -> None:
    table = read(write(tmp_path / "v.txt", *episodes(4, 4, 4)), "ipinyou-rlb", tmp_path / "cache")
    assert table.arrays(["price_cpm"])["price_cpm"].tolist() == [50.0, 51.0, 52.0, 53.0] * 3
    assert any("info.json" in note for note in table.notes)


def test_an_episode_cut_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"1 episodes \(first: 3\) that do not have 4 rows"):
        read(write(tmp_path / "v.txt", *episodes(4, 4, 3)), "ipinyou-rlb", tmp_path / "cache")


def test_the_1458_sample_has_the_published_counts(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ipinyou_sam"
    for name, days, rows, clicks in (("train", 5, 220_000, 156), ("test", 2, 80_000, 51)):
        table = read(folder / f"1458.{name}.txt.gz", "ipinyou-sam", tmp_path, days=days)
        assert (table.rows, len(table.days())) == (rows, days)
        arrays = table.arrays(["click", "price_cpm", "bid_cpm", "won", "pctr"])
        assert arrays["click"].sum() == clicks
        assert arrays["won"].all()
        assert arrays["price_cpm"].max() <= 300.0
        assert set(arrays["bid_cpm"]) == {300.0}
        assert any("hour-of-day and day-to-day drift cannot" in note for note in table.notes)


def test_the_full_2259_rows_are_read(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ipinyou_2259_rawlog"
    for name, rows, clicks in (("train", 8_355, 5), ("test", 4_171, 0)):
        table = read(folder / f"{name}.log.txt.gz", "ipinyou-rows", tmp_path)
        arrays = table.arrays(["click", "bid_cpm"])
        assert (table.rows, arrays["click"].sum()) == (rows, clicks)
        assert set(arrays["bid_cpm"]) == {277.0, 294.0}


def test_the_rlb_blocks_are_richer_in_clicks_than_their_campaign(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "ipinyou_rlb"
    for campaign in ("1458", "2259", "3476"):
        path = folder / f"{campaign}.validation.txt.gz"
        clicks = read(path, "ipinyou-rlb", tmp_path).arrays(["click"])["click"]
        info = json.loads((folder / f"{campaign}.info.json").read_text())
        assert clicks.size == 100_000
        assert clicks.mean() > 1.5 * info["clk_train"] / info["imp_train"]
