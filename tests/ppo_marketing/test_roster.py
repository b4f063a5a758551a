"""Champions and challengers of a project: every decision's, with their runs where they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from ppo_marketing.audit_trail import Action, Entry, append
from ppo_marketing.evaluation import Estimate
from ppo_marketing.files import made
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.kept_runs import kept_evidence, runs_folder
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.jobs.verdicts import kept_verdict
from ppo_marketing.overview import done_today
from ppo_marketing.roster import Listed, roster
from tests.support.app_project import DECISION, RUN, app_project

__all__ = ["app_project"]

ENTRY = Entry(
    time="2026-11-01T00:00:00+00:00", actor="a", approver="Ada", action=Action.PROMOTE,
    decision=DECISION, to_version=1, reason="a try", verdict="passed", policy_sha256="a" * 64,
)  # fmt: skip


def recorded(project: Path, *entries: Entry) -> None:
    trail = trail_of(project)
    made(trail.parent)
    for entry in entries:
        append(trail, entry)


def told(listed: Listed) -> tuple[str, str, int | None, str | None]:
    run = None if listed.run is None else listed.run.name
    return listed.decision, listed.role, listed.line.to_version, run


def test_every_decision_has_its_champion_and_its_challenger_and_one_without_any_is_not_there(
    tmp_path: Path,
) -> None:
    assert roster(tmp_path) == ()
    approval = replace(ENTRY, action=Action.APPROVE)
    recorded(
        tmp_path,
        ENTRY,
        replace(approval, decision="shelf", to_version=4),
        replace(approval, to_version=2),
        replace(ENTRY, to_version=2),
        replace(approval, to_version=3),
        replace(ENTRY, action=Action.REFUSE, decision="quiet", to_version=None),
    )
    assert [told(one) for one in roster(tmp_path)] == [
        (DECISION, "champion", 2, None),
        (DECISION, "challenger", 3, None),
        ("shelf", "challenger", 4, None),
    ]


def test_the_gain_is_the_evidences_own_and_the_run_is_found_by_its_policy(
    app_project: Path, tmp_path: Path
) -> None:
    run = runs_folder(app_project) / RUN
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs").symlink_to(run.parent)
    recorded(tmp_path, replace(ENTRY, policy_sha256=kept_verdict(run).policy_sha256))
    (listed,) = roster(tmp_path)
    assert told(listed) == (DECISION, "champion", 1, RUN)
    assert listed.gain == done_today(kept_evidence(run).judgement.later).value_lift
    assert isinstance(listed.gain, Estimate)
    assert listed.freshness is not None
    assert listed.freshness.generated
    plain = json.loads(json.dumps(listed.to_dict()))
    assert (plain["run"], plain["verdict"]) == (RUN, "passed")
    assert plain["gain"]["low"] == listed.gain.low


def test_a_champion_that_a_retraining_made_is_found_where_it_was_trained(
    app_project: Path, tmp_path: Path
) -> None:
    run = runs_folder(app_project) / RUN
    place = tmp_path / "data" / "retraining" / "nightly" / "runs" / "abcdef012345"
    place.mkdir(parents=True)
    for name in ("evidence.json", "verdict.json"):
        shutil.copy(run / name, place)
    recorded(tmp_path, replace(ENTRY, policy_sha256=kept_verdict(run).policy_sha256))
    (listed,) = roster(tmp_path)
    assert told(listed) == (DECISION, "champion", 1, "abcdef012345")
    assert listed.gain is not None


def test_damaged_evidence_leaves_the_champion_in_the_list(
    app_project: Path, tmp_path: Path
) -> None:
    run, place = runs_folder(app_project) / RUN, runs_folder(tmp_path) / "torn"
    place.mkdir(parents=True)
    shutil.copy(run / "verdict.json", place)
    write_json(place / "evidence.json", {"decision": DECISION})
    recorded(tmp_path, replace(ENTRY, policy_sha256=kept_verdict(run).policy_sha256))
    (listed,) = roster(tmp_path)
    assert (told(listed)[3], listed.gain, listed.freshness) == ("torn", None, None)
