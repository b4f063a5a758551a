"""The rules of releasing, worked out by hand on trails of a few lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.audit_trail import Action, Entry, Line, chained
from ppo_marketing.config import load_config
from ppo_marketing.errors import IntegrityError, Refused, UserError
from ppo_marketing.releases import (
    Override,
    ReleaseRules,
    force_text,
    in_force,
    override_from,
    require_approval,
    require_in_force,
    required,
    same_release,
    standing,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ENTRY = Entry(
    time=NOON.isoformat(),
    actor="deploy",
    approver="Ada",
    action=Action.PROMOTE,
    decision="shelf",
    policy_sha256="p" * 64,
    verdict="passed",
    reason="it passed",
)
OVERRIDE = replace(
    ENTRY, action=Action.OVERRIDE, verdict="refused", reason="pilot", expires="2026-12-01"
)


def chain(*entries: Entry) -> list[Line]:
    lines: list[Line] = []
    for entry in entries:
        lines.append(chained(entry, lines[-1] if lines else None))
    return lines


def promoted(version: int, decision: str = "shelf") -> Entry:
    return replace(ENTRY, to_version=version, decision=decision, policy_sha256=f"{version}" * 64)


def back_to(version: int) -> Entry:
    return replace(ENTRY, action=Action.ROLLBACK, to_version=version)


def test_nothing_released_has_no_standing() -> None:
    assert standing([], "shelf") is None
    assert standing(chain(replace(ENTRY, action=Action.APPROVE, to_version=1)), "shelf") is None
    assert standing(chain(promoted(1, "other")), "shelf") is None


def test_the_champion_is_the_top_of_a_stack() -> None:
    lines = chain(promoted(1), promoted(2), promoted(9, "other"), promoted(3), back_to(2))
    now = standing(lines, "shelf")
    assert now is not None
    assert (now.champion, now.since, now.earlier) == (lines[1], lines[4], (lines[0],))


def test_a_version_promoted_twice_in_a_row_is_on_the_stack_once() -> None:
    lines = chain(promoted(1), promoted(2), replace(OVERRIDE, to_version=2))
    now = standing(lines, "shelf")
    assert now is not None
    assert (now.champion, now.earlier) == (lines[2], (lines[0],))


@pytest.mark.parametrize("entries", [[back_to(1)], [promoted(1), promoted(2), back_to(7)]])
def test_a_rollback_to_what_was_not_there_is_found(entries: list[Entry]) -> None:
    with pytest.raises(IntegrityError, match="was not the champion before"):
        standing(chain(*entries), "shelf")


@given(st.lists(st.sampled_from(["promote", "rollback"]), max_size=30))
def test_rollback_undoes_the_last_promotion_that_stands(actions: list[str]) -> None:
    stack: list[int] = []
    entries: list[Entry] = []
    for version, action in enumerate(actions, 1):
        if action == "promote":
            stack.append(version)
            entries.append(replace(ENTRY, to_version=version))
        elif len(stack) > 1:
            stack.pop()
            entries.append(back_to(stack[-1]))
    now = standing(chain(*entries), "shelf")
    found = [] if now is None else [line.to_version for line in (now.champion, *now.earlier)]
    assert found == stack[::-1]


def test_an_override_holds_through_its_last_day_in_utc() -> None:
    (line,) = chain(OVERRIDE)
    midnight = datetime(2026, 12, 2, tzinfo=UTC)
    assert in_force(line, midnight - timedelta(microseconds=1))
    assert not in_force(line, midnight)
    tokyo = timezone(timedelta(hours=9))
    assert in_force(line, datetime(2026, 12, 2, 8, 59, tzinfo=tokyo))
    assert not in_force(line, datetime(2026, 12, 2, 9, 0, tzinfo=tokyo))


def test_a_passed_verdict_has_no_end_and_a_line_that_releases_nothing_is_not_in_force() -> None:
    (line,) = chain(promoted(1))
    assert in_force(line, NOON + timedelta(days=10_000))
    for wrong in (
        replace(ENTRY, verdict="refused"),
        replace(ENTRY, action=Action.APPROVE),
        replace(OVERRIDE, expires=None),
        replace(OVERRIDE, expires="soon"),
    ):
        assert not in_force(chain(wrong)[0], NOON)


def test_an_expired_override_is_refused_by_whoever_asks() -> None:
    (line,) = chain(replace(OVERRIDE, to_version=4))
    require_in_force(line, NOON)
    with pytest.raises(Refused, match="its override expired on 2026-12-01, given by Ada: pilot"):
        require_in_force(line, NOON + timedelta(days=11))
    assert force_text(line, NOON) == "in force by override until 2026-12-01, given by Ada: pilot"


def test_everything_that_an_override_lacks_is_listed_at_once() -> None:
    with pytest.raises(UserError) as refused:
        override_from(None, " ", None, NOON)
    for flag in ("--override REASON", "--approver NAME", "--expires YYYY-MM-DD"):
        assert f"{flag} is missing" in str(refused.value)
    assert refused.value.exit_code == 3


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ("2026-11-20", "must be after today"),
        ("2026-11-21", "must be after today"),
        ("2027-02-20", "at most 90 days ahead, 2027-02-19"),
        ("20261201", "write a day as YYYY-MM-DD"),
        ("2026-12-1", "write a day as YYYY-MM-DD"),
        ("2026-W49-2", "write a day as YYYY-MM-DD"),
        ("tomorrow", "write a day as YYYY-MM-DD"),
    ],
)
def test_an_override_ends_within_ninety_days(expires: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        override_from("pilot", "Ada", expires, NOON)


@pytest.mark.parametrize("expires", ["2026-11-22", "2027-02-19"])
def test_tomorrow_and_the_ninetieth_day_are_allowed(expires: str) -> None:
    given = override_from(" pilot ", "Ada", expires, NOON)
    assert given == Override("pilot", "Ada", date.fromisoformat(expires))


def test_a_reason_has_an_end() -> None:
    with pytest.raises(UserError, match="--reason has 1001 characters: at most 1000"):
        required(approver="Ada", reason="x" * 1001)


def test_the_same_release_is_recognised_and_another_override_is_another_release() -> None:
    passed, overridden = chain(ENTRY, OVERRIDE)
    own = Override("pilot", "Ada", date(2026, 12, 1))
    assert same_release(passed, "p" * 64, None)
    assert same_release(overridden, "p" * 64, own)
    assert not same_release(passed, "q" * 64, None)
    assert not same_release(passed, "p" * 64, own)
    assert not same_release(overridden, "p" * 64, None)
    assert not same_release(overridden, "p" * 64, own._replace(expires=date(2026, 12, 2)))


APPROVAL = replace(ENTRY, action=Action.APPROVE, approver="Grace")
RULES = ReleaseRules(four_eyes=True)


def approval(*entries: Entry, rules: ReleaseRules = RULES, days: float = 1) -> Line | None:
    now = NOON + timedelta(days=days)
    return require_approval(chain(*entries), "shelf", "p" * 64, "Ada", rules, now)


def test_an_approval_counts_by_person_policy_age_and_once() -> None:
    assert approval(APPROVAL) is not None
    assert approval(APPROVAL, days=7) is not None
    assert approval(APPROVAL, replace(ENTRY, policy_sha256="q" * 64)) is not None
    assert approval(rules=ReleaseRules()) is None
    for entries, said in (
        ((), "no approval of this policy"),
        ((replace(APPROVAL, policy_sha256="q" * 64),), "no approval of this policy"),
        ((replace(APPROVAL, decision="other"),), "no approval of this policy"),
        ((replace(APPROVAL, approver="  ADA "),), "by the same person"),
        ((APPROVAL, ENTRY), "no approval of this policy"),
        ((APPROVAL, OVERRIDE), "no approval of this policy"),
        ((replace(APPROVAL, time="2026-11-23T12:00:00+00:00"),), "lies in the future"),
    ):
        with pytest.raises(Refused, match=said):
            approval(*entries)
    with pytest.raises(Refused, match="7 days old"):
        approval(APPROVAL, days=7.01)
    with pytest.raises(Refused, match=r"release\.approvers are Linus"):
        approval(APPROVAL, rules=replace(RULES, approvers=("Linus",)))


def test_two_sets_of_rules_are_joined_to_the_stricter() -> None:
    kept = ReleaseRules(approvers=("Ada", "Grace"), approval_days=3)
    given = ReleaseRules(four_eyes=True, approvers=("grace", "Linus"))
    joined = kept.stricter(given)
    assert (joined.four_eyes, joined.approval_days) == (True, 3)
    joined.require_may_approve("GRACE")
    for name in ("Ada", "Linus"):
        with pytest.raises(Refused, match=f"{name} may not approve"):
            joined.require_may_approve(name)
    assert kept.stricter(ReleaseRules()).approvers == ("Ada", "Grace")
    with pytest.raises(UserError, match="nobody may approve"):
        kept.stricter(ReleaseRules(approvers=("Linus",)))


def test_the_rules_come_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "decision: bidding\nrelease: {four_eyes: true, approvers: [Ada, Grace], approval_days: 3}\n"
    )
    expected = ReleaseRules(four_eyes=True, approvers=("Ada", "Grace"), approval_days=3)
    assert load_config(path, {}).release == expected
    path.write_text("decision: bidding\nrelease: {approval_days: 0, approvers: ['']}\n")
    with pytest.raises(UserError, match=r"(?s)approval_days is 0.*an empty name"):
        load_config(path, {})
    path.write_text("decision: bidding\nrelease: {for_eyes: true}\n")
    with pytest.raises(UserError, match="release"):
        load_config(path, {})
