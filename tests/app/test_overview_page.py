"""The Overview: with a judged run, without any, and with evidence that was changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from app import words
from ppo_marketing.audit_trail import Action, Entry, append
from ppo_marketing.cli import app as command_line
from ppo_marketing.jobs import background
from ppo_marketing.jobs.alerts import tell
from ppo_marketing.jobs.kept_runs import kept_evidence, runs_folder
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.jobs.verdicts import kept_verdict
from ppo_marketing.retraining.project import load_project
from ppo_marketing.roster import roster
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


def test_what_a_retraining_told_and_every_champion_of_the_project_are_there(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs").symlink_to(app_project / "data" / "runs")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    (tmp_path / "project.yaml").write_text(
        f"run: {{decision: {DECISION}, project: .}}\nretraining: {{name: nightly}}\n"
    )
    tell(load_project(tmp_path / "project.yaml"), "failed", f"no log in {tmp_path}/logs")
    policy = kept_verdict(runs_folder(tmp_path) / RUN).policy_sha256
    released = Entry(
        time="2026-11-01T00:00:00+00:00", actor="a", approver="Ada", action=Action.PROMOTE,
        decision=DECISION, to_version=7, policy_sha256=policy, reason="good", verdict="passed",
    )  # fmt: skip
    trail_of(tmp_path).parent.mkdir()
    append(trail_of(tmp_path), released)
    append(trail_of(tmp_path), replace(released, decision="shelf*", policy_sha256="b" * 64))

    page = open_page("overview")
    assert not page.exception
    told = "\n".join(one.value for one in page.error)
    assert "The retraining nightly failed" in told
    assert "no log in logs" in told
    assert str(tmp_path) not in told
    ours = roster(tmp_path)[0]
    table = next(one.value for one in page.table if "stands as" in one.value)
    first, second = (table.iloc[place] for place in range(2))
    assert first["stands as"] == "champion, version 7, 01 Nov 2026"
    assert (first["run"], first["gate"], first["log"]) == (RUN, "passed", "generated")
    assert ours.gain is not None
    assert first["gain"].startswith(words.money(ours.gain.value, ours.gain.unit, signed=True))
    assert table.index[1] == "shelf\\*"
    assert (second["run"], second["gain"]) == ("no longer here", "–")

    done = CliRunner().invoke(command_line, ["overview", DECISION, "--json"])
    said = json.loads(done.stdout)
    assert [one["version"] for one in said["project"]] == [7, 7]
    assert any("nightly failed" in alert["text"] for alert in said["alerts"])


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
