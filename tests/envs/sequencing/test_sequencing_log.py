"""What a customer event log may not say; every problem of a file is told at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from envs.core.log import LogError, LogTable, read_log
from envs.sequencing.log import EVENTS

Rows = list[dict[str, str]]
COLUMNS = (
    *("timestamp", "event_id", "customer_id", "event", "channel", "offer", "value", "cost"),
    *("propensity", "consent_email", "consent_sms"),
)


def row(number: int, time: str, customer: str, event: str, **cells: str) -> dict[str, str]:
    start = {"timestamp": f"2024-05-{time}:00Z", "event_id": f"e{number}"}
    return {**dict.fromkeys(COLUMNS, ""), **start, "customer_id": customer, "event": event, **cells}


def good_rows() -> Rows:
    """Ann agreed to e-mail, is mailed, opens, buys and leaves; Bob agreed to nothing."""
    email = {"channel": "email"}
    return [
        row(0, "01T08:00", "ann", "signup", consent_email="1", consent_sms="0"),
        row(1, "01T08:00", "bob", "signup", consent_email="0", consent_sms="0"),
        row(2, "06T09:00", "ann", "contact", **email, offer="coupon", cost=".01", propensity=".8"),
        row(3, "06T09:00", "bob", "none", propensity="1"),
        row(4, "06T09:01", "ann", "deliver", **email),
        row(5, "06T10:00", "ann", "open", **email),
        row(6, "06T10:01", "ann", "click", **email),
        row(7, "07T10:00", "ann", "purchase", value="25", cost="5"),
        row(8, "08T10:00", "ann", "unsubscribe", **email),
        row(9, "13T09:00", "ann", "none", propensity="1"),
    ]


def write(rows: Rows, path: Path) -> Path:
    names = list(rows[0])
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(rows: Rows, folder: Path) -> LogTable:
    return read_log(
        write(rows, folder / "events.csv"),
        EVENTS,
        cache=folder / "cache",
        now=datetime(2024, 6, 1, tzinfo=UTC),
    )


def test_a_good_log_is_read(tmp_path: Path) -> None:
    table = read(good_rows(), tmp_path)
    assert table.rows == 10
    assert table.arrays(["consent_email"])["consent_email"].sum() == 1


def test_only_the_needed_columns_must_be_there() -> None:
    needed = [column.name for column in EVENTS.columns if column.required]
    assert needed == ["timestamp", "customer_id", "event", "channel", "value"]


def edit(number: int, **cells: str) -> Callable[[Rows], None]:
    return lambda rows: rows[number].update(cells)


def drop(column: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for one in rows:
            del one[column]

    return change


def add(time: str, customer: str, event: str, **cells: str) -> Callable[[Rows], None]:
    return lambda rows: rows.append(row(99, time, customer, event, **cells))


REFUSED: dict[str, tuple[Callable[[Rows], None], str, str]] = {
    "no consent column": (drop("consent_email"), "channel", "consent missing: contacts by email"),
    "consent not stated": (edit(0, consent_email=""), "consent_email", "consent missing"),
    "contact without consent": (
        edit(0, consent_email="0"),
        "consent_email",
        "a contact by email without consent",
    ),
    "contact by a channel not agreed to": (
        edit(2, channel="sms"),
        "consent_sms",
        "a contact by sms without consent in 1 row (3)",
    ),
    "consent in words": (edit(0, consent_email="yes"), "consent_email", "other than 0 and 1"),
    "propensity 0": (edit(2, propensity="0"), "propensity", "a propensity of 0"),
    "propensity above 1": (edit(2, propensity="1.2"), "propensity", "a number above 1"),
    "negative propensity": (edit(2, propensity="-.1"), "propensity", "a negative number"),
    "unknown channel": (edit(2, channel="e-mail"), "channel", "an unknown channel"),
    "no channel": (edit(2, channel=""), "channel", "without its channel in 1 row (3)"),
    "unknown event": (edit(5, event="opened"), "event", "an unknown event"),
    "negative cost": (edit(2, cost="-1"), "cost", "a negative number, such as '-1'"),
    "negative value": (edit(7, value="-25"), "value", "a negative number"),
    "a purchase without value": (edit(7, value=""), "value", "a purchase without its value"),
    "event before sign-up": (
        edit(2, timestamp="2024-04-30T23:59:00Z"),
        "timestamp",
        "events before the customer's sign-up in 1 row (3)",
    ),
    "a customer who never signed up": (
        edit(3, customer_id="eve"),
        "customer_id",
        "events of customers without a signup row in 1 row (4)",
    ),
    "two sign-ups": (
        add("02T09:00", "ann", "signup", consent_email="1"),
        "customer_id",
        "more than one signup of a customer in 2 rows",
    ),
    "contact after unsubscribe": (
        add("20T09:00", "ann", "contact", channel="email"),
        "timestamp",
        "a contact after the customer unsubscribed",
    ),
    "a response to nothing": (
        add("20T09:00", "bob", "open", channel="email"),
        "customer_id",
        "a response of a customer who was never contacted",
    ),
    "an id with two contents": (edit(3, event_id="e2"), "event_id", "the same id"),
    "a day in the future": (edit(9, timestamp="2024-06-03T00:00:00Z"), "timestamp", "future"),
    "no customer": (edit(3, customer_id=""), "customer_id", "no value in 1 row (4)"),
    "a missing column": (drop("event"), "event", "no column 'event'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_contradiction_is_refused_with_its_place_and_what_to_do(
    name: str, tmp_path: Path
) -> None:
    change, column, message = REFUSED[name]
    rows = good_rows()
    change(rows)
    with pytest.raises(LogError) as caught:
        read(rows, tmp_path)
    found = [str(problem) for problem in caught.value.problems if problem.column == column]
    assert any(message in text for text in found), str(caught.value)
    assert all("To do: " in str(problem) for problem in caught.value.problems)
    assert not (tmp_path / "cache").exists()


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    rows = good_rows()
    for change in (
        edit(2, propensity="2"),
        edit(4, channel="pigeon"),
        edit(7, cost="-5"),
        edit(3, timestamp="2024-04-01T00:00:00Z"),
        edit(9, propensity="0"),
    ):
        change(rows)
    with pytest.raises(LogError) as caught:
        read(rows, tmp_path)
    text = str(caught.value)
    for part in ("above 1", "unknown channel", "negative number", "sign-up", "propensity of 0"):
        assert part in text
    assert len(caught.value.problems) == 5


def test_unsubscribing_from_everything_ends_every_channel(tmp_path: Path) -> None:
    rows = good_rows()
    rows[8]["channel"] = ""
    add("20T09:00", "ann", "contact", channel="email")(rows)
    with pytest.raises(LogError, match="after the customer unsubscribed"):
        read(rows, tmp_path)
