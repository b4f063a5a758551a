"""`retrain` and `schedule` on the command line: exit codes, one JSON object, the example."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ppo_marketing.cli import app
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.alerts import Silence
from ppo_marketing.jobs.retraining_job import Retrained
from ppo_marketing.retraining.decisions import Outcome
from ppo_marketing.retraining.project import load_project
from tests.support.retraining import project_in, supported
from tests.support.tiny_decision import NAME

runner = CliRunner()


@pytest.fixture(autouse=True, scope="module")
def _supported() -> Iterator[None]:
    with supported():
        yield


@pytest.fixture
def copy(champion_project: Path, tmp_path: Path) -> str:
    folder = Path(shutil.copytree(champion_project, tmp_path / "project"))
    return str(folder / "project.yaml")


def kept(*arguments: object) -> Retrained:
    return Retrained(Outcome.KEPT, ("support: too little",), "k" * 64, Path("runs/k"), "today")


def test_a_champion_that_stays_is_exit_code_4_with_its_reasons(
    copy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppo_marketing.jobs.retraining.retrain", kept)
    shown = runner.invoke(app, ["retrain", copy, "--json"])
    assert getattr(shown.exception, "exit_code", None) == 4
    values = json.loads(shown.stdout)
    assert (values["outcome"], values["new"]) == ("kept", True)
    assert values["reasons"] == ["support: too little"]


def test_done_before_is_exit_code_0_and_nothing_to_do(
    copy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*arguments: object) -> Retrained:
        return Retrained(Outcome.KEPT, (), "k" * 64, Path("runs/k"), "yesterday", new=False)

    monkeypatch.setattr("ppo_marketing.jobs.retraining.retrain", again)
    shown = runner.invoke(app, ["retrain", copy])
    assert shown.exit_code == 0, shown.exception
    assert shown.stdout.startswith("nothing to do: run kkkkkkkkkkkkkkkk ended on yesterday")


def test_the_printed_example_is_a_project_file(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["retrain", "--example", "--decision", NAME])
    assert shown.exit_code == 0
    (tmp_path / "project.yaml").write_text(shown.stdout)
    assert load_project(tmp_path / "project.yaml").name == NAME


def test_the_heartbeat_is_an_exit_code_for_a_monitor(
    champion_project: Path, tmp_path: Path
) -> None:
    silent = runner.invoke(app, ["retrain", str(project_in(tmp_path / "new")), "--check-heartbeat"])
    assert isinstance(silent.exception, Silence)
    # The clock of the tests stands in the past; whoever asks is patient.
    folder = Path(shutil.copytree(champion_project, tmp_path / "project"))
    file = project_in(folder, alerts={"heartbeat_hours": 1_000_000})
    shown = runner.invoke(app, ["retrain", str(file), "--check-heartbeat", "--json"])
    assert shown.exit_code == 0, shown.exception
    assert json.loads(shown.stdout)["outcome"] == "promoted"


def test_a_schedule_is_written_for_the_project_it_names(copy: str, tmp_path: Path) -> None:
    output = tmp_path / "schedules"
    shown = runner.invoke(app, ["schedule", copy, "-o", str(output), "--time", "04:10", "--json"])
    assert shown.exit_code == 0, shown.exception
    written = json.loads(shown.stdout)["files"]
    assert sorted(path.name for path in output.iterdir()) == sorted(written)
    assert len(written) == 7
    assert f"ppo_marketing retrain {copy}" in (output / f"retrain-{NAME}.cron").read_text()
    refused = runner.invoke(app, ["schedule", copy, "-o", str(output), "--time", "4am"])
    assert isinstance(refused.exception, UserError)
    assert refused.exception.exit_code == 3


def test_usage_is_explained() -> None:
    assert runner.invoke(app, ["retrain"]).exit_code == 2
    assert runner.invoke(app, ["retrain", "p.yaml", "--once"]).exit_code == 2
