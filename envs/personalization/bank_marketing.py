"""Reader of the UCI Bank Marketing files (Moro, Cortez and Rita, Decision Support Systems 2014).

The choice is how and when to call: contact channel x weekday. Both files lie in the order of time
but name no year, so dates are counted forward: a month earlier in the calendar than the last one
opens a new year. `bank-full` has the day of the month; `bank-additional` has weekdays only, and
each new weekday there is the next day of that name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from envs.core.log import LogProblem, RawLog
from envs.core.log_problems import Problems, listed
from envs.core.log_source import text_lines

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DROPPED = {"duration", "contact", "day_of_week", "day", "y", "month"}
_NOTES = (
    "duration is left out: it is known only after the call",
    "dates are counted forward in file order: the file names no year",
    "the contact channel and the weekday are the action; who was called how was not randomised",
)


def open_bank(path: Path, options: Mapping[str, int], problems: Problems) -> RawLog:
    """`bank-additional-full` or `bank-full`, semicolon separated."""
    rows = list(
        csv.reader(
            (line.decode("utf-8", "replace") for line in text_lines(path, problems)), delimiter=";"
        )
    )
    header = rows.pop(0)
    dated = {"day_of_week", "day"} & set(header)
    absent = [name for name in ("contact", "month", "y") if name not in header]
    if absent or not dated:
        problems.refuse_file(
            f"no columns {listed(absent or ['day_of_week or day'])}; the file has {listed(header)}",
            "the columns of bank-additional-full.csv or bank-full.csv",
            "choose another reader",
        )
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            problems.add_ragged(number, len(header), len(row))
    problems.refuse()
    cell = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    _check(cell, problems)
    days = _dates(cell, options["first_year"])
    kept = [i for i, contact in enumerate(cell["contact"]) if contact != "unknown"]
    context = [name for name in header if name not in _DROPPED]
    columns = {
        "timestamp": [days[i].isoformat() for i in kept],
        "unit_id": [str(i + 1) for i in kept],
        "action_id": [f"{cell['contact'][i]} {WEEKDAYS[days[i].weekday()]}" for i in kept],
        "reward": ["1" if cell["y"][i] == "yes" else "0" for i in kept],
        **{name: [cell[name][i] for i in kept] for name in context},
    }
    batch = pa.record_batch({name: pa.array(values) for name, values in columns.items()})

    def read(wanted: Sequence[str], _found: Problems) -> Iterator[Any]:
        yield batch.select(list(wanted))

    unknown = len(rows) - len(kept)
    left_out = f"{unknown:,} calls of unknown channel are left out: they name no choice"
    return RawLog(tuple(columns), read, (*_NOTES, *([left_out] if unknown else [])))


def _check(cell: Mapping[str, list[str]], problems: Problems) -> None:
    """Record every value that is none of a column's known ones."""
    allowed = {"month": MONTHS, "day_of_week": WEEKDAYS, "y": ("yes", "no")}
    for name, known in allowed.items():
        wrong = [i + 1 for i, value in enumerate(cell.get(name, ())) if value not in known]
        if wrong:
            found = f"a value such as {cell[name][wrong[0] - 1]!r}"
            problems.add(
                LogProblem(
                    name, found, listed(known), "copy the file again", len(wrong), tuple(wrong[:3])
                )
            )
    days = cell.get("day", ())
    wrong = [i + 1 for i, day in enumerate(days) if not (day.isdigit() and 1 <= int(day) <= 31)]
    if wrong:
        problems.add(
            LogProblem(
                "day", "a value that is no day", "1 to 31", "copy the file again",
                len(wrong), tuple(wrong[:3]),
            )
        )  # fmt: skip
    problems.refuse()


def _dates(cell: Mapping[str, list[str]], first_year: int) -> list[date]:
    """The day of every row."""
    dates: list[date] = []
    year, last_month, current = first_year, 0, date(first_year, 1, 1)
    named = cell.get("day_of_week")
    for i, name in enumerate(cell["month"]):
        month = MONTHS.index(name) + 1
        year += month < last_month
        if named is None:
            current = _day_of(year, month, int(cell["day"][i]))
        else:
            if month != last_month:
                current = date(year, month, 1)
            ahead = (WEEKDAYS.index(named[i]) - current.weekday()) % 7
            current += timedelta(days=ahead)
        last_month = month
        dates.append(current)
    return dates


def _day_of(year: int, month: int, day: int) -> date:
    # The 30th of February of a damaged file must not stop the reading.
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month, min(day, last))
