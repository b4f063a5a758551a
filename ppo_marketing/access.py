"""Who may do what: a role for each e-mail address, from a file, and permissions by role.

Local use without signing in needs no role. Where people sign in, whoever has no role is let in
nowhere: a file that is missing or damaged opens no door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from ppo_marketing.errors import Refused, UserError, meant

EVERYONE = "*"
"""In the file: whoever signs in and is not named; a viewer at most."""
FILE = "access.yaml"
LONGEST_EMAIL = 254
"""Of an address that mail can be sent to (RFC 5321, 4.5.3.1.3)."""


class Role(StrEnum):
    """What somebody is to the team."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    APPROVER = "approver"


class Permission(StrEnum):
    """What a role may allow, in words that follow "may"."""

    START = "start jobs"
    KEEP_SCENARIOS = "keep scenarios"
    EDIT_GUARDRAILS = "edit guardrails"
    EXPORT = "export"
    APPROVE = "approve or reject releases"
    ROLLBACK = "roll back releases"


GRANTED: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset(),
    # What the gate passed, or an approver answers for, an analyst hands over every day.
    Role.ANALYST: frozenset(
        {
            Permission.START,
            Permission.KEEP_SCENARIOS,
            Permission.EDIT_GUARDRAILS,
            Permission.EXPORT,
        }
    ),
    Role.APPROVER: frozenset(Permission),
}


@dataclass(frozen=True)
class User:
    """Somebody who signed in, and the role that the file gives them."""

    email: str
    role: Role

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it."""
        return permission in GRANTED[self.role]


@dataclass(frozen=True)
class Roles:
    """The roles of a file, by address as `same_address` writes it."""

    by_address: Mapping[str, Role]

    def user(self, email: str, *, verified: bool = True) -> User:
        """Whoever signed in with this address.

        `verified`: whether the identity provider knows that the address is theirs.

        Raises Refused where the address is none, is not verified, or has no role.
        """
        address = same_address(email)
        if not (address.isprintable() and "@" in address and len(address) <= LONGEST_EMAIL):
            raise Refused("whoever signed in has no usable e-mail address: ask who runs the login")
        if not verified:
            raise Refused(f"the e-mail address {address} is not verified: verify it, sign in again")
        role = self.by_address.get(address, self.by_address.get(EVERYONE))
        if role is None:
            raise Refused(
                f"{address} has no role here: ask whoever runs this application for one (viewer, "
                "analyst or approver)"
            )
        return User(address, role)


def may(user: User | None, permission: Permission) -> bool:
    """Whether `user` may; nobody signed in (None) is local use, which may everything."""
    return user is None or user.may(permission)


def same_address(email: str) -> str:
    """An address for comparison: neither case nor spaces around it make another person."""
    return email.strip().casefold()


def read_roles(path: Path) -> Roles:
    """The roles of a YAML file with a line `address: role` each.

    Raises UserError that lists every problem; a file that is not there is one.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _NoRepeats)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"people sign in, and the file of their roles cannot be read: {path.name} ({error}). "
            "Write a line `address: role` for each person"
        ) from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path.name} must hold a line `address: role` for each person")
    problems: list[str] = []
    roles: dict[str, Role] = {}
    for email, role in content.items():
        said = _problem(email, role, roles)
        if said is None:
            roles[same_address(email)] = Role(role)
        else:
            problems.append(f"  {email!r}: {said}")
    if problems:
        raise UserError(f"the roles in {path.name} cannot be used:\n" + "\n".join(problems))
    return Roles(roles)


def _problem(email: Any, role: Any, before: Mapping[str, Role]) -> str | None:
    known = [one.value for one in Role]
    if not isinstance(email, str) or not ("@" in email or email == EVERYONE):
        return f"no e-mail address; write one, or {EVERYONE!r} for whoever signs in"
    if role not in known:
        return f"there is no role {role!r}; {meant(str(role), known)}"
    if email == EVERYONE and role != Role.VIEWER:
        return f"whoever is not named can be a {Role.VIEWER} only"
    if same_address(email) in before:
        return "named twice"
    return None


class _NoRepeats(yaml.SafeLoader):
    """A loader that refuses a key that comes twice: YAML itself lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"named twice: {', '.join(twice)}")
        return super().construct_mapping(node, deep)
