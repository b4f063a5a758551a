"""Joining the events and the customers table of a marketing system into one event log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from envs.core.log import LogProblem, RawLog
from envs.core.log_problems import Problems, listed
from envs.core.log_source import open_log

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_JOINED_BY = ("customer_id", "signed_up")


def open_tables(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """Every event, then one signup row per customer with consent and attributes.

    `path` is the folder that holds both tables, or its events file. The customers table has
    `customer_id`, `signed_up` (time), `consent_<channel>` (0 or 1) and attributes, which become
    context columns of the signup row.
    """
    folder = path if path.is_dir() else path.parent
    events_path = path if path.is_file() else found(folder, "events", problems)
    customers_path = found(folder, "customers", problems)
    if events_path is None or customers_path is None:
        problems.refuse()
        raise AssertionError("a missing table was just recorded")
    events, customers = open_log(events_path, problems), open_log(customers_path, problems)
    _check_names(events, customers, problems)
    attributes = [name for name in customers.names if name not in _JOINED_BY]
    names = tuple(dict.fromkeys((*events.names, *attributes)))

    def read(_wanted: Sequence[str], problems: Problems) -> Iterator[Any]:
        rows = 0
        for batch in events.read(events.names, problems):
            rows += batch.num_rows
            yield _completed({name: batch.column(name) for name in events.names}, names)
        in_customers = Problems(customers_path.name)
        for batch in customers.read(customers.names, in_customers):
            columns = {name: batch.column(name) for name in ("customer_id", *attributes)}
            columns["timestamp"] = batch.column("signed_up")
            columns["event"] = pa.repeat("signup", batch.num_rows)
            if "event_id" in events.names:
                columns["event_id"] = _signup_ids(columns["customer_id"])
            yield _completed(columns, names)
        in_customers.refuse()

    return RawLog(
        names,
        read,
        notes=(f"rows are those of {events_path.name}, then those of {customers_path.name}",),
        files=(events_path, customers_path),
    )


def found(folder: Path, stem: str, problems: Problems) -> Path | None:
    """The table `stem` of a folder; recorded as a problem where there is none or more than one."""
    there = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    there = [path for path in there if path.is_file()]
    if len(there) == 1:
        return there[0]
    problems.add(
        LogProblem(
            "",
            f"{len(there) or 'no'} file{'s' if there else ''} {stem} in {folder.name}",
            f"one of {listed([f'{stem}{suffix}' for suffix in SUFFIXES])}",
            "export both tables, events and customers, into one folder",
        )
    )
    return None


def _check_names(events: RawLog, customers: RawLog, problems: Problems) -> None:
    needed = {"events": (events, ("timestamp", "customer_id", "event")),
              "customers": (customers, _JOINED_BY)}  # fmt: skip
    for table, (raw, columns) in needed.items():
        absent = [name for name in columns if name not in raw.names]
        if absent:
            problems.add(
                LogProblem(
                    absent[0],
                    f"no {listed(absent)} in {table}; it has {listed(list(raw.names))}",
                    f"{listed(list(columns))} in {table}",
                    "rename the columns of the table",
                )
            )
    shared = sorted(set(events.names) & (set(customers.names) - {"customer_id"}))
    if shared:
        problems.add(
            LogProblem(
                shared[0],
                f"{listed(shared)} in both tables",
                "every column but customer_id in one table",
                "rename or remove the column in one of them",
            )
        )
    problems.refuse()


def _completed(columns: dict[str, Any], names: Sequence[str]) -> Any:
    """The columns in the order of `names`, those that are not there empty."""
    count = len(columns["customer_id"])
    filled = {
        name: columns[name] if name in columns else pa.nulls(count, pa.string()) for name in names
    }
    return pa.record_batch(filled)


def _signup_ids(customers: Any) -> Any:
    texts = customers.cast(pa.string(), safe=False)
    return pc.binary_join_element_wise("signup of", texts, " ")
