"""The Simulator page: the fidelity report as pictures, in words, and where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ppo_marketing.jobs import background
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.jobs.logs import decision_named
from tests.support.app_project import DECISION, RUN

Open = Callable[[str], AppTest]


def test_every_check_and_every_curve_is_shown_with_its_values(
    shown_project: Path, open_page: Open
) -> None:
    folder = runs_folder(shown_project) / RUN / "calibration"
    report = load_calibration(decision_named(DECISION), folder)[0].fidelity
    page = open_page("simulator")
    assert not page.exception
    passed = len(report.checks) - len(report.failures)
    assert page.metric[0].value == f"{passed} of {len(report.checks)}"
    assert len(page.error) == len(report.failures)
    tables = [table.value for table in page.table]
    assert len(tables) == len(report.curves) + 1
    for curve in report.curves:
        assert any(
            "simulated" in table and list(table["simulated"]) == list(curve.simulated)
            for table in tables
        ), curve.name
    assert len(tables[-1]) == len(report.checks)


def test_without_a_simulator_the_page_leads_to_one(
    empty_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = []
    monkeypatch.setattr(background, "start", lambda project, **order: ordered.append(order))
    page = open_page("simulator")
    page.button[1].click().run()
    assert [order["command"] for order in ordered] == ["calibrate"]


def test_a_damaged_simulator_is_told_without_a_path(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    shutil.copytree(app_project / "data", tmp_path / "data")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    record = runs_folder(tmp_path) / RUN / "calibration" / "calibration.json"
    record.write_text(record.read_text().replace('"sha256": "', '"sha256": "0', 1))
    page = open_page("simulator")
    assert not page.exception
    assert "is not what was written" in page.error[0].value
    assert str(tmp_path) not in page.error[0].value
