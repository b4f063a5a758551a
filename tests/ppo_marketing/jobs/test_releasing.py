"""What did not pass is not released, everything is on the record, and one step goes back."""

from __future__ import annotations

import json
import re
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.errors import GateNotPassed, IntegrityError, Refused, UserError
from ppo_marketing.jobs.release_book import HEAD
from ppo_marketing.jobs.released import champion_of
from ppo_marketing.jobs.releasing import promote, rollback
from ppo_marketing.releases import in_force
from ppo_marketing.tracking.registry import CHAMPION
from tests.support.released_shelf import (
    NAME,
    PILOT,
    client,
    own_store,
    poor,
    project,
    runs,
    template,
)
from tests.support.releasing import DECISION, NOON, desk_at, state

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["client", "own_store", "poor", "project", "runs", "template"]


def test_a_passed_verdict_makes_a_champion_with_its_evidence_as_tags(
    project: Path, runs: list[Path], client: MlflowClient
) -> None:
    done = promote(runs[0], desk_at(project), approver="Ada")
    version = client.get_model_version_by_alias(NAME, CHAMPION)
    verdict = json.loads((runs[0] / "verdict.json").read_text())
    assert int(version.version) == 1
    assert version.tags["policy.sha256"] == verdict["policy_sha256"]
    assert version.tags["data.sha256"] == "d" * 64
    assert version.tags["gate.verdict"] == "passed"
    assert version.tags["gate.reasons"] == "none"
    assert version.tags["override.reason"] == "none"
    run = client.get_run(version.run_id)
    assert version.tags["config.sha256"] == run.data.tags["config.sha256"]
    assert version.tags["git.commit"] == run.data.tags.get("mlflow.source.git.commit", "unknown")
    assert version.tags[HEAD] == done.head == f"1:{done.line.sha256}"
    (line,) = read_trail(desk_at(project).trail)
    assert line == done.line
    assert (line.actor, line.approver, line.action) == ("deploy", "Ada", Action.PROMOTE)
    assert (line.from_version, line.to_version, line.verdict) == (None, 1, "passed")
    assert line.time == "2026-11-21T12:00:00+00:00"


def test_the_released_model_loads_by_its_alias_and_holds_no_pickle(
    project: Path, runs: list[Path], client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    promote(runs[0], desk_at(project), approver="Ada")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlruns/mlflow.db")
    monkeypatch.setattr(sys, "path", list(sys.path))
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}@{CHAMPION}")
    assert loaded.predict(np.zeros((2, 3), np.float32)).shape == (2, 1)
    source = client.get_model_version_by_alias(NAME, CHAMPION).source
    files = {path.name for path in Path(source.removeprefix("file://")).rglob("*")}
    assert {"policy.safetensors", "policy.json", "policy_model.py", "MLmodel"} <= files
    assert not [file for file in files if re.search(r"\.(pkl|pickle|pt|pth|joblib)$", file)]


def test_a_verdict_that_did_not_pass_is_refused_and_nothing_is_written(
    project: Path, poor: Path, client: MlflowClient
) -> None:
    with pytest.raises(GateNotPassed, match=r"(?s)too few events.*--override REASON"):
        promote(poor, desk_at(project), approver="Ada")
    assert not desk_at(project).trail.exists()
    assert client.search_registered_models() == []


def test_a_verdict_edited_to_passed_is_found(project: Path, poor: Path) -> None:
    path = poor / "verdict.json"
    content = json.loads(path.read_text())
    content["verdict"]["passed"] = True
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="is not what was written"):
        promote(poor, desk_at(project), approver="Ada")


def test_a_verdict_is_judged_again_and_not_believed(project: Path, poor: Path) -> None:
    from ppo_marketing.jobs import verdicts

    path = poor / "verdict.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    content["verdict"]["passed"], content["verdict"]["reasons"] = True, []
    path.write_text(json.dumps({"sha256": verdicts._digest(content), **content}))
    with pytest.raises(GateNotPassed):
        promote(poor, desk_at(project), approver="Ada")


def test_an_override_releases_for_a_time_and_is_kept_in_the_trail_and_the_tags(
    project: Path, poor: Path, client: MlflowClient
) -> None:
    done = promote(poor, desk_at(project), approver="Ada", override=PILOT)
    assert done.line.action is Action.OVERRIDE
    assert (done.line.reason, done.line.approver, done.line.expires) == (
        "a pilot in one city", "Ada", "2026-12-01",
    )  # fmt: skip
    assert (done.line.verdict, done.line.reasons) == ("refused", ("too few events",))
    tags = client.get_model_version_by_alias(NAME, CHAMPION).tags
    assert tags["gate.verdict"] == "refused"
    assert tags["override.reason"] == "a pilot in one city"
    assert tags["override.approver"] == "Ada"
    assert tags["override.expires"] == "2026-12-01"
    found = champion_of(DECISION, desk_at(project)).standing
    assert found is not None
    assert in_force(found.champion, NOON + timedelta(days=10, hours=11))
    assert not in_force(found.champion, NOON + timedelta(days=11))


def test_an_override_of_a_passed_verdict_is_refused(project: Path, runs: list[Path]) -> None:
    with pytest.raises(UserError, match="nothing to override"):
        promote(runs[0], desk_at(project), approver="Ada", override=PILOT)


def test_an_override_is_renewed_on_the_same_version_and_rollback_goes_past_both(
    project: Path, runs: list[Path], poor: Path
) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    promote(poor, desk_at(project), approver="Ada", override=PILOT)
    longer = PILOT._replace(expires=date(2027, 1, 1))
    again = promote(poor, desk_at(project, 1), approver="Ada", override=longer)
    assert (again.new, again.line.from_version, again.line.to_version) == (True, 2, 2)
    back = rollback(DECISION, desk_at(project, 2), approver="Ada", reason="calls went up")
    assert (back.line.from_version, back.line.to_version) == (2, 1)


def test_a_later_verdict_that_passes_ends_the_override(
    project: Path, poor: Path, runs: list[Path], client: MlflowClient
) -> None:
    promote(poor, desk_at(project), approver="Ada", override=PILOT)
    promote(runs[2], desk_at(project, 5), approver="Grace")
    version = client.get_model_version_by_alias(NAME, CHAMPION)
    assert int(version.version) == 1, "the same policy stays the same version"
    assert version.tags["gate.verdict"] == "passed"
    assert version.tags["override.reason"] == "none"
    found = champion_of(DECISION, desk_at(project)).standing
    assert found is not None
    assert in_force(found.champion, NOON + timedelta(days=1000))


def test_promoting_the_champion_again_records_nothing(project: Path, runs: list[Path]) -> None:
    first = promote(runs[0], desk_at(project), approver="Ada")
    again = promote(runs[0], desk_at(project, 1), approver="Grace")
    assert not again.new
    assert again.head == first.head
    assert "nothing to do" in again.notes[0]


def test_rollback_takes_releases_off_one_by_one(project: Path, runs: list[Path]) -> None:
    for run in runs:
        promote(run, desk_at(project), approver="Ada")
    assert state(project)[:2] == (3, 3)
    done = rollback(DECISION, desk_at(project, 1), approver="Grace", reason="spend doubled")
    assert state(project) == (2, 2, ["promote"] * 3 + ["rollback"])
    assert (done.line.from_version, done.line.to_version) == (3, 2)
    assert (done.line.approver, done.line.reason) == ("Grace", "spend doubled")
    rollback(DECISION, desk_at(project, 2), approver="Grace", reason="still")
    assert state(project)[:2] == (1, 1)
    with pytest.raises(Refused, match="is the first champion"):
        rollback(DECISION, desk_at(project, 3), approver="Grace", reason="again")
    promote(runs[2], desk_at(project, 4), approver="Ada")
    rollback(DECISION, desk_at(project, 5), approver="Ada", reason="no better")
    assert state(project)[:2] == (1, 1), "what was rolled back is not gone back to"


def test_rollback_to_an_expired_override_is_refused_and_the_champion_stays(
    project: Path, runs: list[Path], poor: Path
) -> None:
    promote(poor, desk_at(project), approver="Ada", override=PILOT)
    promote(runs[0], desk_at(project, 5), approver="Ada")
    with pytest.raises(Refused, match=r"expired on 2026-12-01"):
        rollback(DECISION, desk_at(project, 11), approver="Ada", reason="spend doubled")
    assert state(project)[:2] == (2, 2)
    rollback(DECISION, desk_at(project, 10), approver="Ada", reason="spend doubled")
    assert state(project)[:2] == (1, 1)


def test_rollback_needs_a_name_a_reason_and_a_release(project: Path) -> None:
    with pytest.raises(UserError, match=r"--approver is missing; --reason is missing"):
        rollback(DECISION, desk_at(project), approver=" ", reason=None)
    with pytest.raises(UserError, match="nothing of shelf was released"):
        rollback(DECISION, desk_at(project), approver="Ada", reason="why not")
