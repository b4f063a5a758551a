"""Four eyes: an approval by another person, fresh, for one promotion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ppo_marketing.audit_trail import Action
from ppo_marketing.errors import Refused
from ppo_marketing.jobs.released import champion_of
from ppo_marketing.jobs.releasing import approve, promote, rollback
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.tracking.registry import CHALLENGER, CHAMPION
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
from tests.support.releasing import DECISION, desk_at, judged, state

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["client", "own_store", "poor", "project", "runs", "template"]


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
