"""The Overview: with a judged run, without any, and with evidence that was changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import words
from ppo_marketing.jobs import background
from ppo_marketing.jobs.kept_runs import kept_evidence, runs_folder
from tests.support.app_project import DECISION, RUN

Open = Callable[[str], AppTest]


def test_the_headline_and_the_cards_are_the_numbers_of_the_evidence(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("overview")
    found = kept_evidence(runs_folder(shown_project) / RUN)
    later = found.judgement.later
    shown = {card.label: card.value for card in page.metric}
    assert not page.exception
    assert shown["This policy"] == words.money(later.policy.value.value, found.currency)
    assert shown["Ceiling"] == words.money(later.row("ceiling").value.value, found.currency)
    assert shown["Best rule"] == words.money(later.row(later.best_rule).value.value, found.currency)
    assert "This policy would earn" in page.markdown[0].value


def test_the_address_says_what_is_looked_at(shown_project: Path, open_page: Open) -> None:
    page = open_page("overview")
    assert page.query_params["decision"] == DECISION
    assert page.query_params["run"] == RUN


def test_an_empty_project_offers_the_sample_and_the_own_log(
    empty_project: Path, open_page: Open
) -> None:
    page = open_page("overview")
    assert not page.exception
    assert [button.label for button in page.button] == [
        "Train on the built-in sample",
        "Go to Data",
    ]


def test_the_sample_is_trained_by_a_job_of_its_own(
    empty_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = []
    monkeypatch.setattr(background, "start", lambda project, **order: ordered.append(order))
    page = open_page("overview")
    page.button[0].click().run()
    assert [order["command"] for order in ordered] == ["run"]
    assert ordered[0]["output"].parent == runs_folder(empty_project)


def test_evidence_that_was_changed_is_told_without_a_path_or_a_stack_trace(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    shutil.copytree(app_project / "data", tmp_path / "data")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    evidence = runs_folder(tmp_path) / RUN / "evidence.json"
    evidence.write_text(evidence.read_text().replace('"later"', '"latest"'))
    page = open_page("overview")
    assert not page.exception
    (error,) = page.error
    assert "evaluate the policy again" in error.value
    assert str(tmp_path) not in error.value
    assert "Traceback" not in error.value
