"""Evidence: with a judged run, without any, and with a verdict that was changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import words
from ppo_marketing.jobs.kept_runs import kept_evidence, runs_folder
from ppo_marketing.jobs.verdicts import kept_verdict
from tests.support.app_project import RUN

Open = Callable[[str], AppTest]


def test_every_lift_and_every_test_of_the_gate_is_shown_with_the_numbers_of_the_records(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("evidence")
    run = runs_folder(shown_project) / RUN
    evidence, audited = kept_evidence(run), kept_verdict(run)
    assert not page.exception
    assert not page.error
    shown = {card.label: card.value for card in page.metric}
    for label, kind in (
        ("Above nothing", "floor"),
        ("Above the log", "logging"),
    ):
        row = next(row for row in evidence.judgement.later.rows if row.kind == kind)
        assert row.value_lift is not None
        assert shown[label] == words.money(row.value_lift.value, evidence.currency, signed=True)
    lift = audited.audit.lift
    assert lift is not None
    assert lift.low is not None
    assert shown["At least"] == words.money(lift.low, evidence.currency, signed=True)
    text = "\n".join(element.value for element in page.markdown)
    for finding in audited.verdict.findings:
        assert finding.found.split(" (")[0] in text.replace("\\", "")
    assert shown["Gap"] == words.share(evidence.judgement.optimism_gap, signed=True)


def test_the_details_of_the_logs_word_are_worked_out_for_whoever_opens_them(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("evidence")
    assert "played again" not in "\n".join(one.value for one in page.caption)
    page.session_state["log-details"] = True
    page.run()
    assert not page.exception
    assert "played again as they were" in "\n".join(one.value for one in page.caption)


def test_the_report_to_download_is_one_page_without_an_address(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("evidence")
    assert [button.label for button in page.download_button] == ["Download this as one page"]


def test_without_a_judged_run_the_page_says_what_to_do(
    empty_project: Path, open_page: Open
) -> None:
    page = open_page("evidence")
    assert not page.exception
    assert "needs a judged policy" in page.markdown[0].value
    assert [button.label for button in page.button] == ["Train and judge one"]


def test_a_verdict_that_was_changed_is_told_without_a_path(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    shutil.copytree(app_project / "data", tmp_path / "data")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    verdict = runs_folder(tmp_path) / RUN / "verdict.json"
    verdict.write_text(verdict.read_text().replace('"positives": ', '"positives": 1'))
    page = open_page("evidence")
    assert not page.exception
    (error,) = page.error
    assert "is not what was written" in error.value
    assert str(tmp_path) not in error.value
