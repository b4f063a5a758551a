"""An events and a customers table become one log; both files count."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from envs.core.log import LogError, LogTable, read_log
from envs.sequencing.log import EVENTS

EVENT_LINES = (
    "timestamp,customer_id,event,channel,value,cost,propensity",
    "2024-05-06T09:00:00Z,ann,contact,email,,.01,.8",
    "2024-05-06T09:00:00Z,bob,none,,,,1",
    "2024-05-07T09:00:00Z,ann,purchase,,25,,",
)
CUSTOMER_LINES = (
    "customer_id,signed_up,consent_email,age",
    "ann,2024-01-01T00:00:00Z,1,30",
    "bob,2024-02-01T00:00:00Z,0,40",
)


def folder_of(tmp_path: Path, events: tuple[str, ...], customers: tuple[str, ...]) -> Path:
    folder = tmp_path / "log"
    folder.mkdir(exist_ok=True)
    (folder / "events.csv").write_text("\n".join(events))
    (folder / "customers.csv").write_text("\n".join(customers))
    return folder


def read(path: Path) -> LogTable:
    return read_log(path, EVENTS, cache=path.parent / "cache", reader="tables")


def test_customers_become_signups_with_consent_and_attributes(tmp_path: Path) -> None:
    table = read(folder_of(tmp_path, EVENT_LINES, CUSTOMER_LINES))
    assert table.rows == 5
    columns = table.arrays(["customer_id", "event", "consent_email", "age"])
    signups = columns["event"] == "signup"
    assert columns["customer_id"][signups].tolist() == ["ann", "bob"]
    assert columns["consent_email"][signups].tolist() == [True, False]
    assert columns["age"][signups].tolist() == ["30", "40"]


def test_parquet_and_the_events_file_itself_read_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, EVENT_LINES, CUSTOMER_LINES)
    from_csv = read(folder).arrays(["timestamp", "customer_id", "event", "value", "consent_email"])
    assert read(folder / "events.csv").rows == 5
    for name in ("events", "customers"):
        pq.write_table(pa_csv.read_csv(folder / f"{name}.csv"), folder / f"{name}.parquet")
        (folder / f"{name}.csv").unlink()
    from_parquet = read(folder).arrays(list(from_csv))
    for name, column in from_csv.items():
        assert str(column.tolist()) == str(from_parquet[name].tolist())


def test_the_hash_covers_both_files(tmp_path: Path) -> None:
    before = read(folder_of(tmp_path, EVENT_LINES, CUSTOMER_LINES)).sha256
    moved = (*CUSTOMER_LINES[:2], "bob,2024-02-02T00:00:00Z,0,40")
    after = read(folder_of(tmp_path, EVENT_LINES, moved)).sha256
    priced = (*EVENT_LINES[:3], EVENT_LINES[3].replace("25", "26"))
    assert len({before, after, read(folder_of(tmp_path, priced, moved)).sha256}) == 3


def test_tables_without_their_columns_are_refused_with_all_that_is_missing(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, ("time,customer_id", "1,a"), ("customer,channel", "a,email")
    )  # fmt: skip
    with pytest.raises(LogError) as caught:
        read(folder)
    assert len(caught.value.problems) == 2
    assert "no timestamp, event in events" in str(caught.value)
    assert "no customer_id, signed_up in customers" in str(caught.value)


def test_a_folder_without_the_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(LogError) as caught:
        read(tmp_path / "log")
    assert [str(p).split(".")[0] for p in caught.value.problems] == [
        "no file events in log",
        "no file customers in log",
    ]


def test_what_the_join_shows_is_refused_like_any_log(tmp_path: Path) -> None:
    early = (*EVENT_LINES, "2023-12-31T09:00:00Z,ann,purchase,,25,,")
    strange = (*early, "2024-05-08T09:00:00Z,cid,purchase,,25,,")
    silent = tuple(line.replace(",1,30", ",,30") for line in CUSTOMER_LINES)
    with pytest.raises(LogError) as caught:
        read(folder_of(tmp_path, strange, silent))
    text = str(caught.value)
    for part in ("before the customer's sign-up", "without a signup row", "consent missing"):
        assert part in text
