"""Braze: user attributes (people) and catalogs (situations), as CSV.

Published rules (Braze docs): attributes at most 500 MB; exactly one kind of identifier; default
attributes by their exact names, anything else becomes a custom attribute; ISO 8601 times; true and
false; no arrays; an empty cell overwrites nothing; HTML is not sanitised. Catalogs: `id` first and
unique, ids and headers of A-Z a-z 0-9 _ - only, 1,000 columns, headers of 250 and cells of 5,000
characters, 100 MB (free plan), no nulls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ppo_marketing.errors import Refused, UserError
from ppo_marketing.export.cells import Mode, csv_bytes, text_of
from ppo_marketing.export.decision_table import ID
from ppo_marketing.export.identity import is_e164, is_email
from ppo_marketing.export.target import Draft, Ready, Row, Unfit, drafted, needed, taken, text

IDENTIFIERS: Mapping[str, tuple[str, ...]] = {
    "external_id": ("external_id",),
    "braze_id": ("braze_id",),
    "user_alias": ("user_alias_name", "user_alias_label"),
    "email": ("email",),
    "phone": ("phone",),
}
DEFAULT_ATTRIBUTES = frozenset({
    "first_name", "last_name", "email", "phone", "country", "language", "time_zone", "gender",
    "dob", "home_city", "image_url", "email_subscribe", "push_subscribe", "date_of_first_session",
    "date_of_last_session", "email_open_tracking_disabled", "email_click_tracking_disabled",
    "subscription_group_id", "subscription_state",
})  # fmt: skip
SUBSCRIPTIONS = ("opted_in", "unsubscribed", "subscribed")
MOST_USER_BYTES, MOST_CATALOG_BYTES = 500_000_000, 100_000_000
MOST_COLUMNS, LONGEST_HEADER, LONGEST_CELL = 1000, 250, 5000
_TAG = re.compile(r"<[a-zA-Z!/?]")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class BrazeUsers:
    """Attributes of users: `columns` maps Braze's headers to the columns of the rows.

    `person` is the column that suppression and consent lists speak of; by default the identifier.

    Raises:
        UserError: a header is a default attribute in another spelling, or of another identifier.
    """

    identifier: Literal["external_id", "braze_id", "user_alias", "email", "phone"]
    columns: Mapping[str, str]
    person: str | None = None

    name = "braze_users"
    mode: Mode = "machine"
    personal = True

    def __post_init__(self) -> None:
        problems = [f"{name}: it must be mapped" for name in self.key if name not in self.columns]
        known = DEFAULT_ATTRIBUTES | {name for names in IDENTIFIERS.values() for name in names}
        right = {name.lower(): name for name in known}
        others = {
            name
            for kind, names in IDENTIFIERS.items()
            if kind not in (self.identifier, "email", "phone")
            for name in names
        }
        for header in self.columns:
            if header not in known and header.lower() in right:
                problems.append(f"{header}: Braze's own attribute is {right[header.lower()]}")
            if header in others - set(self.key):
                problems.append(f"{header}: the file identifies by {self.identifier} alone")
        if problems:
            raise UserError("the columns of braze_users cannot be used: " + "; ".join(problems))

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the identifier."""
        return IDENTIFIERS[self.identifier]

    def draft(self, given: Sequence[Row]) -> Draft:
        """Each user's attributes, held to Braze's forms."""
        return drafted(given, self._ready)

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """One CSV, UTF-8, the identifier first."""
        headers = [*self.key, *(name for name in self.columns if name not in self.key)]
        content = csv_bytes(headers, rows, mode=self.mode)
        _require_size(content, MOST_USER_BYTES)
        return {"braze-user-attributes.csv": content}

    def _ready(self, row: Row) -> Ready:
        made = {name: text(row, self.columns, name) for name in self.key}
        for header in self.columns:
            if header not in made:
                made[header] = taken(row, self.columns, header)
        for header, value in made.items():
            if value is not None:
                _require_form(header, value)
        person = "|".join(made[n] for n in self.key)
        if self.person is not None:
            person = str(row.get(self.person) or "")
        return Ready(made, person=person)


def _require_form(header: str, value: Any) -> None:
    """Raise Unfit where Braze would not read a value as what its header says."""
    if isinstance(value, list | tuple | dict | set):
        raise Unfit(f"{header} is a list: user CSVs take single values")
    written = text_of(value)
    allowed: Mapping[str, tuple[bool, str]] = {
        "email": (is_email(written), "one e-mail address"),
        "phone": (is_e164(written), "a number as +491701234567"),
        "country": (re.fullmatch("[A-Z]{2}", written) is not None, "an ISO 3166 code as DE"),
        "email_subscribe": (written in SUBSCRIPTIONS, f"one of {', '.join(SUBSCRIPTIONS)}"),
        "push_subscribe": (written in SUBSCRIPTIONS, f"one of {', '.join(SUBSCRIPTIONS)}"),
    }
    good, form = allowed.get(header, (True, ""))
    if not good:
        raise Unfit(f"{header} must be {form}")
    if _TAG.search(written):
        raise Unfit(f"{header} holds HTML, which Braze would show as it is")


@dataclass(frozen=True, kw_only=True)
class BrazeCatalog:
    """A catalog whose items are situations, for messages to look decisions up in.

    `columns` maps catalog headers (lower case is advised) to the columns of the rows; without it,
    every column of the decision table, and `id` is its decision_id with what is not allowed
    replaced by a dash. Two that become the same are refused.

    Raises:
        UserError: a header is not allowed, or there are too many.
    """

    columns: Mapping[str, str] = field(default_factory=dict)

    name = "braze_catalog"
    key = ("id",)
    mode: Mode = "machine"
    personal = False

    def __post_init__(self) -> None:
        problems = [name for name in self.columns if not _is_header(name)]
        if problems or len(self.columns) > MOST_COLUMNS:
            raise UserError(
                f"a catalog has at most {MOST_COLUMNS} columns, named by up to {LONGEST_HEADER} of "
                f"A-Z a-z 0-9 _ -; not allowed: {', '.join(problems) or len(self.columns)}"
            )

    def draft(self, given: Sequence[Row]) -> Draft:
        """Each situation as an item."""
        return drafted(given, self._ready)

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """One CSV, UTF-8, `id` first."""
        headers = list(dict.fromkeys(("id", *(name for row in rows for name in row))))
        if len(headers) > MOST_COLUMNS:
            raise Refused(f"{len(headers)} columns; a catalog has at most {MOST_COLUMNS}")
        content = csv_bytes(headers, rows, mode=self.mode)
        _require_size(content, MOST_CATALOG_BYTES)
        return {"braze-catalog.csv": content}

    def _ready(self, row: Row) -> Ready:
        if self.columns:
            made = {name: needed(row, self.columns, name) for name in self.columns}
        else:
            made = {name: value for name, value in row.items() if name != ID}
            made["id"] = re.sub("[^A-Za-z0-9_-]+", "-", text(row, {}, ID))
        made = {"id": str(made.get("id", "")), **{n: v for n, v in made.items() if n != "id"}}
        if not _PLAIN.fullmatch(made["id"]):
            raise Unfit("id must be of A-Z a-z 0-9 _ - only")
        wrong = [name for name in made if not _is_header(name)]
        if wrong:
            raise Unfit(f"{', '.join(wrong)}: headers are of A-Z a-z 0-9 _ - only")
        long = [name for name, value in made.items() if len(text_of(value)) > LONGEST_CELL]
        if long:
            raise Unfit(f"{', '.join(long)}: more than {LONGEST_CELL:,} characters")
        for name, value in made.items():
            if _TAG.search(text_of(value)):
                raise Unfit(f"{name} holds HTML, which Braze would show as it is")
        return Ready(made)


def _is_header(name: str) -> bool:
    return len(name) <= LONGEST_HEADER and _PLAIN.fullmatch(name) is not None


def _require_size(content: bytes, most: int) -> None:
    if len(content) > most:
        raise Refused(f"{len(content):,} bytes; {most:,} are the most of one file: export a part")
