"""The audit trail and the registry, opened together, and how the second follows the first.

The line is the release. What comes after it (tags, the alias, the mark that all is done) can be
done any number of times, so whichever command opens the book next finishes what a kill cut short.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ppo_marketing import audit_trail
from ppo_marketing.access import User
from ppo_marketing.audit_trail import Action, Anchor, Entry, Line, anchor_from, cut_off, head
from ppo_marketing.errors import IntegrityError
from ppo_marketing.files import held_alone
from ppo_marketing.releases import ReleaseRules, Standing, standing, utc_text
from ppo_marketing.tracking import Registry, open_tracker

HEAD = "audit.head"
"""The tag of a version with the head of the trail as it was: what a cut tail is held against."""
DONE = "release.sha256"
"""The tag, set last, with the hash of the line whose release is complete."""


def trail_of(project: Path) -> Path:
    """A project's audit trail."""
    return project / "data" / "releases" / "audit.jsonl"


def standing_champion(project: Path, decision: str) -> Line | None:
    """The release that makes a policy of `decision` champion, by the audit trail; None: none.

    Raises IntegrityError where the trail is not what was written.
    """
    now = standing(audit_trail.read_trail(trail_of(project)), decision)
    return None if now is None else now.champion


class Desk(NamedTuple):
    """Where and by whom something is released: the project, the account, the moment, the rules.

    `user` is who signed in; None is local use, where nobody does.
    """

    project: Path
    actor: str
    now: datetime
    rules: ReleaseRules = ReleaseRules()
    user: User | None = None

    @property
    def trail(self) -> Path:
        """The project's audit trail."""
        return trail_of(self.project)

    def entry(self, action: Action, **values: object) -> Entry:
        """What is recorded of an action at this desk."""
        said = {"time": utc_text(self.now), "actor": self.actor, "action": action, **values}
        return Entry(**said)  # type: ignore[arg-type] # checked when it is read back


def desk_of(project: Path, user: User | None = None) -> Desk:
    """The desk of the account that runs this, now."""
    try:
        actor = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        actor = f"uid {os.getuid()}"
    return Desk(project, actor, datetime.now(UTC), user=user)


@dataclass
class Book:
    """The trail's lines and the registry, while no other job may write to them."""

    desk: Desk
    registry: Registry
    lines: tuple[Line, ...]

    @property
    def head(self) -> str:
        """The trail's head."""
        return head(self.lines)

    def standing(self, decision: str) -> Standing | None:
        """What is released of a decision."""
        return standing(self.lines, decision)

    def record(self, entry: Entry) -> Line:
        """Append a line to the trail."""
        line = audit_trail.append(self.desk.trail, entry)
        self.lines = (*self.lines, line)
        return line

    def finished(self, now: Standing) -> bool:
        """Whether all that follows from the line of a release was done."""
        number = _number(now.champion)
        return self.registry.version(now.since.decision, number).tags.get(DONE) == now.since.sha256

    def finish(self, decision: str) -> Standing:
        """Let the registry follow the trail: tags, alias, head, and last the mark that it did."""
        now = self.standing(decision)
        assert now is not None
        number = _number(now.champion)
        self.registry.tag(decision, number, evidence_tags(now.champion))
        self.registry.set_champion(decision, number)
        self.registry.tag(decision, number, {HEAD: self.head, DONE: now.since.sha256})
        return now


@contextmanager
def opened(desk: Desk) -> Iterator[Book]:
    """Hold trail and registry alone, verified against each other.

    Raises:
        AlreadyRunning: another job releases something.
        IntegrityError: the trail is not what was written, or its end was cut off.
    """
    with held_alone(desk.trail.parent, "try again in a minute"):
        registry = open_tracker(desk.project).registry
        lines = audit_trail.read_trail(desk.trail)
        require_anchored(lines, anchors(registry), desk.trail)
        yield Book(desk, registry, lines)


def anchors(registry: Registry) -> tuple[Anchor, ...]:
    """The heads that the registry's versions were tagged with.

    Raises IntegrityError where a tag is none.
    """
    found = []
    for version in registry.everything():
        if HEAD not in version.tags:
            continue
        where = f"version {version.number} of {version.model}"
        anchor = anchor_from(version.tags[HEAD], where)
        if anchor is None:
            raise IntegrityError(f"the tag {HEAD} of {where} is no head of a trail: it was changed")
        found.append(anchor)
    return tuple(found)


def require_anchored(lines: Sequence[Line], kept: Sequence[Anchor], trail: Path) -> None:
    """Raise IntegrityError where a trail lacks a line that was known elsewhere."""
    problems = cut_off(lines, kept)
    if problems:
        listed = "\n  ".join(problems)
        raise IntegrityError(
            f"the audit trail {trail} is not the one that versions were released by:\n  {listed}\n"
            "Restore it from a copy; nothing is released on it"
        )


def what_stands(release: Line) -> dict[str, object]:
    """What a line that puts a release in force again says of it: version, policy, verdict, end."""
    kept = ("to_version", "policy_sha256", "data_sha256", "verdict_sha256", "verdict", "reasons")
    return {name: getattr(release, name) for name in (*kept, "expires")}


def evidence_tags(release: Line) -> dict[str, str]:
    """How a version is marked with what it was released by."""
    overridden = release.action is Action.OVERRIDE
    return {
        "data.sha256": release.data_sha256,
        "verdict.sha256": release.verdict_sha256,
        "gate.verdict": release.verdict,
        "gate.reasons": ", ".join(release.reasons) or "none",
        "override.reason": release.reason if overridden else "none",
        "override.approver": release.approver if overridden else "none",
        "override.expires": str(release.expires) if overridden else "none",
    }


def as_values(line: Line) -> dict[str, object]:
    """A line as plain values, for JSON."""
    return {**asdict(line), "action": str(line.action)}


def _number(release: Line) -> int:
    if release.to_version is None:
        raise IntegrityError(f"line {release.sequence} of the audit trail releases no version")
    return release.to_version
