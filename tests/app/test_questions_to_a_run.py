"""What is asked of a judged run again adds up to what judging it found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from envs import load_decision
from ppo_marketing.access import Role, User
from ppo_marketing.cli import app
from ppo_marketing.errors import Refused, UserError
from ppo_marketing.jobs import background
from ppo_marketing.jobs.challenging import challenge
from ppo_marketing.jobs.downloads import zipped
from ppo_marketing.jobs.kept_parts import Parts, parts_of
from ppo_marketing.jobs.kept_runs import kept_evidence, runs_folder
from ppo_marketing.jobs.limit_costs import (
    checked_section,
    keep_section,
    kept_section,
    last_section,
    limit_costs,
)
from ppo_marketing.jobs.log_word import log_days, log_word
from ppo_marketing.jobs.release_book import desk_of
from ppo_marketing.jobs.releasing import promote
from ppo_marketing.lifts import lifts
from ppo_marketing.overview import headline
from ppo_marketing.report_run import run_page
from tests.support.app_project import DAYS, DECISION, RUN
from tests.support.released_project import passing_copy


@pytest.fixture(scope="module")
def parts(app_project: Path) -> Parts:
    return parts_of(runs_folder(app_project) / RUN)


def test_the_log_says_again_exactly_what_the_gate_was_told(parts: Parts) -> None:
    word = log_word(parts)
    assert word.lift == parts.audited.audit.lift
    assert word.gains is not None
    assert word.lift is not None
    assert float(word.gains.mean()) == pytest.approx(word.lift.value)
    assert len(word.gains) == word.lift.effective_n


def test_the_days_of_the_log_are_parted_where_judging_begins(parts: Parts) -> None:
    days = log_days(parts)
    assert len(days) == DAYS
    assert all((day.part == "judged") == (day.day >= parts.calibration.judged_from) for day in days)
    assert all(day.mature for day in days), "clicks come at once here"


def test_without_limits_the_price_is_nothing_and_the_value_is_the_evidences(parts: Parts) -> None:
    found = limit_costs(parts, checked_section(parts, {}))
    evidence = kept_evidence(parts.run)
    assert found.unguarded.value == pytest.approx(evidence.judgement.later.policy.value.value)
    assert found.cost.value == 0.0


def test_the_command_line_prices_limits_with_the_same_numbers(parts: Parts, tmp_path: Path) -> None:
    values = {"amounts": {"floor": -0.1, "cap": 0.1}, "support_margin": 0.1}
    file = tmp_path / "limits.yaml"
    file.write_text(yaml.safe_dump({"guardrails": values}))
    asked = CliRunner().invoke(app, ["limits", str(parts.run), "-c", str(file), "--json"])
    assert asked.exit_code == 0, asked.output
    found = limit_costs(parts, checked_section(parts, values)).to_dict()
    assert json.loads(asked.stdout) == json.loads(json.dumps(found))
    page = tmp_path / "report.html"
    asked = CliRunner().invoke(app, ["report", str(parts.run), "-o", str(page), "--json"])
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout) == {"path": str(page)}
    assert "May it be released?" in page.read_text()


def test_an_unusable_section_is_refused_with_every_problem(parts: Parts) -> None:
    with pytest.raises(UserError) as refused:
        checked_section(parts, {"choices": {"closed": [1]}})
    assert "use guardrails.amounts" in str(refused.value)


def test_a_section_is_kept_by_those_who_may_and_read_back(parts: Parts, tmp_path: Path) -> None:
    section = checked_section(parts, {"amounts": {"floor": -0.5, "cap": 0.5}})
    viewer = desk_of(tmp_path, User("eve@example.com", Role.VIEWER))
    with pytest.raises(Refused, match="may not edit guardrails"):
        keep_section(viewer, DECISION, section)
    assert last_section(tmp_path, parts) == (parts.config.guardrails, False)
    keep_section(desk_of(tmp_path, User("ada@example.com", Role.ANALYST)), DECISION, section)
    assert last_section(tmp_path, parts) == (section, True)
    kept_section(tmp_path, DECISION).write_text("guardrails: {amount: 3}\n")
    with pytest.raises(UserError, match="amount: unknown; did you mean amounts"):
        last_section(tmp_path, parts)


def test_the_champion_changes_nothing_against_itself_and_another_is_measured(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = passing_copy(app_project, tmp_path)
    assert challenge(parts_of(run), tmp_path) is None, "there is no champion"
    promote(run, desk_of(tmp_path), approver="Ada")
    parts = parts_of(run)
    assert challenge(parts, tmp_path) is None, "it is the champion itself"
    # As if the agent that training started from had been judged: another policy, same settings.
    other = parts._replace(
        policy=parts.start, audited=parts.audited._replace(policy_sha256="0" * 64)
    )
    found = challenge(other, tmp_path)
    assert found is not None
    assert found.champion_version == 1
    evidence = kept_evidence(run).judgement.later
    assert found.champion_value.value == pytest.approx(evidence.policy.value.value)
    assert found.challenger_value.value == pytest.approx(
        evidence.row("untrained start").value.value
    )
    assert found.lift.value.value == pytest.approx(
        found.challenger_value.value - found.champion_value.value
    )
    assert found.drift.overall.changed > 0
    assert found.notes == ()
    shutil.rmtree(run)  # the champion's own run is gone: the registry's copy of it is asked
    again = challenge(other, tmp_path)
    assert again is not None
    assert again.lift == found.lift
    assert "no longer in this project" in again.notes[0]


def test_the_report_of_a_run_says_the_headline_the_verdict_and_every_lift(parts: Parts) -> None:
    evidence, verdict = kept_evidence(parts.run), parts.audited.verdict
    found = lifts(evidence.judgement.later)
    card = load_decision(DECISION)
    said = headline(evidence.judgement.later, card.episode, verdict.passed).sentence(
        lambda amount: f"{amount:.2f}"
    )
    html = run_page(
        card, "<b>small</b>", evidence, verdict, found, said,
        money=lambda amount: f"{amount:.2f} EUR", made_at="today",
    )  # fmt: skip
    assert "&lt;b&gt;small" in html
    assert said in html
    assert html.count("<tr>") >= len(found) + len(verdict.findings)
    assert "http:" not in html
    assert "https:" not in html


def test_a_viewer_starts_no_job(tmp_path: Path) -> None:
    viewer = desk_of(tmp_path, User("eve@example.com", Role.VIEWER))
    with pytest.raises(Refused, match="may not start jobs"):
        background.start(
            tmp_path, desk=viewer, title="Training", decision=DECISION, command="run", config={},
            output=tmp_path / "out",
        )  # fmt: skip
    assert not (tmp_path / "data" / "jobs").exists()


def test_the_same_files_are_packed_into_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "export").mkdir(parents=True)
        (tmp_path / name / "export" / "rows.csv").write_text("a,b\n1,2\n")
    packed = [zipped(tmp_path / name / "export") for name in ("one", "two")]
    assert packed[0] == packed[1]
    assert b"export/rows.csv" in packed[0]
