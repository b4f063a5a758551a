"""The benchmark as it is called: its JSON, its refusals, real campaigns, the published counts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from benchmarks import ipinyou_rlb

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLISHED_CAMPAIGN = "2997"
# README of the authors' repository, c0 = 1/32: clicks, impressions, cost.
PUBLISHED_COUNTS = {
    "SS-MDP": (80, 40_395, 306_637),
    "MCPC": (48, 14_752, 307_751),
    "LIN": (71, 32_208, 203_610),
    "RLB": (78, 39_680, 304_375),
}
# Clicks of a re-implementation that agrees with those counts, and expected clicks of RLB and bound.
CLICKS = {
    "1/32": {"SS-MDP": 80, "MCPC": 48, "RLB": 78},
    "1/16": {"SS-MDP": 115, "MCPC": 82, "RLB": 119},
    "1/8": {"SS-MDP": 179, "MCPC": 144, "RLB": 176, "LIN": 93},
    "1/4": {"SS-MDP": 255, "MCPC": 244, "RLB": 260},
    "1/2": {"SS-MDP": 382, "MCPC": 254, "RLB": 389},
}
EXPECTED = {
    "1/32": (163.1, 170.3),
    "1/16": (224.6, 230.2),
    "1/8": (295.6, 302.2),
    "1/4": (393.7, 397.7),
    "1/2": (517.8, 522.9),
}


class Finished(NamedTuple):
    """What a call of the script left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(*options: str) -> Finished:
    """The script's main function, without another process's imports."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = ipinyou_rlb.main(options)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Finished(code, out.getvalue(), err.getvalue())


def result_of(*options: str) -> dict[str, Any]:
    finished = run(*options, "--json")
    assert finished.returncode == 0, finished.stderr
    result: dict[str, Any] = json.loads(finished.stdout)["results"][0]
    return result


@pytest.fixture
def small_folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Prices uniform on 1..20, 330 test auctions, two validation episodes of 50."""
    info = {"imp_train": 2000, "clk_train": 100, "cost_train": 21_000}
    (tmp_path / "5.info.json").write_text(
        json.dumps({**info, "price_counter_train": [0, *[100] * 20]})
    )
    pctr = np.minimum(rng.lognormal(-3.2, 0.7, 430), 1.0)
    rows = [
        f"{click} {price} {chance}"
        for click, price, chance in zip(
            (rng.random(430) < pctr).astype(int), rng.integers(1, 21, 430), pctr, strict=True
        )
    ]
    (tmp_path / "5.test.theta.txt").write_text("\n".join(rows[:330]) + "\n")
    episodes = ["9 50", "1", *rows[330:380], "2", *rows[380:]]
    (tmp_path / "5.validation.txt").write_text("\n".join(episodes) + "\n")
    return tmp_path


def test_a_campaign_prints_one_json_object_with_every_budget_and_algorithm(
    small_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    finished = run(
        *("--data", str(small_folder), "--campaign", "5", "--n0", "100"),
        *("--lin-base", "7", "1/8=11", "--json", "--out", str(out)),
    )
    document = json.loads(finished.stdout)
    assert json.loads(out.read_text()) == document
    result = document["results"][0]
    assert result["evaluated_on"] == "test"
    assert (result["auctions"], result["episodes"]) == (330, 4)
    assert [at["c0"] for at in result["budgets"]] == ["1/32", "1/16", "1/8", "1/4", "1/2"]
    assert [at["budget_cpm"] for at in result["budgets"]] == [32, 65, 131, 262, 525]
    assert [at["lin_base_bid_cpm"] for at in result["budgets"]] == [7, 7, 11, 7, 7]
    for at in result["budgets"]:
        assert set(at["algorithms"]) == {"SS-MDP", "MCPC", "LIN", "RLB"}
        for bought in at["algorithms"].values():
            assert bought["expected_clicks"] <= at["expected_clicks_bound"]
            assert bought["cost_cpm"] <= 4 * at["budget_cpm"]
        gain = at["rlb_minus_lin"]["clicks"]
        rlb, lin = at["algorithms"]["RLB"], at["algorithms"]["LIN"]
        assert gain["difference"] == rlb["clicks"] - lin["clicks"]
        assert gain["low"] <= gain["difference"] <= gain["high"]


def test_without_a_published_base_bid_lin_is_tuned_on_the_validation_episodes(
    small_folder: Path,
) -> None:
    options = ("--data", str(small_folder), "--campaign", "5", "--n0", "50")
    tuned = result_of(*options)["budgets"]
    assert {at["lin_base_bid_from"] for at in tuned} == {"tuned on validation"}
    (small_folder / "lin_base_bids.json").write_text(json.dumps({"5": {"1/8": 15}}))
    origins = {at["c0"]: at["lin_base_bid_from"] for at in result_of(*options)["budgets"]}
    assert origins["1/8"] == "published"
    assert origins["1/4"] == "tuned on validation"


def test_a_campaign_without_a_test_file_says_what_it_was_played_on(small_folder: Path) -> None:
    (small_folder / "5.test.theta.txt").unlink()
    finished = run("--data", str(small_folder), "--campaign", "5", "--n0", "50")
    assert finished.returncode == 0
    assert "no test file: played on the validation episodes" in finished.stdout


def test_bad_data_ends_the_process_with_code_3_and_one_message(small_folder: Path) -> None:
    (small_folder / "5.info.json").write_text("{}")
    script = REPOSITORY / "benchmarks" / "ipinyou_rlb.py"
    finished = subprocess.run(
        [sys.executable, str(script), "--data", str(small_folder), "--campaign", "5", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 3
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    for key in ("imp_train", "clk_train", "cost_train", "price_counter_train"):
        assert key in finished.stderr


def test_without_anything_to_tune_on_the_message_says_what_to_give(small_folder: Path) -> None:
    (small_folder / "5.validation.txt").unlink()
    finished = run("--data", str(small_folder), "--campaign", "5")
    assert finished.returncode == 3
    assert "--lin-base 1/32=BID" in finished.stderr


@pytest.mark.parametrize("option", [("--lin-base", "1/7=20"), ("--lin-base", "0"), ("--n0", "0")])
def test_wrong_options_are_usage_errors(small_folder: Path, option: tuple[str, str]) -> None:
    assert run("--data", str(small_folder), "--campaign", "5", *option).returncode == 2


def test_a_real_campaign_keeps_the_order_of_its_methods(shared_data: Path) -> None:
    """Validation episodes of 2821: no published count, but bounds and orders that must hold."""
    result = result_of("--data", str(shared_data / "ipinyou_rlb"), "--campaign", "2821")
    assert result["evaluated_on"] == "validation"
    for at in result["budgets"]:
        of_bound = {
            name: bought["expected_clicks"] / at["expected_clicks_bound"]
            for name, bought in at["algorithms"].items()
        }
        assert 0.9 < of_bound["RLB"] <= 1
        assert max(of_bound["MCPC"], of_bound["SS-MDP"]) < of_bound["RLB"]
        for bought in at["algorithms"].values():
            assert bought["cost_cpm"] <= 100 * at["budget_cpm"]


def test_published_counts_are_met_to_the_click(shared_data: Path) -> None:
    folder = shared_data / "ipinyou_rlb"
    if not list(folder.glob(f"{PUBLISHED_CAMPAIGN}.test.theta.txt*")):
        pytest.skip(
            f"the test auctions of campaign {PUBLISHED_CAMPAIGN} are absent: the README of "
            "ipinyou_rlb names their public source"
        )
    options = ("--data", str(folder), "--campaign", PUBLISHED_CAMPAIGN)
    at = {row["c0"]: row for row in result_of(*options, "--lin-base", "1/8=20")["budgets"]}
    for name in ("SS-MDP", "MCPC", "RLB"):
        bought = at["1/32"]["algorithms"][name]
        found = (bought["clicks"], bought["impressions"], bought["cost_cpm"])
        assert found == PUBLISHED_COUNTS[name], name
    for c0, clicks in CLICKS.items():
        assert {name: at[c0]["algorithms"][name]["clicks"] for name in clicks} == clicks, c0
        rlb = at[c0]["algorithms"]["RLB"]["expected_clicks"]
        assert (rlb, at[c0]["expected_clicks_bound"]) == pytest.approx(EXPECTED[c0], abs=0.06)
    if at["1/32"]["lin_base_bid_from"] == "published":
        bought = at["1/32"]["algorithms"]["LIN"]
        found = (bought["clicks"], bought["impressions"], bought["cost_cpm"])
        assert found == PUBLISHED_COUNTS["LIN"]
