"""Public research data as customer event logs; what each cannot show is said in its notes.

Sources: The Complete Journey 2.0 (84.51), the detailing panel of Manchanda, Rossi and Chintagunta
(JMR 2004) as packaged in bayesm, CDNOW (Fader and Hardie), the Starbucks capstone (simulated).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from envs.core.log import LogProblem, RawLog
from envs.core.log_problems import Problems, listed
from envs.core.log_source import open_log, text_lines

PERIOD_START = "2000-01-03"
"""A Monday: where the months of a panel without dates are laid out, one a week."""

CDNOW_SHIFT_WEEKS = 313

_CONSENT = "consent is not in the data: {} is taken as allowed for everybody who was contacted"
_NO_PROPENSITY = "no propensities, and targeting was not randomised"

_ORDER = ["signup", "contact", "open", "click", "purchase"]  # of events at the same time


def open_complete_journey(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """Mailings at their campaign's start, redemptions as clicks, baskets as purchases."""
    files = _files(
        path,
        ("campaigns", "campaign_descriptions", "coupon_redemptions", "transactions_sample"),
        problems,
    )
    sql = """
    WITH mailings AS (
      SELECT household_id, campaign_id, start_date, campaign_type
      FROM campaigns JOIN campaign_descriptions USING (campaign_id)
      WHERE start_date >= (SELECT min(transaction_timestamp)[:10] FROM transactions_sample)),
    events AS (
      SELECT start_date || 'T00:00:00' AS timestamp, household_id AS customer_id,
             'contact' AS event, 'letter' AS channel, campaign_type AS offer,
             NULL::DOUBLE AS value, NULL::DOUBLE AS cost
      FROM mailings
      UNION ALL
      SELECT DISTINCT redemption_date || 'T23:00:00', household_id, 'click', 'letter',
             campaign_type, NULL::DOUBLE, NULL::DOUBLE
      FROM coupon_redemptions JOIN mailings USING (household_id, campaign_id)
      WHERE redemption_date >= start_date
      UNION ALL
      SELECT replace(min(transaction_timestamp), ' ', 'T'), household_id, 'purchase', NULL, NULL,
             sum(sales_value::DOUBLE), sum(coupon_disc::DOUBLE + coupon_match_disc::DOUBLE)
      FROM transactions_sample GROUP BY household_id, basket_id)
    SELECT *, NULL::BOOLEAN AS consent_letter FROM events
    UNION ALL
    SELECT min(timestamp), customer_id, 'signup', NULL, NULL, NULL, NULL, true
    FROM events GROUP BY customer_id
    """
    notes = (
        _NO_PROPENSITY,
        _CONSENT.format("letter"),
        "a mailing is dated by its campaign's start: the day it arrived is not in the data",
        "mailings that began before the first receipt are left out, with their redemptions",
        "a redeemed coupon is logged as a click; value is the sales value, not a margin",
        "baskets come from a 5 % sample of receipt lines: spending is about a twentieth of the "
        "truth and many weeks with a purchase show none",
    )
    return _opened(files, sql, notes, problems)


def open_detailing(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """Sales calls as contacts and prescriptions as purchases; a month is laid out as a week."""
    folder = path if path.is_dir() else path.parent
    stem = "detailing_counts" if path.is_dir() else path.name.split(".")[0]
    files = _files(folder, (stem,), problems)
    sql = f"""
    WITH months AS (
      SELECT id, row_number() OVER (PARTITION BY id ORDER BY __row) - 1 AS month,
             scripts::INTEGER AS scripts, detailing::INTEGER AS calls
      FROM "{stem}"),
    events AS (
      SELECT TIMESTAMP '{PERIOD_START}' + INTERVAL (7 * month) DAY + INTERVAL (9 + i / 60) HOUR
               AS t, id, 'contact' AS event, 'call' AS channel, NULL::DOUBLE AS value
      FROM months, LATERAL (SELECT unnest(range(calls)) AS i)
      UNION ALL
      SELECT TIMESTAMP '{PERIOD_START}' + INTERVAL (7 * month + 3) DAY + INTERVAL (i) MINUTE,
             id, 'purchase', NULL, 1.0
      FROM months, LATERAL (SELECT unnest(range(scripts)) AS i)
      UNION ALL
      SELECT TIMESTAMP '{PERIOD_START}', id, 'signup', NULL, NULL FROM months WHERE month = 0)
    SELECT strftime(t, '%Y-%m-%dT%H:%M:%S') AS timestamp, id AS customer_id, event, channel, value,
           CASE WHEN event = 'signup' THEN true END AS consent_call
    FROM events
    """
    notes = (
        _NO_PROPENSITY,
        _CONSENT.format("call"),
        "the panel has months without dates: month k is laid out as week k, so a week is a month",
        "value 1 a prescription: what it earns is not in the data",
    )
    return _opened(files, sql, notes, problems)


def open_cdnow(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """Purchases by day; a customer signs up with the first one. There are no contacts."""
    rows = [line.split() for line in list(text_lines(path, problems))[1:] if line.strip()]
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != 4]
    if wrong:
        problems.refuse_file(
            f"{len(wrong)} rows (first: {wrong[0]}) without four values",
            "customer_id, date as YYYYMMDD, number_of_cds, dollar_value, separated by spaces",
            "choose another reader",
        )
    customer, day, _, value = (np.array(cells).astype(str) for cells in zip(*rows, strict=True))
    purchases = pa.table({"customer_id": customer, "day": day, "value": value})
    sql = f"""
    WITH bought AS (
      SELECT customer_id, strftime(strptime(day, '%Y%m%d') + INTERVAL (7 * {CDNOW_SHIFT_WEEKS}) DAY,
               '%Y-%m-%d') AS timestamp,
             sum(value::DOUBLE) AS value
      FROM purchases GROUP BY ALL)
    SELECT timestamp, customer_id, 'purchase' AS event, NULL::VARCHAR AS channel, value FROM bought
    UNION ALL
    SELECT min(timestamp), customer_id, 'signup', NULL, NULL FROM bought GROUP BY customer_id
    """
    notes = (
        "no contacts: purchase rhythm and value only; several purchases of a day count as one",
        f"dates are {CDNOW_SHIFT_WEEKS} weeks later than in the file, since times before 2000 are "
        "refused as mistaken units: weekdays and distances are kept",
        "value is the sales value, not a margin",
    )
    return _queried({"purchases": purchases}, sql, notes, (path,), problems)


def open_starbucks(path: Path, _options: Mapping[str, int], problems: Problems) -> RawLog:
    """Offers as e-mail contacts, views as opens, transactions as purchases less their rewards."""
    names = ("transcript", "profile", "portfolio")
    files = _files(path, names, problems, suffixes=(".json.gz", ".json"))
    people = _json_rows(files["profile"], problems)
    offers = {row["id"]: row for row in _json_rows(files["portfolio"], problems)}
    events = _json_rows(files["transcript"], problems)
    try:
        flat = pa.table(
            {
                "person": [row["person"] for row in events],
                "event": [row["event"] for row in events],
                "offer": [_offer_name(offers, row["value"]) for row in events],
                "amount": [row["value"].get("amount") for row in events],
                "reward": [row["value"].get("reward") for row in events],
                "hour": [int(row["time"]) for row in events],
            }
        )
        joined = pa.table(
            {
                "person": [row["id"] for row in people],
                "joined": [str(row["became_member_on"]) for row in people],
            }
        )
    except (KeyError, TypeError, pa.ArrowException) as error:
        problems.refuse_file(
            f"rows without the fields of this format ({error!r})",
            "person, event, value and time; id and became_member_on; id of offers",
            "choose another reader",
        )
    sql = """
    WITH rewards AS (
      SELECT person, hour, sum(reward) AS reward FROM events WHERE event = 'offer completed'
      GROUP BY ALL)
    SELECT strftime(TIMESTAMP '2018-08-01' + INTERVAL (hour) HOUR, '%Y-%m-%dT%H:%M:%S')
             AS timestamp, e.person AS customer_id,
           CASE e.event WHEN 'offer received' THEN 'contact' WHEN 'offer viewed' THEN 'open'
             ELSE 'purchase' END AS event,
           CASE WHEN e.event <> 'transaction' THEN 'email' END AS channel, offer,
           amount AS value, CASE WHEN e.event = 'transaction' THEN r.reward END AS cost,
           NULL::BOOLEAN AS consent_email
    FROM events e LEFT JOIN rewards r USING (person, hour) WHERE e.event <> 'offer completed'
    UNION ALL
    SELECT strftime(strptime(joined, '%Y%m%d'), '%Y-%m-%dT00:00:00'), person, 'signup', NULL, NULL,
           NULL, NULL, true
    FROM people
    """
    notes = (
        "simulated by its own statement: good for plumbing, says nothing of real customers",
        "no propensities",
        _CONSENT.format("email"),
        "times are hours from an unnamed start, laid out from 2018-08-01; value is the sales value",
    )
    tables = {"events": flat, "people": joined}
    return _queried(tables, sql, notes, tuple(files.values()), problems)


def _offer_name(offers: Mapping[str, Any], value: Mapping[str, Any]) -> str | None:
    identity = value.get("offer id") or value.get("offer_id")
    if identity is None:
        return None
    offer = offers[identity]
    return f"{offer['offer_type']} {offer['difficulty']}-{offer['reward']}"


def _json_rows(path: Path, problems: Problems) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text_lines(path, problems), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            problems.refuse_file(
                f"line {number} of {path.name} is not JSON ({error})",
                "one JSON object a line",
                "copy or export the file again",
            )
    return rows


def _files(
    folder: Path,
    stems: Sequence[str],
    problems: Problems,
    *,
    suffixes: Sequence[str] = (".csv", ".csv.gz", ".parquet"),
) -> dict[str, Path]:
    """The named files of a folder.

    Raises:
        LogError: one is missing; every one is named.
    """
    folder = folder if folder.is_dir() else folder.parent
    chosen = {}
    for stem in stems:
        there = [folder / f"{stem}{suffix}" for suffix in suffixes]
        path = next((path for path in there if path.is_file()), None)
        if path is None:
            problems.add(
                LogProblem(
                    "",
                    f"no file {stem} in {folder.name}",
                    listed([path.name for path in there]),
                    "name the folder that holds the data as it was published",
                )
            )
        else:
            chosen[stem] = path
    problems.refuse()
    return chosen


def _opened(
    files: Mapping[str, Path], sql: str, notes: tuple[str, ...], problems: Problems
) -> RawLog:
    tables = {stem: _text_table(path, problems) for stem, path in files.items()}
    return _queried(tables, sql, notes, tuple(files.values()), problems)


def _text_table(path: Path, problems: Problems) -> Any:
    """A delimited file whole, every cell as text, with its row number `__row`."""
    raw = open_log(path, problems)
    batches = list(raw.read(raw.names, problems))
    problems.refuse()
    table = pa.Table.from_batches(batches)
    columns = {name: table.column(name).cast(pa.string()) for name in table.column_names}
    return pa.table({**columns, "__row": np.arange(table.num_rows)})


def _queried(
    tables: Mapping[str, Any],
    sql: str,
    notes: tuple[str, ...],
    files: tuple[Path, ...],
    problems: Problems,
) -> RawLog:
    """The rows of a query over the published tables, in one order whatever the threads did.

    By time; at the same time what comes first in `_ORDER`, then by customer and content.
    """
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        try:
            found = connection.sql(sql)
            rest = ", ".join(name for name in found.columns if name not in ("timestamp", "event"))
            order = f"timestamp, list_position({_ORDER}, event), {rest}"
            rows = found.order(order).to_arrow_table()
        except duckdb.Error as error:
            problems.refuse_file(
                f"tables that do not hold what this format holds ({str(error).splitlines()[0]})",
                "the files as they were published",
                "choose another reader",
            )

    def read(wanted: Sequence[str], _problems: Problems) -> Iterator[Any]:
        yield from rows.select(list(wanted)).to_batches(131_072)

    return RawLog(tuple(rows.column_names), read, notes, files)
