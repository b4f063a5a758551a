"""What did not pass is not released, everything is on the record, and one step goes back."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.errors import (
    AlreadyRunning,
    GateNotPassed,
    IntegrityError,
    Refused,
    UserError,
)
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.release_book import DONE, HEAD, opened
from ppo_marketing.jobs.released import champion_of, mend, restore, verify
from ppo_marketing.jobs.releasing import approve, promote, rollback
from ppo_marketing.releases import Override, ReleaseRules, in_force
from ppo_marketing.tracking.registry import CHALLENGER, CHAMPION, model_name
from tests.support.releasing import (
    DECISION,
    NOON,
    POOR,
    copied,
    desk_at,
    judged,
    log_policy,
    logged_policies,
    state,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NAME = model_name(DECISION)
PILOT = Override("a pilot in one city", "Ada", (NOON + timedelta(days=10)).date())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    logged_policies(folder, 3)
    return folder


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Iterator[Path]:
    yield copied(template, tmp_path / "project")
    assert not list(Path.cwd().iterdir()), "a file was written into the current folder"


@pytest.fixture
def runs(template: Path, tmp_path: Path) -> list[Path]:
    """Three runs whose verdicts passed."""
    return [judged(tmp_path / f"run {n}", template / "policies" / str(n)) for n in (1, 2, 3)]


@pytest.fixture
def poor(template: Path, tmp_path: Path) -> Path:
    """A run whose verdict did not pass: too few events."""
    return judged(tmp_path / "poor", template / "policies" / "3", POOR)


@pytest.fixture
def client(project: Path) -> MlflowClient:
    """What a user of MLflow sees."""
    from mlflow.tracking import MlflowClient

    address = f"sqlite:///{project}/mlruns/mlflow.db"
    return MlflowClient(tracking_uri=address, registry_uri=address)


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


FOUR_EYES = ReleaseRules(four_eyes=True, approvers=("Ada", "Grace"), approval_days=7)


def test_four_eyes_asks_for_a_fresh_approval_by_another_person(
    project: Path, runs: list[Path]
) -> None:
    with pytest.raises(Refused, match="there is no approval of this policy"):
        promote(runs[0], desk_at(project, 0, FOUR_EYES), approver="Linus")
    with pytest.raises(Refused, match="Eve may not approve"):
        approve(runs[0], desk_at(project, 0, FOUR_EYES), approver="Eve")
    approved = approve(runs[0], desk_at(project, 0, FOUR_EYES), approver="Ada")
    assert approved.line.action is Action.APPROVE
    with pytest.raises(Refused, match="by the same person who promotes"):
        promote(runs[0], desk_at(project, 1, FOUR_EYES), approver=" ada ")
    with pytest.raises(Refused, match="8 days old, and 7 are allowed"):
        promote(runs[0], desk_at(project, 8.5, FOUR_EYES), approver="Linus")
    with pytest.raises(Refused, match="no approval of this policy"):
        promote(runs[1], desk_at(project, 1, FOUR_EYES), approver="Linus")
    promote(runs[0], desk_at(project, 7, FOUR_EYES), approver="Linus")
    assert state(project) == (1, 1, ["approve", "promote"])


def test_an_approval_serves_one_promotion(project: Path, runs: list[Path]) -> None:
    promote(runs[1], desk_at(project), approver="Linus")
    approve(runs[0], desk_at(project, 0, FOUR_EYES), approver="Ada")
    promote(runs[0], desk_at(project, 1, FOUR_EYES), approver="Linus")
    rollback(DECISION, desk_at(project, 2, FOUR_EYES), approver="Linus", reason="spend doubled")
    with pytest.raises(Refused, match="there is no approval"):
        promote(runs[0], desk_at(project, 3, FOUR_EYES), approver="Linus")


def test_four_eyes_of_the_run_cannot_be_left_out_later(
    project: Path, template: Path, tmp_path: Path
) -> None:
    run = judged(tmp_path / "run", template / "policies" / "1", release=FOUR_EYES)
    with pytest.raises(Refused, match="need four eyes"):
        promote(run, desk_at(project), approver="Linus")


def test_an_override_needs_four_eyes_too_and_only_approvers_may_give_one(
    project: Path, poor: Path
) -> None:
    linus = PILOT._replace(approver="Linus")
    with pytest.raises(Refused, match="Linus may not approve"):
        promote(poor, desk_at(project, 0, FOUR_EYES), approver="Linus", override=linus)
    with pytest.raises(Refused, match="there is no approval"):
        promote(poor, desk_at(project, 0, FOUR_EYES), approver="Ada", override=PILOT)
    said = approve(poor, desk_at(project, 0, FOUR_EYES), approver="Grace")
    assert "promote takes an override" in said.notes[0]
    promote(poor, desk_at(project, 1, FOUR_EYES), approver="Ada", override=PILOT)
    assert state(project)[:2] == (1, 1)


def test_an_approved_policy_is_the_challenger_until_it_is_champion(
    project: Path, runs: list[Path], client: MlflowClient
) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    approve(runs[1], desk_at(project), approver="Grace")
    assert client.get_registered_model(NAME).aliases == {CHAMPION: 1, CHALLENGER: 2}
    assert champion_of(DECISION, desk_at(project)).challenger == 2
    promote(runs[1], desk_at(project), approver="Ada")
    assert client.get_registered_model(NAME).aliases == {CHAMPION: 2}


def test_a_policy_of_another_store_is_refused_in_words(tmp_path: Path, runs: list[Path]) -> None:
    with pytest.raises(UserError, match="trained into another store"):
        promote(runs[0], desk_at(tmp_path / "empty"), approver="Ada")


def test_stored_weights_that_changed_are_neither_promoted_nor_gone_back_to(
    project: Path, runs: list[Path], client: MlflowClient
) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    source = client.get_model_version_by_alias(NAME, CHAMPION).source.removeprefix("file://")
    promote(runs[1], desk_at(project), approver="Ada")
    weights = Path(source) / "artifacts" / "policy" / "policy.safetensors"
    sound = weights.read_bytes()
    try:
        weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        with pytest.raises(IntegrityError, match="nothing is released from them"):
            rollback(DECISION, desk_at(project), approver="Ada", reason="spend doubled")
        with pytest.raises(IntegrityError, match="nothing is released from them"):
            promote(runs[0], desk_at(project), approver="Ada")
    finally:
        weights.write_bytes(sound)
    assert state(project)[:2] == (2, 2)


def test_it_is_the_files_of_the_version_that_are_compared_not_those_of_a_twin(
    project: Path, runs: list[Path], client: MlflowClient, template: Path
) -> None:
    for run in runs[:2]:
        promote(run, desk_at(project), approver="Ada")
    source = client.get_model_version(NAME, "1").source.removeprefix("file://")
    log_policy(project, template / "policies" / "1")
    configuration = Path(source) / "artifacts" / "policy" / "policy.json"
    sound = configuration.read_bytes()
    try:
        configuration.write_bytes(sound + b" ")
        with pytest.raises(IntegrityError, match="nothing is released from them"):
            promote(runs[0], desk_at(project), approver="Ada")
    finally:
        configuration.write_bytes(sound)
    assert state(project) == (2, 2, ["promote", "promote"])


def test_two_releases_at_once_are_refused_and_the_champion_can_still_be_asked(
    project: Path, runs: list[Path]
) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    with held_alone(desk_at(project).trail.parent):
        with pytest.raises(AlreadyRunning, match="try again in a minute"):
            promote(runs[1], desk_at(project), approver="Ada")
        found = champion_of(DECISION, desk_at(project))
    assert found.standing is not None
    assert found.standing.champion.to_version == 1
    assert "another job is releasing" in found.notes[0]


def test_an_alias_moved_by_hand_is_said_and_set_back_on_the_record(
    project: Path, runs: list[Path], client: MlflowClient
) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    promote(runs[1], desk_at(project), approver="Ada")
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    with pytest.raises(IntegrityError, match="names version 1, and the audit trail says version 2"):
        champion_of(DECISION, desk_at(project))
    done = restore(DECISION, desk_at(project), approver="Ada", reason="moved in the browser")
    assert (done.line.from_version, done.line.to_version) == (1, 2)
    assert state(project) == (2, 2, ["promote", "promote", "restore"])
    assert not restore(DECISION, desk_at(project), approver="Ada", reason="again").new
    client.delete_registered_model_alias(NAME, CHAMPION)
    back = rollback(DECISION, desk_at(project), approver="Ada", reason="spend doubled")
    assert "moved it by hand" in back.notes[0]
    assert state(project)[:2] == (1, 1)


def test_an_alias_without_any_release_is_not_believed(
    project: Path, runs: list[Path], client: MlflowClient
) -> None:
    approve(runs[0], desk_at(project), approver="Ada")
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    with pytest.raises(IntegrityError, match="knows no release of it"):
        champion_of(DECISION, desk_at(project))


def test_verify_finds_a_cut_tail_by_the_tags_and_nothing_is_released_on_it(
    project: Path, runs: list[Path]
) -> None:
    for run in runs[:2]:
        promote(run, desk_at(project), approver="Ada")
    found = verify(desk_at(project))
    assert (len(found.lines), found.anchors) == (2, 2)
    trail = desk_at(project).trail
    whole = trail.read_bytes()
    trail.write_bytes(whole.splitlines(keepends=True)[0])
    for attempt in (
        lambda: verify(desk_at(project)),
        lambda: promote(runs[2], desk_at(project), approver="Ada"),
        lambda: rollback(DECISION, desk_at(project), approver="Ada", reason="spend doubled"),
        lambda: champion_of(DECISION, desk_at(project)),
    ):
        with pytest.raises(IntegrityError, match=r"ends at line 1, and version 2 of .* line 2"):
            attempt()
    trail.unlink()
    with pytest.raises(IntegrityError, match="ends at line 0"):
        champion_of(DECISION, desk_at(project))
    trail.write_bytes(whole)
    assert verify(desk_at(project), found.head).anchors == 3


def test_verify_takes_a_head_that_was_kept_elsewhere(project: Path, runs: list[Path]) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    with pytest.raises(IntegrityError, match="the head you kept names line 2"):
        verify(desk_at(project), f"2:{'a' * 64}")
    with pytest.raises(UserError, match="write it as it was printed"):
        verify(desk_at(project), "abc")


def test_a_changed_tag_of_the_head_is_said(
    project: Path, runs: list[Path], client: MlflowClient
) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    client.set_model_version_tag(NAME, "1", HEAD, "gone")
    with pytest.raises(IntegrityError, match="is no head of a trail"):
        verify(desk_at(project))


def test_a_torn_line_stops_releases_until_it_is_mended(project: Path, runs: list[Path]) -> None:
    promote(runs[0], desk_at(project), approver="Ada")
    with desk_at(project).trail.open("ab") as trail:
        trail.write(b'{"sequence": 2, "time"')
    with pytest.raises(IntegrityError, match="audit mend"):
        promote(runs[1], desk_at(project), approver="Ada")
    mend(desk_at(project), approver="Ada", reason="power failure")
    promote(runs[1], desk_at(project), approver="Ada")
    assert state(project) == (2, 2, ["promote", "mend", "promote"])


def test_nothing_is_set_up_by_asking_for_a_champion(tmp_path: Path) -> None:
    found = champion_of(DECISION, desk_at(tmp_path / "empty"))
    assert found.standing is None
    assert not (tmp_path / "empty").exists()


def test_a_finished_release_is_marked_last(project: Path, runs: list[Path]) -> None:
    done = promote(runs[0], desk_at(project), approver="Ada")
    with opened(desk_at(project)) as book:
        assert book.registry.version(DECISION, 1).tags[DONE] == done.line.sha256
