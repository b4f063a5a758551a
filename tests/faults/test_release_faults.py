"""A job that is killed between any two steps of a release leaves nothing half-released."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ppo_marketing import audit_trail
from ppo_marketing.audit_trail import read_trail
from ppo_marketing.errors import IntegrityError, Refused
from ppo_marketing.jobs.released import champion_of, mend, verify
from ppo_marketing.jobs.releasing import approve, promote, rollback
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.tracking import open_tracker
from ppo_marketing.tracking.registry import CHALLENGER, CHAMPION
from tests.support.releasing import (
    DECISION,
    copied,
    desk_at,
    judged,
    logged_policies,
    state,
)

STEPS = (
    "create_registered_model",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
)
"""Everything that a release changes in the registry; the trail's line comes besides."""


class Killed(BaseException):
    """What nothing catches, as nothing catches SIGKILL."""


@contextmanager
def killed_before(step: int) -> Iterator[list[str]]:
    """Let `step` steps happen and stop before the next; yields what did happen."""
    from mlflow.tracking import MlflowClient

    done: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            if len(done) == step:
                raise Killed
            done.append(name)
            return call(*arguments, **named)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
        patch.setattr(audit_trail, "append", counted("LINE", audit_trail.append))
        yield done


@pytest.fixture(autouse=True, scope="module")
def _own_store() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is champion, version 2 its approved challenger."""
    folder = tmp_path_factory.mktemp("template")
    policies = logged_policies(folder, 2)
    for number, policy in enumerate(policies, 1):
        judged(folder / f"run {number}", policy)
    promote(folder / "run 1", desk_at(folder), approver="Ada")
    return folder


@pytest.fixture(scope="module")
def released_twice(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 is champion, version 1 was before."""
    project = copied(template, tmp_path_factory.mktemp("twice") / "project")
    promote(template / "run 2", desk_at(project), approver="Ada")
    return project


FOUR_EYES = ReleaseRules(four_eyes=True)


def _promote(template: Path, project: Path) -> None:
    promote(template / "run 2", desk_at(project, 0.1, FOUR_EYES), approver="Linus")


def _champion(template: Path, project: Path) -> None:
    champion_of(DECISION, desk_at(project, 0.1))


def _rollback(template: Path, project: Path) -> None:
    rollback(DECISION, desk_at(project, 0.1), approver="Ada", reason="spend doubled")


def _steps(act: Callable[[Path, Path], None], template: Path, project: Path) -> list[str]:
    with killed_before(1000) as done:
        act(template, project)
    return list(done)


def test_the_line_comes_before_the_alias_and_the_mark_comes_last(
    template: Path, tmp_path: Path
) -> None:
    """What the other tests rest on."""
    project = copied(template, tmp_path / "project")
    approve(template / "run 2", desk_at(project), approver="Ada")
    done = _steps(_promote, template, project)
    assert done.index("LINE") < done.index("set_registered_model_alias")
    assert done[-1] == "set_model_version_tag"
    assert "delete_registered_model_alias" in done


@pytest.mark.parametrize("then", [_champion, _promote, _rollback])
def test_a_promotion_killed_between_any_two_steps_is_finished_or_never_was(
    template: Path, tmp_path: Path, then: Callable[[Path, Path], None]
) -> None:
    whole = copied(template, tmp_path / "whole")
    approve(template / "run 2", desk_at(whole), approver="Ada")
    approved = copied(whole, tmp_path / "approved")
    steps = _steps(_promote, template, whole)
    line = steps.index("LINE")
    for step in range(len(steps)):
        project = copied(approved, tmp_path / f"{step}")
        with killed_before(step), pytest.raises(Killed):
            _promote(template, project)
        registry = open_tracker(project).registry
        recorded = len(read_trail(desk_at(project).trail)) == 3
        assert recorded == (step > line), "the line is written or it is not"
        named = registry.alias(DECISION, CHAMPION)
        assert named == 1 or recorded, "nobody is champion without a line that says so"

        if then is _rollback and not recorded:
            with pytest.raises(Refused, match="is the first champion"):
                then(template, project)
        else:
            then(template, project)
        by_trail, by_alias, actions = state(project)
        assert by_trail == by_alias
        champion = 2 if then is _promote or (then is _champion and recorded) else 1
        assert by_alias == champion
        assert actions.count("promote") == (1 if champion == 1 and not recorded else 2)
        assert len(registry.history(DECISION)) == 2, "one version a policy"
        assert verify(desk_at(project)).lines == read_trail(desk_at(project).trail)
        if champion == 2:
            tags = registry.version(DECISION, 2).tags
            assert tags == {**open_tracker(whole).registry.version(DECISION, 2).tags}
            assert registry.alias(DECISION, CHALLENGER) is None


def test_a_first_promotion_killed_between_any_two_steps_is_repeated_well(
    template: Path, tmp_path: Path
) -> None:
    """Here the registered model and the version are made as well."""
    bare = copied(template, tmp_path / "bare")
    (bare / "mlruns" / "mlflow.db").unlink()
    folder = logged_policies(bare, 1)[0]
    run = judged(tmp_path / "run", folder)
    desk_at(bare).trail.unlink()

    def act(template: Path, project: Path) -> None:
        promote(run, desk_at(project), approver="Ada")

    steps = _steps(act, template, copied(bare, tmp_path / "whole"))
    assert steps[:2] == ["create_registered_model", "create_model_version"]
    for step in range(len(steps)):
        project = copied(bare, tmp_path / f"{step}")
        with killed_before(step), pytest.raises(Killed):
            act(template, project)
        act(template, project)
        assert state(project) == (1, 1, ["promote"])
        assert len(open_tracker(project).registry.history(DECISION)) == 1


@pytest.mark.parametrize("then", [_champion, _rollback])
def test_a_rollback_killed_between_any_two_steps_is_not_done_twice(
    template: Path, released_twice: Path, tmp_path: Path, then: Callable[[Path, Path], None]
) -> None:
    steps = _steps(_rollback, template, copied(released_twice, tmp_path / "whole"))
    assert steps[0] == "LINE"
    for step in range(len(steps)):
        project = copied(released_twice, tmp_path / f"{step}")
        with killed_before(step), pytest.raises(Killed):
            _rollback(template, project)
        then(template, project)
        rolled_back = step > 0 or then is _rollback
        expected = 1 if rolled_back else 2
        assert state(project) == (
            expected, expected, ["promote", "promote", *(["rollback"] if rolled_back else [])],
        )  # fmt: skip


def test_an_approval_killed_between_any_two_steps_counts_once_or_not(
    template: Path, tmp_path: Path
) -> None:
    def act(template: Path, project: Path) -> None:
        approve(template / "run 2", desk_at(project), approver="Ada")

    for step in range(len(_steps(act, template, copied(template, tmp_path / "whole")))):
        project = copied(template, tmp_path / f"{step}")
        with killed_before(step), pytest.raises(Killed):
            act(template, project)
        if len(read_trail(desk_at(project).trail)) == 1:
            with pytest.raises(Refused, match="there is no approval"):
                _promote(template, project)
            act(template, project)
        _promote(template, project)
        assert state(project) == (2, 2, ["promote", "approve", "promote"])


def test_a_line_torn_by_a_kill_releases_nothing_until_it_is_mended(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copied(template, tmp_path / "project")
    approve(template / "run 2", desk_at(project), approver="Ada")
    write = os.write

    def torn(descriptor: int, content: bytes) -> int:
        write(descriptor, content[:100])
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", torn)
        with pytest.raises(Killed):
            _promote(template, project)
    for act in (_champion, _promote, _rollback):
        with pytest.raises(IntegrityError, match="100 bytes that are no whole line, after line 2"):
            act(template, project)
    assert open_tracker(project).registry.alias(DECISION, CHAMPION) == 1
    mend(desk_at(project), approver="Ada", reason="the job was killed")
    _promote(template, project)
    assert state(project) == (2, 2, ["promote", "approve", "mend", "promote"])


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.jobs.releasing import rollback
from ppo_marketing.tracking import Registry

def kill(*_):
    print("the line is written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

Registry.set_champion = kill
desk = Desk(Path(sys.argv[1]), "deploy", datetime(2026, 11, 21, 15, tzinfo=UTC))
rollback(sys.argv[2], desk, approver="Ada", reason="spend doubled")
"""


def test_sigkill_after_the_line_holds_no_lock_and_the_next_command_finishes(
    released_twice: Path, tmp_path: Path
) -> None:
    project = copied(released_twice, tmp_path / "project")
    job = subprocess.run(
        [sys.executable, "-c", KILLED, str(project), DECISION], capture_output=True, text=True
    )
    assert job.returncode == -signal.SIGKILL, job.stderr
    assert job.stdout == "the line is written\n"
    found = champion_of(DECISION, desk_at(project, 0.2))
    assert "had been cut short; it is finished now" in found.notes[0]
    assert state(project) == (1, 1, ["promote", "promote", "rollback"])


def test_a_full_disk_releases_nothing_and_says_so(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppo_marketing.errors import PpoMarketingError

    project = copied(template, tmp_path / "project")
    approve(template / "run 2", desk_at(project), approver="Ada")
    before = desk_at(project).trail.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, content: 7)
        with pytest.raises(PpoMarketingError, match="nothing was released"):
            _promote(template, project)
    assert desk_at(project).trail.read_bytes() == before
    assert state(project)[:2] == (1, 1)
    _promote(template, project)
    assert state(project)[:2] == (2, 2)
