"""Whether the record can be believed: trail, registry, aliases and files against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ppo_marketing.errors import AlreadyRunning, IntegrityError, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.release_book import DONE, HEAD, opened
from ppo_marketing.jobs.released import champion_of, mend, restore, verify
from ppo_marketing.jobs.releasing import approve, promote, rollback
from ppo_marketing.tracking.registry import CHAMPION
from tests.support.released_shelf import NAME, client, own_store, poor, project, runs, template
from tests.support.releasing import DECISION, desk_at, log_policy, state

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["client", "own_store", "poor", "project", "runs", "template"]


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
