"""Which days of a log may be believed: what they taught, judged, or could not yet show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Literal, NamedTuple

Part = Literal["taught", "judged"]


class Day(NamedTuple):
    """One UTC day of a log; `mature` where its outcomes have had their time to come."""

    day: date
    rows: int
    part: Part
    mature: bool


def days_of(
    day_rows: Iterable[tuple[date, int]], judged_from: date, attribution_days: int
) -> tuple[Day, ...]:
    """The days of a log: d is mature where d + attribution_days <= the log's last day.

    An immature day has fewer outcomes than it will have: read as it is, whatever was done last
    looks as if it did not work. Before `judged_from` a day taught, from then on it judges.
    """
    given = sorted(day_rows)
    last = given[-1][0] if given else date.min
    window = timedelta(days=attribution_days)
    return tuple(
        Day(day, rows, "judged" if day >= judged_from else "taught", last - day >= window)
        for day, rows in given
    )


def sentence(days: Iterable[Day], attribution_days: int) -> str:
    """What the attribution window does to this log, in a sentence."""
    if attribution_days == 0:
        return "Outcomes come at once: every day is complete."
    young = [day.day for day in days if not day.mature]
    window = f"Outcomes may come up to {attribution_days} days after a decision"
    if not young:
        return f"{window}; every day of this log has had that time."
    return (
        f"{window}: the last {len(young)} days, from {young[0]} on, are not complete. No response "
        "was fitted to them."
    )
