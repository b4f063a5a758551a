"""Public research data read as customer logs, and the one verdict that each supports."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from envs.core.log import LogError, LogTable, read_log
from envs.sequencing import DECISION
from envs.sequencing.fit import SequencingCalibration
from envs.sequencing.log import EVENTS
from envs.sequencing.notes import support_note
from ppo_marketing.config import RunConfig, load_config
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.line import run_line
from ppo_marketing.jobs.logs import validate
from ppo_marketing.progress import SilentReporter


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


def test_events_at_the_same_time_come_in_one_order_whatever_the_threads_did(
    shared_data: Path, tmp_path: Path
) -> None:
    log = read(shared_data / "bayesm_marketing", "detailing", tmp_path)
    columns = log.arrays(["timestamp", "event", "customer_id"])
    place = {name: i for i, name in enumerate(("signup", "contact", "open", "click", "purchase"))}
    rows = [
        (stamp, place[event], customer)
        for stamp, event, customer in zip(
            columns["timestamp"].astype("int64").tolist(),
            columns["event"].astype(str).tolist(),
            columns["customer_id"].astype(str).tolist(),
            strict=True,
        )
    ]
    assert rows == sorted(rows)
    assert len(set(columns["timestamp"].tolist())) < len(rows)


def test_cdnow_is_purchases_alone_from_which_no_contact_can_be_learned(
    shared_data: Path, tmp_path: Path
) -> None:
    log = read(shared_data / "cdnow" / "CDNOW_master.txt.gz", "cdnow", tmp_path)
    event = log.arrays(["event"])["event"]
    assert (event == "signup").sum() == 23_570
    assert (event == "purchase").sum() == 67_591, "purchases of one day count as one"


def test_starbucks_is_offers_views_and_transactions(shared_data: Path, tmp_path: Path) -> None:
    log = read(shared_data / "starbucks_simulated", "starbucks", tmp_path)
    event = log.arrays(["event"])["event"]
    names, counts = np.unique(event.astype(str), return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "contact": 76_277, "open": 57_725, "purchase": 138_953, "signup": 17_000,
    }  # fmt: skip
    assert any("simulated by its own statement" in note for note in log.notes)


@dataclass(frozen=True)
class Line:
    """What a log must say of itself at the end of the whole line."""

    folder: str
    reader: str
    contacts: int
    effective_rows: tuple[float, float]
    unsupported: tuple[float, float]
    effective_positives: tuple[float, float]
    failures: frozenset[str]


LINES = (
    Line("complete_journey", "complete_journey", 3, (500, 1000), (0.4, 0.55), (200, 500),
         frozenset({"trajectories: two-sample AUC", "effect: not enough in the log"})),
    Line("bayesm_marketing", "detailing", 1, (2000, 3000), (0.1, 0.3), (1400, 2300),
         frozenset({"baskets: value", "effect: not enough in the log"})),
    Line("starbucks_simulated", "starbucks", 6, (18_000, 26_000), (0.04, 0.08), (13_000, 19_000),
         frozenset({"trajectories: not enough in the log", "effect: not enough in the log"})),
)  # fmt: skip


def config_of(path: Path, reader: str, tmp_path: Path, accepted: str | None) -> RunConfig:
    """A few updates on a short programme: every step of the line, none of its length."""
    return load_config(None, {
        "decision": "sequencing", "project": tmp_path, "output": tmp_path / "run",
        "log": {"path": path, "reader": reader},
        "environment": {"horizon_weeks": 6, "terminal_weeks": 6},
        "training": {
            "total_steps": 4096, "copies": 128, "episodes": 200, "validation_episodes": 50,
        },
        "evaluation": {"episodes": 100, "bootstrap": 200},
        "accept_failed_fidelity": accepted,
    })  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.reader)
def test_a_public_log_runs_the_whole_line_and_says_what_it_is_worth(
    line: Line, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / line.folder
    if not path.is_dir():
        pytest.skip(f"a development log is absent: {path.name} in the shared data")
    config = config_of(path, line.reader, tmp_path, "a test of the line, not of the log")
    valid = validate(DECISION, config.log, tmp_path)
    assert valid["rows"] > 10_000
    done = run_line(config, SilentReporter())
    found = done.calibration
    assert isinstance(found, SequencingCalibration)
    assert len(found.effects) == line.contacts
    assert "randomised" not in found.effects
    assert found.verdict.startswith("verdict: effects assumed, not identified")
    assert found.notes[:2] == (found.verdict, support_note(found.support))
    for value, (low, high) in (
        (found.support.effective_rows, line.effective_rows),
        (found.support.unsupported, line.unsupported),
        (found.support.effective_positives, line.effective_positives),
    ):
        assert low < value < high, found.support
    assert {check.name for check in found.fidelity.failures} >= line.failures
    page = (done.output / "report.md").read_text()
    assert page.count("verdict: ") == 1
    assert "effective positives" in page
    assert "The simulator failed its checks" in page
    assert done.judgement.later.policy.value.value > 0


def test_a_log_that_failed_its_checks_is_not_trained_on_without_a_reason(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "bayesm_marketing"
    with pytest.raises(UserError, match="effect: not enough in the log"):
        run_line(config_of(path, "detailing", tmp_path, None), SilentReporter())


def test_a_log_without_contacts_is_refused_before_anything_is_written(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "cdnow" / "CDNOW_master.txt.gz"
    with pytest.raises(UserError, match="no contacts") as refused:
        run_line(config_of(path, "cdnow", tmp_path, "any"), SilentReporter())
    assert refused.value.exit_code == 3
    assert not (tmp_path / "run").exists()


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
