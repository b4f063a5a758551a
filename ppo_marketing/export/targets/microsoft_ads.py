"""Microsoft Advertising bulk CSV, format version 6.0: keyword bids and bid adjustments.

Published rules (MicrosoftDocs/Advertising, bulk file schema): the first column is `Type`; the first
record is `Format Version` with 6.0 in `Name`; UTF-8 with a byte order mark; an empty cell changes
nothing. At most 4,000,000 rows and 100 MB. A campaign has all three device criteria or none, each
-100 to 900 percent; other criteria -90 to 900.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from ppo_marketing.errors import Refused
from ppo_marketing.export.cells import Mode, csv_bytes
from ppo_marketing.export.money import billable, percent, require_currency, unit_of
from ppo_marketing.export.target import (
    Draft,
    Ready,
    Refusal,
    Row,
    Unfit,
    drafted,
    factor,
    number,
    taken,
    text,
)

COLUMNS = (
    "Type", "Status", "Id", "Parent Id", "Campaign", "Ad Group", "Client Id", "Keyword",
    "Match Type", "Bid", "Target", "Bid Adjustment", "Name",
)  # fmt: skip
VERSION: Mapping[str, str] = {"Type": "Format Version", "Name": "6.0"}
MOST_ROWS, MOST_BYTES = 4_000_000, 100_000_000
DEVICES = ("Computers", "Smartphones", "Tablets")
KINDS: Mapping[str, str] = {
    "devices": "Campaign DeviceOS Criterion",
    "locations": "Campaign Location Criterion",
    "ages": "Campaign Age Criterion",
    "genders": "Campaign Gender Criterion",
}
SHORT = f"has not one row for each of {', '.join(DEVICES)}: all three, or none"
MATCH_TYPES = ("Exact", "Phrase", "Broad")


@dataclass(frozen=True, kw_only=True)
class MicrosoftAds:
    """What the rows are, and which columns hold what.

    | rows | needed | optional |
    |---|---|---|
    | keywords | id, parent_id, keyword, match_type, bid (now), multiplier | campaign, ad_group |
    | devices, locations, ages, genders | parent_id, target, multiplier | id, campaign, adjustment |

    `columns` maps these names to the columns of the rows; ids are Microsoft's own.

    Raises:
        UserError: keywords without a currency, or one whose smallest bid is not known.
    """

    rows: Literal["keywords", "devices", "locations", "ages", "genders"]
    columns: Mapping[str, str] = field(default_factory=dict)
    currency: str | None = None

    name = "microsoft_ads"
    mode: Mode = "machine"
    personal = False

    def __post_init__(self) -> None:
        if self.rows == "keywords":
            require_currency(self.currency)

    @property
    def key(self) -> tuple[str, ...]:
        """What names an entity."""
        return ("Type", "Id") if self.rows == "keywords" else ("Type", "Parent Id", "Target")

    def draft(self, given: Sequence[Row]) -> Draft:
        """Each entity with its new bid or adjustment; devices all three or none of a campaign."""
        draft = drafted(given, self._bid if self.rows == "keywords" else self._adjusted)
        return _all_or_none(draft) if self.rows == "devices" else draft

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """One CSV, UTF-8 with a byte order mark."""
        if len(rows) + 2 > MOST_ROWS:
            raise Refused(f"{len(rows):,} rows; {MOST_ROWS - 2:,} are the most of one file")
        if self.rows == "devices" and len(_whole(rows)) * len(DEVICES) != len(rows):
            raise Refused(f"a campaign {SHORT}")
        content = csv_bytes(COLUMNS, [VERSION, *rows], mode=self.mode, bom=True)
        if len(content) > MOST_BYTES:
            raise Refused(f"{len(content):,} bytes; {MOST_BYTES:,} are the most of one file")
        return {f"microsoft-ads-{self.rows}.csv": content}

    def _bid(self, row: Row) -> Ready:
        match = text(row, self.columns, "match_type").capitalize()
        if match not in MATCH_TYPES:
            raise Unfit(f"match_type must be {', '.join(MATCH_TYPES)}")
        now = number(row, self.columns, "bid")
        assert self.currency is not None
        bid = billable(now * factor(row, self.columns), self.currency)
        if bid <= 0:
            raise Unfit(f"the new bid is below the smallest, {unit_of(self.currency)}")
        made = {
            "Type": "Keyword",
            "Id": _id(row, self.columns, "id"),
            "Parent Id": _id(row, self.columns, "parent_id"),
            "Keyword": text(row, self.columns, "keyword"),
            "Match Type": match,
            "Bid": bid,
            **self._names(row, "campaign", "ad_group"),
        }
        return Ready(made, {"Bid": bid}, {"Bid": now})

    def _adjusted(self, row: Row) -> Ready:
        lowest = -100 if self.rows == "devices" else -90
        change = percent(factor(row, self.columns))
        if not lowest <= change <= 900:
            raise Unfit(f"an adjustment is {lowest} to 900 percent")
        target = text(row, self.columns, "target")
        if self.rows == "devices":
            target = target.capitalize()
            if target not in DEVICES:
                raise Unfit(f"target must be {', '.join(DEVICES)}")
        made = {
            "Type": KINDS[self.rows],
            "Parent Id": _id(row, self.columns, "parent_id"),
            "Target": target,
            "Bid Adjustment": change,
            **self._names(row, "campaign"),
        }
        if taken(row, self.columns, "id") is not None:
            made["Id"] = _id(row, self.columns, "id")
        before: dict[str, Decimal] = {}
        if taken(row, self.columns, "adjustment") is not None:
            before = {"factor": 1 + number(row, self.columns, "adjustment") / 100}
        return Ready(made, {"factor": 1 + change / 100}, before)

    def _names(self, row: Row, *names: str) -> dict[str, str]:
        """Campaign and ad group in words, where the rows have them."""
        said = {name: taken(row, self.columns, name) for name in names}
        return {
            name.replace("_", " ").title(): str(value).strip()
            for name, value in said.items()
            if value is not None
        }


def _id(row: Row, columns: Mapping[str, str], name: str) -> int:
    """Microsoft's own id: a whole number above 0; new entities (negative ids) are not made here."""
    written = text(row, columns, name)
    if not (written.isascii() and written.isdigit() and int(written) > 0):
        raise Unfit(f"{name} must be Microsoft's own id, a whole number above 0")
    return int(written)


def _all_or_none(draft: Draft) -> Draft:
    """The draft without campaigns that have fewer or more than one row a device."""
    whole = _whole([ready.row for _, ready in draft.ready])
    kept = tuple((n, r) for n, r in draft.ready if r.row["Parent Id"] in whole)
    short = [
        Refusal(n, f"its campaign {SHORT}")
        for n, r in draft.ready
        if r.row["Parent Id"] not in whole
    ]
    return Draft(kept, (*draft.refused, *short), draft.warnings)


def _whole(rows: Sequence[Row]) -> set[object]:
    """The campaigns that have exactly one row a device."""
    devices: dict[object, list[str]] = defaultdict(list)
    for row in rows:
        devices[row["Parent Id"]].append(str(row["Target"]))
    return {parent for parent, found in devices.items() if sorted(found) == [*DEVICES]}
