"""Google Ads Editor CSV: keyword bids and bid adjustments of entities that exist.

Published rules (support.google.com/google-ads/editor/answer/57747 and /30532): English headers; one
entity a row; an empty cell changes nothing and `[]` erases. Adjustments are percentages written
without the sign, -90 to 900; a device may also be -100, which opts out of it. Smart
strategies ignore Max CPC and adjustments, except a device's -100; with Target CPA a device's
adjustment moves the target. A keyword has at most 80 characters and 10 words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ppo_marketing.export.cells import Mode, csv_bytes
from ppo_marketing.export.money import billable, percent, require_currency, unit_of
from ppo_marketing.export.target import (
    Draft,
    Ready,
    Row,
    Unfit,
    drafted,
    factor,
    number,
    taken,
    text,
)

LOW, HIGH, OPT_OUT = -90, 900, -100
MATCH_TYPES = ("Exact", "Phrase", "Broad")
MANUAL = frozenset({"manual cpc"})
IGNORES_BIDS = frozenset({
    "maximize conversions", "maximize conversion value", "target cpa", "target roas",
    "maximize clicks", "target impression share",
})  # fmt: skip
"""Strategies that set bids themselves; SMART are those that Google calls smart."""
SMART = frozenset({
    "maximize conversions", "maximize conversion value", "target cpa", "target roas",
})  # fmt: skip
DEVICES: Mapping[str, str] = {
    "desktop": "Desktop Bid Modifier",
    "mobile": "Mobile Bid Modifier",
    "tablet": "Tablet Bid Modifier",
}
LEVELS: Mapping[str, tuple[str, str]] = {
    "schedules": ("schedule", "Ad Schedule"),
    "locations": ("location", "Location"),
    "audiences": ("audience", "Audience segment"),
}
LONGEST_KEYWORD, MOST_WORDS = 80, 10


@dataclass(frozen=True, kw_only=True)
class GoogleAds:
    """What the rows are, and which columns hold what.

    | rows | needed beside campaign, multiplier, bid_strategy | optional |
    |---|---|---|
    | keywords | ad_group, keyword, match_type, max_cpc (now) | |
    | devices | device | ad_group, adjustment (now, percent) |
    | schedules, locations, audiences | schedule, location, audience | ad_group, adjustment |

    `bid_strategy` is the campaign's own, as Google names it. `columns` maps these names to the
    columns of the rows. `on_smart_bidding` says what happens to rows that it ignores.

    Raises:
        UserError: keywords without a currency, or one whose smallest bid is not known.
    """

    rows: Literal["keywords", "devices", "schedules", "locations", "audiences"]
    columns: Mapping[str, str] = field(default_factory=dict)
    currency: str | None = None
    on_smart_bidding: Literal["refuse", "warn"] = "refuse"

    name = "google_ads"
    mode: Mode = "machine"
    personal = False

    def __post_init__(self) -> None:
        if self.rows == "keywords":
            require_currency(self.currency)

    @property
    def key(self) -> tuple[str, ...]:
        """What names an entity."""
        if self.rows == "keywords":
            return ("Campaign", "Ad Group", "Keyword", "Criterion Type")
        if self.rows == "devices":
            return ("Campaign", "Ad Group", "Device")
        return ("Campaign", "Ad Group", LEVELS[self.rows][1])

    def draft(self, given: Sequence[Row]) -> Draft:
        """Each entity with its new bid or adjustment."""
        return drafted(given, self._bid if self.rows == "keywords" else self._adjusted)

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """One CSV, UTF-8; devices side by side, one row a campaign or ad group."""
        if self.rows == "keywords":
            columns = [*self.key, "Max CPC"]
        elif self.rows == "devices":
            columns = ["Campaign", "Ad Group", *DEVICES.values()]
            rows = _side_by_side(rows)
        else:
            columns = [*self.key, "Bid Modifier"]
        content = csv_bytes(columns, rows, mode=self.mode)
        return {f"google-ads-{self.rows}.csv": content}

    def _bid(self, row: Row) -> Ready:
        match = text(row, self.columns, "match_type").capitalize()
        keyword = text(row, self.columns, "keyword")
        if match not in MATCH_TYPES:
            raise Unfit(f"match_type must be {', '.join(MATCH_TYPES)}")
        if len(keyword) > LONGEST_KEYWORD or len(keyword.split()) > MOST_WORDS:
            raise Unfit(
                f"a keyword has at most {LONGEST_KEYWORD} characters and {MOST_WORDS} words"
            )
        strategy = self._strategy(row)
        warnings = self._ignored(strategy) if strategy in IGNORES_BIDS else ()
        now = number(row, self.columns, "max_cpc")
        assert self.currency is not None
        bid = billable(now * factor(row, self.columns), self.currency)
        if bid <= 0:
            raise Unfit(f"the new bid is below the smallest, {unit_of(self.currency)}")
        return Ready(
            {
                "Campaign": text(row, self.columns, "campaign"),
                "Ad Group": text(row, self.columns, "ad_group"),
                "Keyword": keyword,
                "Criterion Type": match,
                "Max CPC": bid,
            },
            {"Max CPC": bid},
            {"Max CPC": now},
            warnings=warnings,
        )

    def _adjusted(self, row: Row) -> Ready:
        device = self.rows == "devices"
        change = percent(factor(row, self.columns))
        if not (LOW <= change <= HIGH or (device and change == OPT_OUT)):
            also = f", or {OPT_OUT}" if device else ""
            raise Unfit(f"an adjustment is {LOW} to {HIGH} percent{also}")
        strategy = self._strategy(row)
        warnings: tuple[str, ...] = ()
        if device and strategy == "target cpa" and change != OPT_OUT:
            warnings = ("with Target CPA a device adjustment moves the target, not the bid",)
        elif strategy in SMART and not (device and change == OPT_OUT):
            warnings = self._ignored(strategy)
        group = taken(row, self.columns, "ad_group")
        made = {
            "Campaign": text(row, self.columns, "campaign"),
            "Ad Group": None if group is None else str(group).strip(),
        }
        if device:
            named = text(row, self.columns, "device").lower()
            if named not in DEVICES:
                raise Unfit(f"device must be {', '.join(DEVICES)}")
            made |= {"Device": named}
        else:
            source, column = LEVELS[self.rows]
            made |= {column: text(row, self.columns, source)}
        current = taken(row, self.columns, "adjustment")
        before = {}
        if current is not None:
            before = {"factor": 1 + number(row, self.columns, "adjustment") / 100}
        return Ready(
            {**made, "Bid Modifier": change}, {"factor": 1 + change / 100}, before,
            warnings=warnings,
        )  # fmt: skip

    def _strategy(self, row: Row) -> str:
        strategy = text(row, self.columns, "bid_strategy").lower()
        if strategy not in MANUAL | IGNORES_BIDS:
            raise Unfit(f"bid_strategy is not known: {', '.join(sorted(MANUAL | IGNORES_BIDS))}")
        return strategy

    def _ignored(self, strategy: str) -> tuple[str, ...]:
        said = f"{strategy.capitalize()} ignores it"
        if self.on_smart_bidding == "refuse":
            raise Unfit(said)
        return (said,)


def _side_by_side(rows: Sequence[Row]) -> list[Row]:
    """Rows of single devices as rows of campaigns and ad groups, a column a device."""
    together: dict[tuple[object, object], dict[str, object]] = {}
    for row in rows:
        place = (row["Campaign"], row["Ad Group"])
        made = together.setdefault(place, {"Campaign": place[0], "Ad Group": place[1]})
        made[DEVICES[row["Device"]]] = row["Bid Modifier"]
    return list(together.values())
