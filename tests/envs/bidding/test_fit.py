"""From a log on disk to a calibration on disk, and every way a log cannot be calibrated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.bidding.env import sample_settings
from envs.bidding.fit import BiddingCalibration, fit, settle
from envs.bidding.generator import PRESETS, generate_log
from envs.bidding.log import AUCTIONS
from envs.bidding.world import BiddingSettings
from envs.core.calibration_folder import CalibrationError, DamagedFile
from envs.core.log import LogTable, read_log
from envs.core.settings import settings_text

SETTINGS = BiddingSettings(**sample_settings({}))
Change = Callable[[pa.Table], pa.Table]


def log_of(folder: Path, days: int, change: Change = lambda table: table) -> LogTable:
    """A generated log, changed, written and read again."""
    table = change(generate_log(PRESETS["default"], days, np.random.default_rng(4)).table)
    path = folder / "auctions.parquet"
    pq.write_table(table, path)
    return read_log(path, AUCTIONS, cache=folder / "cache")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> BiddingCalibration:
    """A calibration of six generated days, two of them held out."""
    return fit(log_of(tmp_path_factory.mktemp("log"), 6), SETTINGS, np.random.default_rng(0))


def test_the_days_are_split_by_time_and_the_report_is_of_days_not_seen(
    calibration: BiddingCalibration,
) -> None:
    assert calibration.earlier.auctions.dates.astype(str).tolist() == [
        f"2024-01-0{day}" for day in (1, 2, 3, 4)
    ]
    assert calibration.later.auctions.dates.astype(str).tolist() == ["2024-01-05", "2024-01-06"]
    [spend] = [curve for curve in calibration.fidelity.curves if curve.name == "day spend"]
    assert len(spend.x) == 2


def test_the_logging_policy_is_recovered_from_the_bids(calibration: BiddingCalibration) -> None:
    assert calibration.logging_multiplier == pytest.approx(0.65, rel=0.02)
    assert calibration.logging_noise_sd == pytest.approx(0.5, rel=0.02)


def test_every_world_plans_with_the_earlier_days(calibration: BiddingCalibration) -> None:
    rng = np.random.default_rng(0)
    worlds = {
        "training": calibration.training_world(7, SETTINGS, rng),
        "judging": calibration.judging_world(3, SETTINGS, rng),
        "history": calibration.history_world(SETTINGS),
        "heldout": calibration.heldout_world(SETTINGS),
    }
    assert {name: world.days.count for name, world in worlds.items()} == {
        "training": 7,
        "judging": 3,
        "history": 4,
        "heldout": 2,
    }
    terms = worlds["history"].terms
    for world in worlds.values():
        np.testing.assert_array_equal(world.terms.budget, terms.budget)
        np.testing.assert_array_equal(world.terms.log_lambda_0, terms.log_lambda_0)


def test_what_history_pays_is_what_the_generator_would_have_charged(
    calibration: BiddingCalibration, tmp_path: Path
) -> None:
    truth = generate_log(PRESETS["default"], 6, np.random.default_rng(4))
    first = truth.table["timestamp"].to_numpy() < np.datetime64("2024-01-05")
    per_day = truth.true_price_cpm[first].sum() * 1e-5 / 4
    budget = calibration.history_world(SETTINGS).terms.budget[0]
    # Most of this money lies in impressions of low value, whose prices the log's bids hardly see.
    assert budget == pytest.approx(per_day / 8, rel=0.06)


def test_the_same_generator_gives_the_same_calibration(tmp_path: Path) -> None:
    log = log_of(tmp_path, 3)
    first, again = (fit(log, SETTINGS, np.random.default_rng(1)) for _ in range(2))
    for one, two in zip(first.earlier.members, again.earlier.members, strict=True):
        np.testing.assert_array_equal(one.centred, two.centred)
        np.testing.assert_array_equal(one.law.moving, two.law.moving)
    assert first.fidelity == again.fidelity
    one, two = first.earlier.members[:2]
    assert (one.centred != two.centred).any()


def test_a_saved_calibration_loads_as_it_was(
    calibration: BiddingCalibration, tmp_path: Path
) -> None:
    calibration.save(tmp_path / "calibration")
    calibration.save(tmp_path / "calibration")  # replaces itself
    loaded = BiddingCalibration.load(tmp_path / "calibration")
    assert loaded.fidelity == calibration.fidelity
    assert (loaded.notes, loaded.data_sha256) == (calibration.notes, calibration.data_sha256)
    assert loaded.logging_multiplier == calibration.logging_multiplier
    worlds = (
        c.training_world(2, SETTINGS, np.random.default_rng(3)) for c in (calibration, loaded)
    )
    one, two = worlds
    for name in one.days._fields:
        np.testing.assert_array_equal(getattr(one.days, name), getattr(two.days, name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibration"]


def test_a_calibration_that_is_not_what_was_written_is_refused(
    calibration: BiddingCalibration, tmp_path: Path
) -> None:
    folder = tmp_path / "calibration"
    calibration.save(folder)
    (folder / "later.npz").write_bytes((folder / "earlier.npz").read_bytes())
    with pytest.raises(DamagedFile, match=r"later\.npz is not what was written"):
        BiddingCalibration.load(folder)


def test_the_environment_of_a_saved_calibration_has_its_settings(
    calibration: BiddingCalibration, tmp_path: Path
) -> None:
    folder = tmp_path / "calibration"
    calibration.save(folder)
    kept = BiddingSettings(**sample_settings({"tightness": (0.3,), "gain": 2.0}))
    (folder / "settings.json").write_text(settings_text(kept))
    env: Any = gymnasium.make("marketing/Bidding-v0", calibration=folder, days=2, reach=0.5)
    assert env.unwrapped.world.settings == replace(kept, reach=0.5)


def first_price(table: pa.Table) -> pa.Table:
    won = table["won"].to_numpy() == 1
    price = pa.array(table["bid_cpm"].to_numpy(), mask=~won)
    return table.set_column(table.column_names.index("price_cpm"), "price_cpm", price)


def hardly_ever_won(table: pa.Table) -> pa.Table:
    won = table["won"].to_numpy() == 1
    kept = ~won | (np.cumsum(won) <= 20)
    return table.filter(pa.array(kept))


@pytest.mark.parametrize(
    ("days", "change", "message"),
    [
        (2, lambda table: table, r"2 UTC days.*at least 2 earlier days"),
        (3, first_price, r"first-price auction.*minimum bid to win"),
        (3, hardly_ever_won, "later part has 0 won auctions"),
    ],
)
def test_a_log_that_cannot_be_calibrated_is_refused_with_what_it_needs(
    tmp_path: Path, days: int, change: Change, message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        fit(log_of(tmp_path, days, change), SETTINGS, np.random.default_rng(0))


def test_the_value_of_a_click_is_read_off_the_log_where_it_has_enough_of_them(
    tmp_path: Path,
) -> None:
    few = log_of(tmp_path, 2)
    assert settle(few, BiddingSettings()).click_value == 1.0

    def valued(table: pa.Table) -> pa.Table:
        click = table["click"].to_numpy() == 1
        column = table.column_names.index("value")
        return table.set_column(column, "value", pa.array(np.where(click, 3.0, 0.0)))

    (tmp_path / "more").mkdir()
    many = log_of(tmp_path / "more", 8, valued)
    assert settle(many, BiddingSettings()).click_value == pytest.approx(3.0)
    assert settle(many, BiddingSettings(click_value=7.0)).click_value == 7.0


def test_a_log_of_wins_says_that_its_prices_are_truncated_and_its_bids_unknown(
    tmp_path: Path,
) -> None:
    log = log_of(tmp_path, 3, lambda table: table.filter(pa.array(table["won"].to_numpy() == 1)))
    calibration = fit(log, SETTINGS, np.random.default_rng(0))
    assert calibration.logging_multiplier is None
    assert any("won auctions only" in note for note in calibration.notes)


def test_a_thinned_log_stands_for_all_its_auctions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path, 3)
    monkeypatch.setattr("envs.bidding.auctions.ROWS_PER_DAY", 5_000)
    calibration = fit(log, SETTINGS, np.random.default_rng(0))
    auctions: Any = calibration.earlier.auctions
    assert auctions.weight == 4
    whole = sum(rows for _, rows in log.day_rows[:2])
    assert auctions.rows * auctions.weight == pytest.approx(whole, rel=0.001)
    full = fit(log, SETTINGS, np.random.default_rng(0)).history_world(SETTINGS)
    thinned = calibration.history_world(SETTINGS)
    assert thinned.terms.budget[0] == pytest.approx(full.terms.budget[0], rel=0.05)
    assert any("one auction in 4" in note for note in calibration.notes)
