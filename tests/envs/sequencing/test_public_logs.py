"""Public research data read as customer logs, and the one verdict that each supports."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from envs.core.log import LogError, LogTable, read_log
from envs.sequencing.fit import CalibrationError, fit
from envs.sequencing.log import EVENTS
from envs.sequencing.settings import SequencingSettings


def read(path: Path, reader: str, cache: Path) -> LogTable:
    return read_log(path, EVENTS, reader=reader, cache=cache)


def test_complete_journey_is_mailings_redemptions_and_baskets(
    shared_data: Path, tmp_path: Path
) -> None:
    log = read(shared_data / "complete_journey", "complete_journey", tmp_path)
    columns = log.arrays(["customer_id", "event", "channel", "offer", "value"])
    contacts = columns["event"] == "contact"
    assert contacts.sum() > 6000
    assert set(columns["channel"][contacts]) == {"letter"}
    assert set(columns["offer"][contacts]) == {"Type A", "Type B", "Type C"}
    assert (columns["event"] == "click").sum() > 500
    assert columns["value"][columns["event"] == "purchase"].sum() == pytest.approx(233_000, rel=0.1)


def test_complete_journey_is_calibrated_with_its_effects_called_assumed(
    shared_data: Path, tmp_path: Path
) -> None:
    log = read(shared_data / "complete_journey", "complete_journey", tmp_path)
    found = fit(log, SequencingSettings(), np.random.default_rng(0))
    assert found.verdict.startswith("verdict: effects assumed, not identified")
    assert found.notes[0] == found.verdict
    assert "effective customer-weeks" in found.notes[1]
    assert "unsupported mass" in found.notes[1]
    assert "effective positives" in found.notes[1]
    assert found.support.unsupported > 0.05, "many states never saw some kind of letter"
    assert not found.fidelity.passed, "campaigns come by calendar, not by a customer's state"
    assert {check.name for check in found.fidelity.failures} >= {"trajectories: two-sample AUC"}


def test_the_detailing_panel_is_calls_and_prescriptions_by_month(
    shared_data: Path, tmp_path: Path
) -> None:
    log = read(shared_data / "bayesm_marketing", "detailing", tmp_path)
    path = shared_data / "bayesm_marketing" / "detailing_counts.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=1)
    event = log.arrays(["event"])["event"]
    assert (event == "purchase").sum() == rows[:, 1].sum()
    assert (event == "contact").sum() == rows[:, 2].sum()
    assert (event == "signup").sum() == 700
    assert log.first.strftime("%Y-%m-%d") == "2000-01-03"
    assert (log.last - log.first).days // 7 == 22
    found = fit(log, SequencingSettings(), np.random.default_rng(0))
    assert found.verdict.startswith("verdict: effects assumed, not identified")


def test_cdnow_is_purchases_alone_from_which_no_contact_can_be_learned(
    shared_data: Path, tmp_path: Path
) -> None:
    log = read(shared_data / "cdnow" / "CDNOW_master.txt.gz", "cdnow", tmp_path)
    event = log.arrays(["event"])["event"]
    assert (event == "signup").sum() == 23_570
    assert (event == "purchase").sum() == 67_591, "purchases of one day count as one"
    with pytest.raises(CalibrationError, match="no contacts"):
        fit(log, SequencingSettings(), np.random.default_rng(0))


def test_starbucks_is_offers_views_and_transactions(shared_data: Path, tmp_path: Path) -> None:
    log = read(shared_data / "starbucks_simulated", "starbucks", tmp_path)
    event = log.arrays(["event"])["event"]
    names, counts = np.unique(event.astype(str), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "contact": 76_277, "open": 57_725, "purchase": 138_953, "signup": 17_000,
    }  # fmt: skip
    assert any("simulated by its own statement" in note for note in log.notes)


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    folder = tmp_path / "journey"
    folder.mkdir()
    (folder / "campaigns.csv").write_text("campaign_id,household_id\n1,2\n")
    with pytest.raises(LogError) as caught:
        read(folder, "complete_journey", tmp_path / "cache")
    assert len(caught.value.problems) == 3
    assert not (tmp_path / "cache").exists()


def test_files_of_another_kind_are_refused_with_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "detailing_counts.csv"
    path.write_text("id,scripts,detailing\n1,many,2\n1,3,1\n")
    with pytest.raises(LogError, match="do not hold what this format holds"):
        read(path, "detailing", tmp_path / "cache")
    path.write_text("00001 19970101 1\n00001 19970102 1\n")
    with pytest.raises(LogError, match="without four values"):
        read(path, "cdnow", tmp_path / "cache")


def test_a_broken_line_of_json_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "starbucks"
    folder.mkdir()
    for name in ("transcript", "profile", "portfolio"):
        (folder / f"{name}.json").write_text(json.dumps({"id": "a"}) + "\n{oops\n")
    with pytest.raises(LogError, match=r"line 2 of profile\.json is not JSON"):
        read(folder, "starbucks", tmp_path / "cache")
