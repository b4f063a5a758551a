"""What is released, whether the record of it can be believed, and how to set it right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ppo_marketing import audit_trail
from ppo_marketing.access import Permission
from ppo_marketing.audit_trail import Action, Anchor, Line, anchor_from, head
from ppo_marketing.errors import AlreadyRunning, IntegrityError, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.admission import admit, answering
from ppo_marketing.jobs.release_book import (
    Book,
    Desk,
    anchors,
    opened,
    require_anchored,
    what_stands,
)
from ppo_marketing.jobs.releasing import Released
from ppo_marketing.releases import Standing, standing
from ppo_marketing.tracking import has_store, open_tracker
from ppo_marketing.tracking.registry import CHALLENGER, CHAMPION, model_name


@dataclass(frozen=True)
class Champion:
    """Who is champion of a decision, None where nobody is, and the head of the trail."""

    decision: str
    standing: Standing | None
    challenger: int | None
    head: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """A trail that is what was written: its lines, its head, how many heads it was held against."""

    lines: tuple[Line, ...]
    head: str
    anchors: int


def champion_of(decision: str, desk: Desk) -> Champion:
    """`champion`: who is, since when, by whom; a release that was cut short is finished first.

    While another job releases something, the trail alone is asked.

    Raises IntegrityError where the trail is not what was written, or the alias was moved by hand.
    """
    if not has_store(desk.project) and not audit_trail.read_trail(desk.trail):
        return Champion(decision, None, None, head(()))
    try:
        with opened(desk) as book:
            return _settled(decision, book)
    except AlreadyRunning as error:
        lines = audit_trail.read_trail(desk.trail)
        said = f"another job is releasing something: this is what the audit trail says ({error})"
        return Champion(decision, standing(lines, decision), None, head(lines), (said,))


def restore(decision: str, desk: Desk, *, approver: str | None, reason: str | None) -> Released:
    """`champion --restore`: set an alias that was moved by hand back to what the trail says.

    Raises UserError where nothing was released, or a name or a reason is missing.
    """
    admit(desk, Permission.ROLLBACK, decision=decision, asked="restore")
    name = answering(desk, approver, decision=decision, asked="restore", reason=reason)
    assert reason is not None
    with opened(desk) as book:
        now = book.standing(decision)
        if now is None:
            raise UserError(f"nothing of {decision} was released: there is nothing to restore")
        champion, named = now.champion, book.registry.alias(decision, CHAMPION)
        if named == champion.to_version:
            book.finish(decision)
            return Released(now.since, book.head, new=False, notes=("nothing had been moved",))
        line = book.record(
            desk.entry(
                Action.RESTORE,
                approver=name,
                reason=reason.strip(),
                decision=decision,
                from_version=named,
                **what_stands(champion),
            )
        )
        book.finish(decision)
        return Released(line, book.head)


def verify(desk: Desk, kept_head: str | None = None) -> Verified:
    """`audit verify`: hold the chain against itself, the registry's tags and a head you kept.

    Raises:
        IntegrityError: a line was changed, removed, moved or put in, or the end was cut off; each
            is named.
        UserError: `kept_head` is none.
    """
    given = None if kept_head is None else anchor_from(kept_head.strip(), "the head you kept")
    if kept_head is not None and given is None:
        raise UserError(
            f"--head is {kept_head!r}: write it as it was printed, <lines>:<64 hexadecimal digits>"
        )
    # The tags are read first: a release that ends meanwhile makes the trail longer, never shorter.
    kept: list[Anchor] = []
    if has_store(desk.project):
        kept += anchors(open_tracker(desk.project).registry)
    if given is not None and given.sequence:
        kept.append(given)
    lines = audit_trail.read_trail(desk.trail)
    require_anchored(lines, kept, desk.trail)
    for decision in dict.fromkeys(line.decision for line in lines):
        standing(lines, decision)
    return Verified(lines, head(lines), len(kept))


def mend(desk: Desk, *, approver: str | None, reason: str | None) -> Released:
    """`audit mend`: set the torn last line of a killed job aside, and record that.

    Raises IntegrityError where the end is not torn, or more than the end is wrong.
    """
    admit(desk, Permission.ROLLBACK, decision="", asked="mend")
    name = answering(desk, approver, decision="", asked="mend", reason=reason)
    assert reason is not None
    entry = desk.entry(Action.MEND, approver=name, reason=reason.strip(), decision="")
    with held_alone(desk.trail.parent, "try again in a minute"):
        line = audit_trail.mend(desk.trail, entry)
        return Released(line, head(audit_trail.read_trail(desk.trail)))


def _settled(decision: str, book: Book) -> Champion:
    now = book.standing(decision)
    named = book.registry.alias(decision, CHAMPION)
    challenger = book.registry.alias(decision, CHALLENGER)
    found = Champion(decision, now, challenger, book.head)
    if now is None:
        if named is not None:
            raise IntegrityError(
                f"the alias {CHAMPION} of {model_name(decision)} names version {named}, and the "
                "audit trail knows no release of it: somebody set it by hand. Remove the alias in "
                "MLflow, then promote"
            )
        return found
    if not book.finished(now):
        book.finish(decision)
        said = f"what was recorded on {now.since.time} had been cut short; it is finished now"
        return replace(found, challenger=book.registry.alias(decision, CHALLENGER), notes=(said,))
    if named != now.champion.to_version:
        raise IntegrityError(
            f"the alias {CHAMPION} of {model_name(decision)} names "
            f"{'nothing' if named is None else f'version {named}'}, and the audit trail says "
            f"version {now.champion.to_version}: somebody moved it by hand. `ppo-marketing "
            f"champion {decision} --restore --approver NAME --reason TEXT` sets it back"
        )
    return found
