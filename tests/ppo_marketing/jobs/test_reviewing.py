"""Signed-in people act as their role allows; who may not is refused, and that is on the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ppo_marketing.access import Role, User
from ppo_marketing.approvals import last_act
from ppo_marketing.audit_trail import Action, Line, read_trail
from ppo_marketing.errors import Refused, UserError
from ppo_marketing.jobs.admission import roles_of
from ppo_marketing.jobs.exporting import export_bundle
from ppo_marketing.jobs.handing_over import Order, hand_over
from ppo_marketing.jobs.release_book import Desk, opened
from ppo_marketing.jobs.released import mend, restore, verify
from ppo_marketing.jobs.releasing import approve, promote, rollback
from ppo_marketing.jobs.reviewing import reject
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.tracking.registry import CHALLENGER
from tests.support.releasing import (
    DECISION,
    NOON,
    copied,
    desk_at,
    judged,
    logged_policies,
    state,
)

VIEWER, ANALYST, APPROVER = (User(f"{role}@example.com", role) for role in Role)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    logged_policies(folder, 2)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return copied(template, tmp_path / "project")


@pytest.fixture
def runs(template: Path, tmp_path: Path) -> list[Path]:
    return [judged(tmp_path / f"run {n}", template / "policies" / str(n)) for n in (1, 2)]


def as_user(project: Path, user: User, days: float = 0.0) -> Desk:
    return desk_at(project, days)._replace(user=user)


def lines(project: Path) -> tuple[Line, ...]:
    return read_trail(desk_at(project).trail)


ACTS: list[Callable[[Path, Desk], object]] = [
    lambda run, desk: approve(run, desk, approver=None),
    lambda run, desk: reject(run, desk, approver=None, reason="no"),
    lambda run, desk: promote(run, desk, approver=None),
    lambda run, desk: rollback(DECISION, desk, approver=None, reason="no"),
    lambda run, desk: restore(DECISION, desk, approver=None, reason="no"),
    lambda run, desk: mend(desk, approver=None, reason="no"),
]


@pytest.mark.parametrize("user", [VIEWER, ANALYST], ids=["viewer", "analyst"])
def test_nobody_below_an_approver_releases_anything_and_every_attempt_is_recorded(
    project: Path, runs: list[Path], user: User
) -> None:
    for number, act in enumerate(ACTS, 1):
        with pytest.raises(Refused, match=f"is a {user.role}, who may not .*on the record") as said:
            act(runs[0], as_user(project, user))
        assert said.value.exit_code == 5
        line = lines(project)[-1]
        assert (line.sequence, line.action) == (number, Action.REFUSE)
        assert line.approver == user.email
    assert state(project)[:2] == (None, None)
    assert verify(desk_at(project)).lines == lines(project), "the chain is whole"


@pytest.mark.parametrize("target", ["bundle", "table"])
def test_a_viewer_exports_nothing_and_the_attempt_is_recorded(
    project: Path, runs: list[Path], tmp_path: Path, target: str
) -> None:
    desk, output = as_user(project, VIEWER), tmp_path / "exports" / target
    order = Order(target=target, output=output, now=NOON)
    acts: dict[str, Callable[[], object]] = {
        "bundle": lambda: export_bundle(runs[0], output, made_at="x", dry_run=False, desk=desk),
        "table": lambda: hand_over(runs[0], order, desk),
    }
    with pytest.raises(Refused, match="is a viewer, who may not export"):
        acts[target]()
    assert not output.exists()
    assert (lines(project)[-1].action, lines(project)[-1].approver) == (
        Action.REFUSE,
        VIEWER.email,
    )
    with pytest.raises(UserError, match="holds no config"):  # an analyst comes as far as the run
        export_bundle(runs[0], output, made_at="x", dry_run=False, desk=as_user(project, ANALYST))


def test_an_approver_signs_with_the_address_that_was_signed_in_with(
    project: Path, runs: list[Path]
) -> None:
    done = promote(runs[0], as_user(project, APPROVER), approver=None)
    assert done.line.approver == APPROVER.email
    with pytest.raises(Refused, match="cannot sign as somebody else"):
        approve(runs[1], as_user(project, APPROVER), approver="Grace")
    assert lines(project)[-1].action is Action.REFUSE
    assert lines(project)[-1].approver == APPROVER.email


def test_a_refused_attempt_that_cannot_be_recorded_is_refused_all_the_same(
    project: Path, runs: list[Path]
) -> None:
    trail = desk_at(project).trail
    trail.parent.mkdir(parents=True, exist_ok=True)
    trail.write_bytes(b"{torn")
    with pytest.raises(Refused, match="could not be recorded"):
        promote(runs[0], as_user(project, VIEWER), approver=None)
    assert trail.read_bytes() == b"{torn"


def test_of_two_people_who_decide_on_what_they_saw_one_wins_and_the_other_is_told(
    project: Path, runs: list[Path]
) -> None:
    seen = last_act(lines(project), DECISION)
    promote(runs[0], desk_at(project), approver="Ada", seen=seen)
    too_late: list[Callable[[], object]] = [
        lambda: promote(runs[1], desk_at(project), approver="Grace", seen=seen),
        lambda: approve(runs[1], desk_at(project), approver="Grace", seen=seen),
        lambda: reject(runs[1], desk_at(project), approver="Grace", reason="no", seen=seen),
        lambda: rollback(DECISION, desk_at(project), approver="Grace", reason="no", seen=seen),
    ]
    for late in too_late:
        with pytest.raises(Refused, match="somebody was faster: Ada recorded promote"):
            late()
    assert state(project) == (1, 1, ["promote"])


def test_a_rejected_policy_is_not_promoted_until_somebody_approves_it_again(
    project: Path, runs: list[Path]
) -> None:
    approve(runs[0], desk_at(project), approver="Grace")
    with opened(desk_at(project)) as book:
        assert book.registry.alias(DECISION, CHALLENGER) == 1
    done = reject(runs[0], desk_at(project), approver="Ada", reason="too bold at night")
    assert (done.line.action, done.line.to_version) == (Action.REJECT, 1)
    with opened(desk_at(project)) as book:
        assert book.registry.alias(DECISION, CHALLENGER) is None
    with pytest.raises(Refused, match=r"Ada rejected this policy on .*: too bold at night"):
        promote(runs[0], desk_at(project), approver="Linus")
    approve(runs[0], desk_at(project), approver="Grace")
    promote(runs[0], desk_at(project), approver="Linus")
    assert state(project)[0] == 1


def test_a_rejection_takes_back_the_approval_that_four_eyes_would_use(
    project: Path, runs: list[Path]
) -> None:
    rules = ReleaseRules(four_eyes=True)
    approve(runs[0], desk_at(project, 0, rules), approver="Grace")
    reject(runs[0], desk_at(project, 0, rules), approver="Grace", reason="I was wrong")
    with pytest.raises(Refused):
        promote(runs[0], desk_at(project, 0, rules), approver="Ada")


def test_a_policy_that_nobody_registered_can_be_rejected_and_the_champion_cannot(
    project: Path, runs: list[Path]
) -> None:
    assert reject(runs[0], desk_at(project), approver="Ada", reason="no").line.to_version is None
    with pytest.raises(UserError, match="--reason is missing"):
        reject(runs[1], desk_at(project), approver="Ada", reason=" ")
    promote(runs[1], desk_at(project), approver="Ada")
    with pytest.raises(UserError, match=r"is the champion .*: rollback takes it back"):
        reject(runs[1], desk_at(project), approver="Ada", reason="no")


def test_a_comment_that_no_record_should_hold_is_refused(project: Path, runs: list[Path]) -> None:
    endless = "x" * 1001
    for act in (approve, promote):
        with pytest.raises(UserError, match="--reason has 1001 characters: at most 1000"):
            act(runs[0], desk_at(project), approver="Ada", reason=endless)
    assert lines(project) == ()


def test_only_those_who_may_approve_may_reject(project: Path, runs: list[Path]) -> None:
    rules = ReleaseRules(approvers=("Grace",))
    with pytest.raises(Refused, match="Eve may not approve"):
        reject(runs[0], desk_at(project, 0, rules), approver="Eve", reason="no")


def test_the_roles_are_those_of_the_project_or_of_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "access.yaml").write_text("ada@example.com: viewer\n")
    (tmp_path / "other.yaml").write_text("ada@example.com: approver\n")
    monkeypatch.delenv("PPO_MARKETING_ACCESS", raising=False)
    assert roles_of(tmp_path).user("ada@example.com").role is Role.VIEWER
    monkeypatch.setenv("PPO_MARKETING_ACCESS", str(tmp_path / "other.yaml"))
    assert roles_of(tmp_path).user("ada@example.com").role is Role.APPROVER
