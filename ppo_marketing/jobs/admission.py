"""At the door of whatever acts: who may not is refused, and the attempt is on the record."""

from __future__ import annotations

import os
from pathlib import Path

from ppo_marketing import audit_trail
from ppo_marketing.access import FILE, GRANTED, Permission, Roles, User, may, read_roles
from ppo_marketing.audit_trail import Action
from ppo_marketing.errors import PpoMarketingError, Refused, UserError
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.releases import person, required, too_long

ROLES = "PPO_MARKETING_ACCESS"
"""The environment variable that names another file of roles than the project's own."""


def has_roles(project: Path) -> bool:
    """Whether a project is meant to have roles: its file is there, or another is named."""
    return ROLES in os.environ or (project / FILE).exists()


def roles_of(project: Path) -> Roles:
    """The roles of a project: of the file that `ROLES` names, else its own.

    Raises UserError where they cannot be read.
    """
    return read_roles(Path(os.environ.get(ROLES, project / FILE)))


def admit(desk: Desk, permission: Permission, *, decision: str, asked: str) -> None:
    """Let whoever stands at the desk do what was `asked`, or refuse it and record that.

    Raises Refused.
    """
    user = desk.user
    if user is None or may(user, permission):
        return
    allowed = ", ".join(role for role, granted in GRANTED.items() if permission in granted)
    _refuse(
        desk, user, decision, asked,
        f"{user.email} is a {user.role}, who may not {permission}: ask an {allowed}",
    )  # fmt: skip


def answering(
    desk: Desk,
    approver: str | None,
    *,
    decision: str,
    asked: str,
    comment: str = "",
    **needed: str | None,
) -> str:
    """Who answers for an action: the person signed in, or by name whoever acts locally.

    `comment` may be left out; what is `needed` may not.

    Raises:
        Refused: somebody signed in gives another's name; recorded.
        UserError: nobody is signed in and no name is given, a text that is `needed` as well is
            missing, or one is too long to be kept; all are listed.
    """
    if long := too_long({"--reason": comment}):
        raise UserError(f"nothing is recorded: {'; '.join(long)}")
    user = desk.user
    if user is None:
        required(approver=approver, **needed)
        assert approver is not None
        return approver.strip()
    required(**needed)
    if approver is not None and person(approver) != person(user.email):
        _refuse(desk, user, decision, asked, f"{user.email} cannot sign as somebody else")
    return user.email


def _refuse(desk: Desk, user: User, decision: str, asked: str, why: str) -> None:
    entry = desk.entry(
        Action.REFUSE, approver=user.email, decision=decision, reason=f"{asked}: {why}"
    )
    try:
        audit_trail.append(desk.trail, entry)
    except PpoMarketingError as error:
        raise Refused(f"{why}. The attempt could not be recorded: {error}") from error
    raise Refused(f"{why}. The attempt is on the record")
