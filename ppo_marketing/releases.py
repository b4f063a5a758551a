"""The rules of releasing, as pure functions of the audit trail: who is champion, and may it stay?

The trail is a write-ahead log: a release is decided by its line, and the registry's aliases follow.
Releases of a decision are a stack. `promote` lays a version on top, `rollback` takes the top off;
promoting the version on top again (to renew an override) replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from ppo_marketing.audit_trail import Action, Line
from ppo_marketing.errors import IntegrityError, Refused, UserError

MOST_OVERRIDE_DAYS = 90
"""An override is a loan against evidence: within a quarter there is a log to judge by."""
MOST_CHARACTERS = 1000
"""Of a name or a reason: a tag of the registry holds 5000."""

RELEASES = (Action.PROMOTE, Action.OVERRIDE, Action.ROLLBACK)


@dataclass(frozen=True, kw_only=True)
class ReleaseRules:
    """Who must agree to a release.

    `four_eyes`: a person other than the one who promotes has approved this very policy at most
    `approval_days` days ago. `approvers`: who may approve or override; empty: anyone.
    """

    four_eyes: bool = False
    approvers: tuple[str, ...] = ()
    approval_days: int = 7

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.approval_days <= MOST_OVERRIDE_DAYS:
            problems.append(
                f"approval_days is {self.approval_days}: it must be from 1 to {MOST_OVERRIDE_DAYS}"
            )
        if any(not person(name) for name in self.approvers):
            problems.append("approvers holds an empty name: write names of people")
        if problems:
            raise UserError("; ".join(problems))

    def stricter(self, other: ReleaseRules) -> ReleaseRules:
        """What both ask for: neither a run nor a later file can loosen the other."""
        mine, others = ({person(name) for name in r.approvers} for r in (self, other))
        named = dict.fromkeys((*self.approvers, *other.approvers))
        both = tuple(name for name in named if person(name) in mine & others)
        if mine and others and not both:
            raise UserError(
                "nobody may approve: the run was made with approvers "
                f"{', '.join(self.approvers)}, and the configuration names "
                f"{', '.join(other.approvers)}. Name somebody who is in both"
            )
        return ReleaseRules(
            four_eyes=self.four_eyes or other.four_eyes,
            approvers=both if mine and others else tuple(named),
            approval_days=min(self.approval_days, other.approval_days),
        )

    def require_may_approve(self, name: str) -> None:
        """Raise Refused where `name` is not among the approvers."""
        if self.approvers and person(name) not in {person(known) for known in self.approvers}:
            raise Refused(
                f"{name} may not approve: the configuration's release.approvers are "
                f"{', '.join(self.approvers)}"
            )


class Override(NamedTuple):
    """Why a policy is released in spite of its verdict, who answers for it, its last day (UTC)."""

    reason: str
    approver: str
    expires: date


@dataclass(frozen=True)
class Standing:
    """What is released of a decision.

    `champion` is the line with the evidence of the version in force, `since` the line that put it
    there (the same, or a rollback), `earlier` what `rollback` goes back to, the last first.
    """

    champion: Line
    since: Line
    earlier: tuple[Line, ...]


def person(name: str) -> str:
    """A name for comparison: neither case nor spaces make another person."""
    return " ".join(name.split()).casefold()


def utc_text(now: datetime) -> str:
    """A moment as the trail writes it; `now` knows its time zone."""
    assert now.tzinfo is not None
    return now.astimezone(UTC).isoformat(timespec="seconds")


def override_from(
    reason: str | None, approver: str | None, expires: str | None, now: datetime
) -> Override:
    """An override, where all that it needs is there.

    Raises UserError that lists everything that is missing or wrong.
    """
    problems = [
        f"{flag} is missing: {what}"
        for flag, value, what in (
            ("--override REASON", reason, "why it is released in spite of its verdict"),
            ("--approver NAME", approver, "who answers for it"),
            ("--expires YYYY-MM-DD", expires, "its last day"),
        )
        if value is None or not value.strip()
    ]
    problems += too_long({"--override": reason, "--approver": approver})
    today = now.astimezone(UTC).date()
    last = _day(expires) if expires is not None and expires.strip() else None
    if expires is not None and expires.strip() and last is None:
        problems.append(f"--expires is {expires!r}: write a day as YYYY-MM-DD")
    if last is not None and not today < last <= today + timedelta(days=MOST_OVERRIDE_DAYS):
        problems.append(
            f"--expires is {last}: it must be after today, {today}, and at most "
            f"{MOST_OVERRIDE_DAYS} days ahead, {today + timedelta(days=MOST_OVERRIDE_DAYS)}"
        )
    if problems:
        raise UserError("this override cannot be recorded:\n  " + "\n  ".join(problems))
    assert reason is not None
    assert approver is not None
    assert last is not None
    return Override(reason.strip(), approver.strip(), last)


def too_long(texts: dict[str, str | None]) -> list[str]:
    """What to say of texts that no record can hold."""
    return [
        f"{flag} has {len(text)} characters: at most {MOST_CHARACTERS}"
        for flag, text in texts.items()
        if text is not None and len(text) > MOST_CHARACTERS
    ]


def required(**texts: str | None) -> None:
    """Raise UserError that lists every text which is missing, empty or too long, as a flag."""
    flags = {f"--{name}": text for name, text in texts.items()}
    problems = [f"{f} is missing" for f, text in flags.items() if not (text and text.strip())]
    problems += too_long(flags)
    if problems:
        raise UserError(f"nothing is recorded without these: {'; '.join(problems)}")


def standing(lines: Sequence[Line], decision: str) -> Standing | None:
    """Who is champion by the trail, and what was before; None where nothing was released.

    Raises IntegrityError where a rollback goes back to what was not there.
    """
    stack: list[Line] = []
    since: Line | None = None
    for line in lines:
        if line.decision != decision or line.action not in RELEASES:
            continue
        if line.action is Action.ROLLBACK:
            if len(stack) < 2 or stack[-2].to_version != line.to_version:
                raise IntegrityError(
                    f"line {line.sequence} of the audit trail goes back to version "
                    f"{line.to_version}, which was not the champion before"
                )
            stack.pop()
        else:
            if stack and stack[-1].to_version == line.to_version:
                stack.pop()
            stack.append(line)
        since = line
    if since is None:
        return None
    return Standing(stack[-1], since, tuple(reversed(stack[:-1])))


def in_force(record: Line, now: datetime) -> bool:
    """Whether a release still stands: its verdict passed, or its override has not expired.

    `record` is a `Standing.champion`. An override holds through its last day, UTC. Whatever acts
    on a champion (serving, export) asks this first, or `require_in_force`.
    """
    if record.action is Action.OVERRIDE:
        last = _day(record.expires or "")
        return last is not None and now.astimezone(UTC).date() <= last
    return record.action is Action.PROMOTE and record.verdict == "passed"


def require_in_force(record: Line, now: datetime) -> None:
    """Raise Refused, saying what to do, where a release no longer stands."""
    if not in_force(record, now):
        raise Refused(
            f"version {record.to_version} of {record.decision} is {force_text(record, now)}. "
            "Promote a policy whose verdict passed, or promote this one again with a new override"
        )


def force_text(record: Line, now: datetime) -> str:
    """By what a release stands, in words."""
    if record.action is not Action.OVERRIDE:
        return "in force: its verdict passed" if in_force(record, now) else "not in force"
    given = f"given by {record.approver}: {record.reason}"
    if in_force(record, now):
        return f"in force by override until {record.expires}, {given}"
    return f"no longer in force: its override expired on {record.expires}, {given}"


def same_release(record: Line, policy_sha256: str, override: Override | None) -> bool:
    """Whether `record` already is the release that is asked for, so that asking again is no news.

    Without an override: of this policy with a passed verdict. With one: by that very override.
    """
    if record.policy_sha256 != policy_sha256:
        return False
    if override is None:
        return record.action is Action.PROMOTE
    return record.action is Action.OVERRIDE and override == Override(
        record.reason, record.approver, _day(record.expires or "") or date.min
    )


def require_approval(
    lines: Sequence[Line],
    decision: str,
    policy_sha256: str,
    promoter: str,
    rules: ReleaseRules,
    now: datetime,
) -> Line | None:
    """The approval that lets `promoter` release this policy; None where none is asked for.

    It is another person's, of this very policy, not older than `rules.approval_days`, and neither
    used up by an earlier promotion nor taken back by a rejection. Raises Refused that says why each
    one there is does not count.
    """
    if not rules.four_eyes:
        return None
    said = []
    for line in reversed(lines):
        if line.decision != decision or line.policy_sha256 != policy_sha256:
            continue
        if line.action in (Action.PROMOTE, Action.OVERRIDE, Action.REJECT):
            break
        if line.action is not Action.APPROVE:
            continue
        wrong = _why_not(line, promoter, rules, now)
        if wrong is None:
            return line
        said.append(f"  the approval by {line.approver} of {line.time} does not count: {wrong}")
    whom = f"one of {', '.join(rules.approvers)}" if rules.approvers else "another person"
    raise Refused(
        "\n".join(
            [
                f"releases of {decision} need four eyes, and there is no approval of this policy "
                f"that {promoter} could use",
                *said,
                f"Let {whom} other than {promoter} look at it and run `ppo-marketing approve RUN "
                "--approver NAME`",
            ]
        )
    )


def _why_not(line: Line, promoter: str, rules: ReleaseRules, now: datetime) -> str | None:
    if person(line.approver) == person(promoter):
        return "it is by the same person who promotes"
    if rules.approvers and person(line.approver) not in {person(n) for n in rules.approvers}:
        return f"the configuration's release.approvers are {', '.join(rules.approvers)}"
    age = now - datetime.fromisoformat(line.time)
    if age > timedelta(days=rules.approval_days):
        return f"it is {age.days} days old, and {rules.approval_days} are allowed"
    if age < timedelta(0):
        return "it lies in the future: one of the clocks is wrong"
    return None


def _day(text: str) -> date | None:
    """A day written YYYY-MM-DD, and in no other way."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if day.isoformat() == text.strip() else None
