"""The built-in sample: the generator's customers as the event log that a team would have kept.

The team mails a coupon to rested subscribers and, to learn, lets chance decide one decision in
five. Opens, clicks and their delays lie on top of the generator (MODELLING 6.2, 3.1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray

from envs.sequencing.generator import MENU, true_tables
from envs.sequencing.paths import Week, drawn_start, follow, stock_of
from envs.sequencing.tables import ResponseTables

CUSTOMERS = 20_000
RANDOMISED = 0.2
"""The share of decisions drawn evenly from what consent allows."""

START = np.datetime64("2024-01-01T00:00:00", "us")  # a Monday
DELIVERED = 0.98
OPEN = (-1.3, 0.15, -0.20)  # logit: constant, frequency, fatigue
CLICKED = 0.12  # of the opened

_COUPON = MENU.contacts.index(("email", "coupon")) + 1
_HOUR = 1 / (24 * 7)  # of a week


def logging_policy(tables: ResponseTables, randomised: float = RANDOMISED) -> NDArray[np.float64]:
    """Coupon when rested and subscribed, else nothing; evenly at random with `randomised`.

    Returns `[R, F, G, S, A]`, S the consent pattern (the letter always has consent).
    """
    recencies, frequencies, fatigues, channels, actions = tables.shape
    policy = np.zeros((recencies, frequencies, fatigues, 1 << channels, actions))
    for pattern in range(1 << channels):
        consents = np.array([(pattern >> c) & 1 for c in range(channels)], bool)
        mask = np.array([c < 0 or consents[c] for c in tables.channel])
        policy[..., pattern, :] = randomised * mask / mask.sum()
        rested = np.arange(fatigues) == 0
        coupon = rested & mask[_COUPON]
        policy[:, :, coupon, pattern, _COUPON] += 1 - randomised
        policy[:, :, ~coupon, pattern, 0] += 1 - randomised
    return policy


def response_delay(rng: Generator, n: int) -> NDArray[np.float64]:
    """Days from a contact to its response: 35 % within the hour, the rest Weibull up to 30 days.

    Shape .6, scale 14.5 days: half of all come within a day. Source: Chapelle 2014 in MODELLING 1.
    """
    shape, scale = 0.6, 14.5
    within = 1 - np.exp(-((30 / scale) ** shape))
    late = scale * (-np.log1p(-within * rng.random(n))) ** (1 / shape)
    return np.where(rng.random(n) < 0.35, rng.random(n) / 24, late)


class _Rows(NamedTuple):
    customer: NDArray[np.int64]
    at: NDArray[np.float64]  # weeks since START
    event: str
    columns: dict[str, NDArray[np.float64] | NDArray[np.object_]]


def generate_log(
    preset: str, weeks: int, rng: Generator, *, customers: int = CUSTOMERS
) -> pa.Table:
    """`weeks` weekly decisions for every customer, with sign-ups, last purchases and responses."""
    tables = true_tables(preset)
    return log_of(tables, logging_policy(tables), weeks, rng, customers=customers)


def log_of(
    tables: ResponseTables,
    policy: NDArray[np.float64],
    weeks: int,
    rng: Generator,
    *,
    customers: int,
) -> pa.Table:
    """The log of customers that follow `tables` under `policy [R, F, G, S, A]`."""
    members = np.zeros(customers, np.int64)
    start = drawn_start(tables, members, rng)
    path = follow(tables, members, start, policy, weeks, rng)
    rows = _history(start.recency, tables, rng)
    for number, week in enumerate(path):
        rows += _week_rows(number, week, tables, rng)
    return _table([_within(part, weeks) for part in rows])


def _history(recency: NDArray[np.int64], tables: ResponseTables, rng: Generator) -> list[_Rows]:
    """Sign-ups with consent, and the last purchase before the first decision."""
    n = len(recency)
    everybody = np.arange(n)
    # The last bin of recency is open: those customers bought longer ago.
    longer = np.where(recency == tables.shape[0] - 1, rng.integers(0, 26, n), 0)
    bought = -1.0 - recency - longer + rng.random(n)
    consent = {f"consent_{channel}": np.ones(n) for channel in MENU.channels}
    value = np.full(n, tables.margin[0, 0, 0])
    return [
        _Rows(everybody, bought - 1 - 52 * rng.random(n), "signup", {**consent}),
        _Rows(everybody, bought, "purchase", {"value": value}),
    ]


def _week_rows(number: int, week: Week, tables: ResponseTables, rng: Generator) -> list[_Rows]:
    """Everything that one week leaves in the log."""
    n = len(week.action)
    decided = number + (9 + rng.random(n)) * _HOUR
    labels = np.array(["", *(offer for _, offer in MENU.contacts)], object)
    channels = np.array(["", *(channel for channel, _ in MENU.contacts)], object)
    sent = week.action > 0
    scores = {
        "frequency_score": week.before.frequency.astype(float),
        "fatigue_email": week.before.fatigue[:, 0].astype(float),
        "propensity": week.propensity,
    }
    every = np.arange(n)
    rows = []
    for kind, of in (("none", ~sent), ("contact", sent)):
        columns: dict[str, NDArray] = {name: score[of] for name, score in scores.items()}
        if kind == "contact":
            columns |= {
                "channel": channels[week.action[of]],
                "offer": labels[week.action[of]],
                "cost": tables.contact_cost[week.action[of]],
            }
        rows.append(_Rows(every[of], decided[of], kind, columns))
    rows += _responses(week, decided, rng)
    bought = week.purchase
    # Within the week and after its decision.
    when = decided + rng.random(n) * (number + 1 - decided)
    offer_cost = tables.offer_cost[week.action[bought]]
    paid = np.where(offer_cost > 0, offer_cost, np.nan)
    value = tables.margin[0, week.before.recency[bought], week.before.frequency[bought]]
    rows.append(_Rows(every[bought], when[bought], "purchase", {"value": value, "cost": paid}))
    gone = week.unsubscribe
    left = decided + rng.random(n) * (number + 1 - decided)
    rows.append(
        _Rows(every[gone], left[gone], "unsubscribe", {"channel": channels[week.action[gone]]})
    )
    return rows


def _responses(week: Week, decided: NDArray[np.float64], rng: Generator) -> list[_Rows]:
    email = np.isin(week.action, [i for i, c in enumerate(MENU.contacts, 1) if c[0] == "email"])
    who = np.flatnonzero(email)
    delivered = who[rng.random(len(who)) < DELIVERED]
    constant, of_frequency, of_fatigue = OPEN
    fatigue = stock_of(week.before.fatigue[delivered], 5)
    logit = constant + of_frequency * week.before.frequency[delivered] + of_fatigue * fatigue
    opens = rng.random(len(delivered)) < 1 / (1 + np.exp(-logit))
    opened = delivered[opens]
    opened_at = decided[opened] + response_delay(rng, len(opened)) / 7
    clicks = rng.random(len(opened)) < CLICKED
    clicked, clicked_at = opened[clicks], opened_at[clicks] + _HOUR / 60

    def rows(who: NDArray[np.int64], at: NDArray[np.float64], event: str) -> _Rows:
        return _Rows(who, at, event, {"channel": np.full(len(who), "email", object)})

    return [
        rows(delivered, decided[delivered] + _HOUR / 60, "deliver"),
        rows(opened, opened_at, "open"),
        rows(clicked, clicked_at, "click"),
    ]


def _within(rows: _Rows, weeks: int) -> _Rows:
    kept = rows.at < weeks
    columns = {name: column[kept] for name, column in rows.columns.items()}
    return _Rows(rows.customer[kept], rows.at[kept], rows.event, columns)


def _table(parts: list[_Rows]) -> pa.Table:
    """All rows in order of time, in the canonical columns."""
    counts = [len(part.at) for part in parts]
    at = np.concatenate([part.at for part in parts])
    order = np.argsort(at, kind="stable")
    stamps = START + (at * 7 * 86_400e6).astype("timedelta64[us]")
    customer = np.concatenate([part.customer for part in parts])
    event = np.repeat(np.array([part.event for part in parts], object), counts)
    columns = {
        "timestamp": pa.array(stamps[order], pa.timestamp("us", "UTC")),
        "customer_id": pa.array([f"c{number:06d}" for number in customer[order]]),
        "event": pa.array(event[order]).dictionary_encode(),
    }
    for name in ("channel", "offer"):
        filled = np.concatenate([_column(part, name, None) for part in parts])[order]
        columns[name] = pa.array([value or None for value in filled], pa.string())
    for name in ("value", "cost", "propensity"):
        filled = np.concatenate([_column(part, name, np.nan) for part in parts])[order]
        columns[name] = pa.array(filled, mask=np.isnan(filled))
    for channel in MENU.channels:
        filled = np.concatenate([_column(part, f"consent_{channel}", np.nan) for part in parts])
        columns[f"consent_{channel}"] = pa.array(
            filled[order] == 1, pa.bool_(), mask=np.isnan(filled[order])
        )
    for name in ("frequency_score", "fatigue_email"):
        filled = np.concatenate([_column(part, name, np.nan) for part in parts])[order]
        columns[name] = pa.array(np.nan_to_num(filled), mask=np.isnan(filled)).cast(pa.int8())
    return pa.table(columns)


def _column(part: _Rows, name: str, empty: float | None) -> NDArray:
    absent = np.full(len(part.at), empty, object if empty is None else np.float64)
    return part.columns.get(name, absent)
