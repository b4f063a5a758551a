"""Approving, promoting and rolling back: each is one line of the audit trail, then the registry.

    verdict judged again -> approval -> version registered -> LINE -> tags -> alias -> done

A kill before the line leaves at most a version that nobody is shown; a kill after it leaves a
release that the next command finishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ppo_marketing.access import Permission
from ppo_marketing.approvals import require_not_rejected, require_unchanged
from ppo_marketing.audit_trail import Action, Line
from ppo_marketing.errors import GateNotPassed, Refused, UserError
from ppo_marketing.jobs.admission import admit, answering
from ppo_marketing.jobs.releasable import Releasable, releasable
from ppo_marketing.jobs.release_book import HEAD, Book, Desk, opened, what_stands
from ppo_marketing.releases import (
    Override,
    Standing,
    require_approval,
    require_in_force,
    same_release,
)
from ppo_marketing.tracking.registry import CHAMPION, Version


@dataclass(frozen=True)
class Released:
    """What a command did: the line it stands by, the trail's head, and what else is to be said.

    `new` is False where nothing was recorded, since it had been done before.
    """

    line: Line
    head: str
    new: bool = True
    notes: tuple[str, ...] = ()


def approve(
    run_folder: Path,
    desk: Desk,
    *,
    approver: str | None,
    reason: str = "",
    seen: int | None = None,
) -> Released:
    """`approve`: record that a person agrees to the release of this very policy.

    It becomes the challenger. `seen` is the `last_act` that the person was shown. Raises Refused
    where `approver` is not among those who may or somebody acted since, and as `releasable`.
    """
    judged = releasable(run_folder)
    asked = f"approve {judged.policy_sha256[:12]}"
    admit(desk, Permission.APPROVE, decision=judged.decision, asked=asked)
    name = answering(desk, approver, decision=judged.decision, asked=asked, comment=reason)
    judged.release.stricter(desk.rules).require_may_approve(name)
    with opened(desk) as book:
        require_unchanged(book.lines, judged.decision, seen)
        before = book.standing(judged.decision)
        version = _registered(book, judged)
        if before is None or before.champion.to_version != version.number:
            book.registry.set_challenger(judged.decision, version.number)
        line = book.record(
            desk.entry(
                Action.APPROVE,
                approver=name,
                reason=reason.strip() or judged.sentence,
                to_version=version.number,
                **judged.evidence(),
            )
        )
        book.registry.tag(judged.decision, version.number, {HEAD: book.head})
        refused = "" if judged.passed else "its verdict did not pass: promote takes an override"
        return Released(line, book.head, notes=(refused,) if refused else ())


def propose(run_folder: Path, desk: Desk) -> int:
    """Let the alias `challenger` name a judged policy, and return its version.

    Nothing is released by it, so nothing is recorded. Raises as `releasable`; GateNotPassed where
    its verdict did not pass.
    """
    judged = releasable(run_folder)
    _require_passed_or(None, judged)
    with opened(desk) as book:
        before = book.standing(judged.decision)
        version = _registered(book, judged)
        if before is None or before.champion.to_version != version.number:
            book.registry.set_challenger(judged.decision, version.number)
        return version.number


def promote(
    run_folder: Path,
    desk: Desk,
    *,
    approver: str | None,
    override: Override | None = None,
    reason: str = "",
    seen: int | None = None,
) -> Released:
    """`promote`: make a judged policy the champion; `seen` as in `approve`.

    `reason` is a comment on a policy that passed; of an override, its own is recorded.

    Raises:
        GateNotPassed: its verdict, judged again by the rules it was kept with, did not pass, and
            there is no override.
        Refused: an approval is missing, the policy was rejected, somebody acted since `seen`, or
            the one who promotes or overrides may not.
        UserError: an override of a verdict that passed; a policy that this store does not hold.
        IntegrityError: verdict, policy, stored model or audit trail is not what was written.
        AlreadyRunning: another job releases something.
    """
    judged = releasable(run_folder)
    decision = judged.decision
    asked = f"promote {judged.policy_sha256[:12]}"
    admit(desk, Permission.APPROVE, decision=decision, asked=asked)
    _require_passed_or(override, judged)
    name = answering(desk, approver, decision=decision, asked=asked, comment=reason)
    rules = judged.release.stricter(desk.rules)
    if override is not None:
        answering(desk, override.approver, decision=decision, asked=asked)
        rules.require_may_approve(override.approver)
    with opened(desk) as book:
        require_unchanged(book.lines, decision, seen)
        before = book.standing(decision)
        if before is not None and same_release(before.champion, judged.policy_sha256, override):
            return _again(book, before)
        require_not_rejected(book.lines, decision, judged.policy_sha256)
        require_approval(book.lines, decision, judged.policy_sha256, name, rules, desk.now)
        version = _registered(book, judged)
        book.registry.require_untouched(version)
        notes = _moved(book, before)
        line = book.record(
            desk.entry(
                Action.PROMOTE if override is None else Action.OVERRIDE,
                approver=name,
                reason=override.reason if override else reason.strip() or judged.sentence,
                expires=None if override is None else override.expires.isoformat(),
                from_version=None if before is None else before.champion.to_version,
                to_version=version.number,
                **judged.evidence(),
            )
        )
        book.finish(decision)
        return Released(line, book.head, notes=notes)


def rollback(
    decision: str,
    desk: Desk,
    *,
    approver: str | None,
    reason: str | None,
    seen: int | None = None,
) -> Released:
    """`rollback`: the champion before this one is champion again; `seen` as in `approve`.

    A rollback that was recorded and then cut short is finished, not done twice.

    Raises:
        Refused: there is no earlier champion, its override has expired, somebody acted since
            `seen`, or whoever asks may not.
        UserError: nothing was ever released; the approver's name or the reason is missing.
        IntegrityError, AlreadyRunning: as `promote`.
    """
    admit(desk, Permission.ROLLBACK, decision=decision, asked="roll back")
    name = answering(desk, approver, decision=decision, asked="roll back", reason=reason)
    assert reason is not None
    with opened(desk) as book:
        require_unchanged(book.lines, decision, seen)
        before = book.standing(decision)
        if before is None:
            raise UserError(f"nothing of {decision} was released: there is nothing to roll back")
        if before.since.action is Action.ROLLBACK and not book.finished(before):
            return _again(book, before)
        if not before.earlier:
            raise Refused(
                f"version {before.champion.to_version} of {decision} is the first champion: there "
                "is none to go back to. Stop it where it is served, or promote another policy"
            )
        target = before.earlier[0]
        require_in_force(target, desk.now)
        assert target.to_version is not None
        book.registry.require_untouched(book.registry.version(decision, target.to_version))
        notes = _moved(book, before)
        line = book.record(
            desk.entry(
                Action.ROLLBACK,
                approver=name,
                reason=reason.strip(),
                decision=decision,
                from_version=before.champion.to_version,
                **what_stands(target),
            )
        )
        book.finish(decision)
        return Released(line, book.head, notes=notes)


def _require_passed_or(override: Override | None, judged: Releasable) -> None:
    if judged.passed and override is not None:
        raise UserError(
            "the gate is passed: there is nothing to override. Leave --override and --expires out"
        )
    if not judged.passed and override is None:
        listed = "".join(f"\n  {line}" for line in judged.advice)
        raise GateNotPassed(
            f"{judged.sentence} Nothing was released.{listed}\nWhoever answers for releasing it "
            "all the same says so by name, for a time: --override REASON --approver NAME "
            "--expires YYYY-MM-DD; the record keeps all three"
        )


def _registered(book: Book, judged: Releasable) -> Version:
    policy = book.registry.logged_policy(judged.decision, judged.policy)
    run = policy.run_tags
    tags = {
        "git.commit": run.get("mlflow.source.git.commit", "unknown"),
        "git.dirty": run.get("mlflow.source.git.dirty", "unknown"),
        "config.sha256": run.get("config.sha256", "unknown"),
        **judged.tags(),
    }
    return book.registry.register(judged.decision, policy, judged.policy_sha256, tags)


def _again(book: Book, before: Standing) -> Released:
    """What was recorded before is finished, if it was cut short, and not recorded twice."""
    decision, number = before.since.decision, before.champion.to_version
    if not book.finished(before):
        book.finish(decision)
        said = f"what was recorded on {before.since.time} had been cut short; it is finished now"
    else:
        said = f"version {number} has been the champion since {before.since.time}: nothing to do"
    return Released(before.since, book.head, new=False, notes=(said, *_moved(book, before)))


def _moved(book: Book, before: Standing | None) -> tuple[str, ...]:
    """What to say of an alias that is not where the trail left it."""
    if before is None or not book.finished(before):
        return ()
    named = book.registry.alias(before.since.decision, CHAMPION)
    if named == before.champion.to_version:
        return ()
    return (
        f"the alias {CHAMPION} named {'nothing' if named is None else f'version {named}'} instead "
        f"of version {before.champion.to_version}: somebody moved it by hand",
    )
