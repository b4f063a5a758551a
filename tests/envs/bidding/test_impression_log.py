"""Reading an impression-level campaign: what is read, and that nothing wrong passes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from envs.bidding.impression_log import ImpressionLogError, Totals, read_campaign

INFO = {
    "imp_train": 8,
    "clk_train": 2,
    "cost_train": 30,
    "price_counter_train": [0, 1, 0, 2, 2, 3],
}
VALIDATION = "9\t2\n1\n0\t3\t0.25\n1\t5\t0.5\n2\t8\n0 4 1e-3\n0 4 0.125\n"
TEST = "0 5 0.5\n1 0 0.0625\n0 3 1\n"
BASE_BIDS = {"7": {"1/32": 5, "1/2": 40}, "8": {"1/32": 10}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "7.info.json").write_text(json.dumps(INFO))
    (tmp_path / "7.validation.txt.gz").write_bytes(gzip.compress(VALIDATION.encode()))
    (tmp_path / "7.test.theta.txt").write_text(TEST)
    (tmp_path / "lin_base_bids.json").write_text(json.dumps(BASE_BIDS))
    return tmp_path


def test_a_folder_is_read_as_it_stands(folder: Path) -> None:
    log = read_campaign(folder, "7")
    assert log.validation is not None
    assert log.test is not None
    np.testing.assert_array_equal(log.validation.click, [0, 1, 0, 0])
    np.testing.assert_array_equal(log.validation.price_cpm, [3, 5, 4, 4])
    np.testing.assert_array_equal(log.validation.pctr, [0.25, 0.5, 0.001, 0.125])
    np.testing.assert_array_equal(log.test.price_cpm, [5, 0, 3])
    np.testing.assert_array_equal(log.totals.price_count, INFO["price_counter_train"])
    assert log.totals.mean_ctr == 2 / 8
    assert log.totals.cost_per_click_cpm == 15
    assert log.base_bid_cpm == {Fraction(1, 32): 5, Fraction(1, 2): 40}


def test_packed_and_plain_files_read_alike(folder: Path) -> None:
    plain = read_campaign(folder, "7").test
    (folder / "7.test.theta.txt").unlink()
    (folder / "7.test.theta.txt.gz").write_bytes(gzip.compress(TEST.encode()))
    packed = read_campaign(folder, "7").test
    assert plain is not None
    assert packed is not None
    np.testing.assert_array_equal(plain.pctr, packed.pctr)


@pytest.mark.parametrize("absent", ["7.test.theta.txt", "7.validation.txt.gz"])
def test_one_of_the_two_files_of_auctions_is_enough(folder: Path, absent: str) -> None:
    (folder / absent).unlink()
    log = read_campaign(folder, "7")
    assert (log.test is None) == absent.startswith("7.test")
    assert (log.validation is None) == absent.startswith("7.validation")


def test_base_bids_are_optional(folder: Path) -> None:
    (folder / "lin_base_bids.json").write_text(json.dumps({"8": {"1/32": 10}}))
    assert read_campaign(folder, "7").base_bid_cpm == {}
    (folder / "lin_base_bids.json").unlink()
    assert read_campaign(folder, "7").base_bid_cpm == {}


@pytest.mark.parametrize(
    ("cost", "tightness", "auctions", "budget"),
    [
        (30, Fraction(1, 2), 3, 5),  # 3.75 * 3 / 2 = 5.625
        (32, Fraction(1, 2), 3, 6),
        (32, Fraction(1, 32), 7, 0),
    ],
)
def test_budget_of_an_episode_is_rounded_down(
    cost: int, tightness: Fraction, auctions: int, budget: int
) -> None:
    totals = Totals(impressions=8, clicks=2, cost_cpm=cost, price_count=np.array([1, 1]))
    assert totals.episode_budget_cpm(tightness, auctions) == budget


def write_info(**changes: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "7.info.json").write_text(json.dumps({**INFO, **changes}))


def write_test(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "7.test.theta.txt").write_text(content)


def write_validation(content: str) -> Callable[[Path], object]:
    packed = gzip.compress(content.encode())
    return lambda folder: (folder / "7.validation.txt.gz").write_bytes(packed)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "7.info.json").unlink(), r"7.info.json: cannot be read: No such"),
        (lambda folder: (folder / "7.info.json").write_text("{"), "7.info.json: not JSON"),
        (lambda folder: (folder / "7.info.json").write_text("[]"), "one JSON object.*list"),
        (write_info(imp_train=0), "imp_train is 0; a count of 1 or more"),
        (write_info(clk_train="2"), "clk_train is '2'"),
        (write_info(price_counter_train=None), "price_counter_train is missing"),
        (write_info(price_counter_train=[1, -1, 0.5]), "2 entries.*first at price 1: -1"),
        (write_test(""), "no row `click price pctr` in 0 lines"),
        (write_test("2 3 0.5\n0 3 0.5\n"), r"click: 1 of 2 rows.*line 1 \(2 3 0.5\); 0 or 1"),
        (write_test("0 6 0.5\n"), r"price: 1 of 1 .*highest price of the histogram, 5"),
        (write_test("0 -1 0.5\n0 2.5 0.5\n"), "price: 2 of 2"),
        (write_test("0 3 1.5\n0 3 nan\n0 3 x\n0 3 1\n"), r"pctr: 3 of 4 .*probability in \[0, 1\]"),
        (write_test("0 3 0.5\n0 3\n0 3 0.5 9\n"), "2 lines have not the three fields.*line 2"),
        (
            lambda folder: (folder / "7.test.theta.txt").write_bytes("0 3 0.5é".encode("latin-1")),
            "7.test.theta.txt: cannot be read: 'utf-8'",
        ),
        (
            lambda folder: (folder / "7.validation.txt.gz").write_bytes(
                gzip.compress(VALIDATION.encode())[:-12]
            ),
            "7.validation.txt.gz: cannot be read",
        ),
        (
            lambda folder: (folder / "7.validation.txt.gz").write_text(VALIDATION),
            "7.validation.txt.gz: cannot be read: Not a gzipped file",
        ),
        (write_validation("9\n1\n0 3 0.5\n"), "line 1 must be `dimension T`"),
        (write_validation("9 0\n1\n0 3 0.5\n"), "T = 0; at least 1"),
        (write_validation("9 2\n1\n0 3 0.5\n0 3 0.5\n2\n0 3 0.5\n"), "fewer than 2 rows: .*cut sh"),
        (write_validation("9 1\n1\n0 3 0.5\n0 3 0.5\n2\n"), "2 lines break the pattern.*line 4"),
        (
            lambda folder: (folder / "lin_base_bids.json").write_text('{"7": {"a": 1}}'),
            "lin_base_bids.json: 7: expected",
        ),
        (
            lambda folder: (folder / "lin_base_bids.json").write_text('{"7": {"1/8": 0}}'),
            "base bid at 1/8 is 0",
        ),
    ],
)
def test_a_malformed_folder_is_refused(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    with pytest.raises(ImpressionLogError, match=message):
        read_campaign(folder, "7")


def test_every_problem_of_every_file_is_told_at_once(folder: Path) -> None:
    write_info(clk_train=0, imp_train=-4)(folder)
    write_test("7 3 0.5\n0 3 2\n0 3\n")(folder)
    write_validation("x\n")(folder)
    with pytest.raises(ImpressionLogError) as refusal:
        read_campaign(folder, "7")
    assert len(refusal.value.problems) == 7
    for word in ("imp_train", "clk_train", "click:", "pctr:", "three fields", "dimension T"):
        assert word in str(refusal.value)


def test_an_unknown_campaign_is_told_the_known_ones(folder: Path) -> None:
    with pytest.raises(ImpressionLogError, match=r"campaigns with an info.json: 7"):
        read_campaign(folder, "9")


def test_a_real_campaign_has_its_published_totals(shared_data: Path) -> None:
    log = read_campaign(shared_data / "ipinyou_rlb", "1458")
    assert log.validation is not None
    assert log.validation.click.size == 100_000
    assert log.totals.impressions == log.totals.price_count.sum() == 3_083_056
    assert log.totals.mean_ctr == pytest.approx(0.0796e-2, rel=1e-3)
    assert log.totals.mean_price_cpm == pytest.approx(68.9, abs=0.05)
    assert log.totals.episode_budget_cpm(Fraction(1, 32), 1000) == 2152
    assert log.base_bid_cpm[Fraction(1, 8)] == 85
