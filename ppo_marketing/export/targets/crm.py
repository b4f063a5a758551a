"""Profiles for a CRM by a column map: Klaviyo and Salesforce Marketing Cloud data extensions.

Published rules. Klaviyo: CSV of at most 50 MB with a header; every row has an e-mail address or a
phone number in E.164; no duplicates. Salesforce data extension: comma-separated with a header; only
an extension with a primary key can be updated, without one it can only be overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ppo_marketing.errors import Refused, UserError
from ppo_marketing.export.cells import Mode, csv_bytes
from ppo_marketing.export.identity import HashRules, hashed, is_e164, is_email, ordered_email
from ppo_marketing.export.target import Draft, Ready, Row, Unfit, drafted, taken

MOST_KLAVIYO_BYTES = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Crm:
    """Profiles of people: `columns` maps the system's headers to the columns of the rows.

    `identifiers` says which headers are e-mail addresses and which are phone numbers; `hash_as`
    hashes them by a platform's rules. `primary_key` are the headers that name a profile. `person`
    is the column of the rows that suppression and consent lists speak of (never hashed).

    Raises:
        UserError: a header that is named is not mapped, or Klaviyo has no identifier.
    """

    system: Literal["klaviyo", "salesforce"]
    columns: Mapping[str, str]
    primary_key: tuple[str, ...]
    person: str
    identifiers: Mapping[str, Literal["email", "phone"]] = field(default_factory=dict)
    hash_as: HashRules | None = None

    name = "crm"
    mode: Mode = "machine"
    personal = True

    def __post_init__(self) -> None:
        problems = [
            f"{header}: it is not among the columns"
            for header in (*self.primary_key, *self.identifiers)
            if header not in self.columns
        ]
        if not self.primary_key:
            problems.append("primary_key: without one a system can only be overwritten")
        if self.system == "klaviyo" and not self.identifiers:
            problems.append("identifiers: Klaviyo needs an e-mail address or a phone number")
        if self.hash_as is not None and self.hash_as not in get_args(HashRules):
            problems.append(f"hash_as: choose one of {', '.join(get_args(HashRules))}")
        if problems:
            raise UserError("the profile of crm cannot be used: " + "; ".join(problems))

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key."""
        return tuple(self.primary_key)

    def draft(self, given: Sequence[Row]) -> Draft:
        """Each profile, identifiers checked and, where asked, hashed."""
        return drafted(given, self._ready)

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """One CSV, UTF-8."""
        content = csv_bytes(list(self.columns), rows, mode=self.mode)
        if self.system == "klaviyo" and len(content) > MOST_KLAVIYO_BYTES:
            raise Refused(
                f"{len(content):,} bytes; Klaviyo takes {MOST_KLAVIYO_BYTES:,}: export a part"
            )
        return {f"{self.system}-profiles.csv": content}

    def _ready(self, row: Row) -> Ready:
        made: dict[str, Any] = {header: taken(row, self.columns, header) for header in self.columns}
        for header, kind in self.identifiers.items():
            if made[header] is not None:
                made[header] = self._identifier(str(made[header]).strip(), kind, header)
        if self.system == "klaviyo" and not any(made[name] for name in self.identifiers):
            raise Unfit("Klaviyo needs an e-mail address or a phone number in every row")
        empty = [name for name in self.primary_key if made[name] is None]
        if empty:
            raise Unfit(f"the primary key is empty: {', '.join(empty)}")
        return Ready(made, person=str(row.get(self.person) or ""))

    def _identifier(self, written: str, kind: str, header: str) -> str:
        if kind == "email":
            if not is_email(written):
                raise Unfit(f"{header} must be one e-mail address")
            return hashed(ordered_email(written, self.hash_as)) if self.hash_as else written
        if not is_e164(written):
            raise Unfit(f"{header} must be a number as +491701234567")
        return hashed(written) if self.hash_as else written
