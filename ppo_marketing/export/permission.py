"""Who may be written to: lists with a date, applied last; without them nothing leaves."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ppo_marketing.errors import Refused

AS_OF = "# as of "
CLOCKS_DIFFER = timedelta(minutes=5)


class Permissions(NamedTuple):
    """Whom to leave out, and who agreed; ids as `person_key` has them."""

    suppressed: frozenset[str]
    consenting: frozenset[str]

    def why_not(self, person: str | None) -> str | None:
        """Why nobody writes to a person; None where somebody may."""
        key = person_key(person or "")
        if not key:
            return "names no person"
        if key in self.suppressed:
            return "is on the suppression list"
        return None if key in self.consenting else "has not consented"


def person_key(person: str) -> str:
    """An id, e-mail address or number as lists are compared: NFC, trimmed, without case.

    A list may then leave out one person too many, never one too few.
    """
    return unicodedata.normalize("NFC", person).strip().casefold()


def permissions(
    lists: Mapping[str, Path | None], *, now: datetime, largest_age: timedelta
) -> Permissions:
    """The lists "suppression" and "consent", both read and young enough.

    A list is UTF-8 text: `# as of 2026-11-21T06:00:00Z`, then one id a line.

    Raises:
        Refused: one is missing, unreadable, undated or stale; every problem is listed.
    """
    problems: list[str] = []
    found = {
        kind: _read(kind, lists.get(kind), now, largest_age, problems)
        for kind in ("suppression", "consent")
    }
    if problems:
        raise Refused(
            "nothing is exported about people without knowing who may be written to:\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )
    return Permissions(found["suppression"], found["consent"])


def _read(
    kind: str, path: Path | None, now: datetime, largest_age: timedelta, problems: list[str]
) -> frozenset[str]:
    if path is None:
        problems.append(f"no {kind} list: give --{kind} FILE")
        return frozenset()
    try:
        first, *lines = path.read_text(encoding="utf-8-sig").splitlines()
        if not first.startswith(AS_OF):
            raise ValueError(f"its first line must be '{AS_OF}2026-11-21T06:00:00Z'")
        as_of = datetime.fromisoformat(first.removeprefix(AS_OF).strip())
        as_of = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of
    except (OSError, ValueError) as error:
        problems.append(f"the {kind} list {path} cannot be read: {error or 'it is empty'}")
        return frozenset()
    age = now - as_of
    if age > largest_age:
        hours = largest_age.total_seconds() / 3600
        problems.append(
            f"the {kind} list {path} is of {as_of.isoformat()}, older than "
            f"{hours:g} hours: fetch it anew"
        )
    elif age < -CLOCKS_DIFFER:
        problems.append(f"the {kind} list {path} is of {as_of.isoformat()}, which is to come")
    return frozenset(key for line in lines if (key := person_key(line)))
