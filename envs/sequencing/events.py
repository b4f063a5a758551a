"""The events of a log in weeks from its first decision, and the menu of its contacts."""

from __future__ import annotations

import zlib
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable
from envs.sequencing.log import CHANNELS
from envs.sequencing.panel import OTHER
from envs.sequencing.tables import Menu

MOST_ROWS = 4_000_000
"""A log of more customer-weeks is thinned to about so many, by a hash of the customer."""

LEAST_CONTACTS = 100
"""An action taken less often is left out: its effect would be known to worse than its size."""

_WEEK = np.timedelta64(7, "D") / np.timedelta64(1, "us")
_BETWEEN = "\t"


class Events(NamedTuple):
    """The rows of a log, `n` in order of time, of `customers` numbered from 0."""

    customer: NDArray[np.int64]  # [n]
    at: NDArray[np.float64]  # [n] weeks since the first decision's day
    event: NDArray[Any]  # [n]
    channel: NDArray[Any]  # [n] "" where none
    offer: NDArray[Any]  # [n] "" where none
    numbers: dict[str, NDArray[np.float64]]  # column -> [n], NaN where empty
    consent: dict[str, NDArray[np.bool_]]  # channel -> [n], of signup rows
    customers: int
    first_day: date

    def of(self, *kinds: str) -> NDArray[np.int64]:
        """The rows of these kinds of event."""
        return np.flatnonzero(np.isin(self.event, kinds))


def read_events(log: LogTable, notes: list[str]) -> Events:
    """The events of a log, thinned by customer where there are very many; `notes` are added to.

    Raises:
        CalibrationError: the log has no contacts.
    """
    keep_one_in = thinning(log)
    consents = [name for name in log.names if name.startswith("consent_")]
    scores = [n for n in log.names if n == "frequency_score" or n.startswith("fatigue_")]
    numbers = [n for n in ("value", "cost", "propensity", *scores) if n in log.names]
    texts = ["event", "channel", *(["offer"] if "offer" in log.names else [])]
    names = ["timestamp", "customer_id", *texts, *numbers, *consents]
    parts: list[dict[str, NDArray[Any]]] = []
    for batch in log.batches(names):
        if keep_one_in > 1:
            ids = batch["customer_id"]
            kept = np.array([zlib.crc32(i.encode()) % keep_one_in == 0 for i in ids], bool)
            batch = {name: column[kept] for name, column in batch.items()}
        parts.append(batch)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    if keep_one_in > 1:
        notes.append(f"one customer in {keep_one_in} was kept, drawn by a hash of the id")
    decided = np.isin(columns["event"], ("contact", "none"))
    if not (columns["event"] == "contact").any():
        raise CalibrationError(
            "the log has no contacts: what contacts do cannot be learned from it. Add the contacts "
            "that were sent (rows with event contact)"
        )
    origin = columns["timestamp"][decided].min().astype("datetime64[D]")
    codes = pa.array(columns["customer_id"]).dictionary_encode()
    return Events(
        customer=codes.indices.to_numpy().astype(np.int64),
        at=(columns["timestamp"] - origin).astype(np.float64) / _WEEK,
        event=columns["event"],
        channel=columns["channel"],
        offer=columns.get("offer", np.full(len(decided), "", object)),
        numbers={name: columns[name] for name in numbers},
        consent={name.removeprefix("consent_"): columns[name] for name in consents},
        customers=len(codes.dictionary),
        first_day=origin.astype(date),
    )


def thinning(log: LogTable) -> int:
    """One customer in how many is kept, so that memory stays bounded."""
    signups, first, last = 0, None, None
    for batch in log.batches(["event", "timestamp"]):
        signups += int((batch["event"] == "signup").sum())
        decided = batch["timestamp"][np.isin(batch["event"], ("contact", "none"))]
        if len(decided):
            first = decided[0] if first is None else first
            last = decided[-1]
    weeks = 1 if first is None else (last - first).astype(np.float64) / _WEEK + 1
    return max(1, int(np.ceil(signups * weeks / MOST_ROWS)))


class FittedPart(NamedTuple):
    """Whom and when everything is estimated from; the rest of the log only has it applied."""

    customers: NDArray[np.bool_]  # [N]
    before: int  # week

    def holds(self, customer: NDArray[np.int64], at: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether a customer's week is in it, `[n]`."""
        return np.asarray(self.customers[customer] & (at < self.before))


def menu_of(events: Events, part: FittedPart, notes: list[str]) -> tuple[Menu, NDArray[np.int64]]:
    """The menu, and the action of every event (0 unless a contact, `OTHER` off the menu).

    On the menu is what the part was sent often enough for its effect to be learned.
    """
    contacts = events.of("contact")
    learned = part.holds(events.customer[contacts], events.at[contacts])
    pairs = np.char.add(
        np.char.add(events.channel[contacts].astype(str), _BETWEEN),
        events.offer[contacts].astype(str),
    )
    levels, index = np.unique(pairs, return_inverse=True)
    counts = np.bincount(index[learned], minlength=len(levels))
    named = [tuple(level.split(_BETWEEN, 1)) for level in levels]
    order = sorted(range(len(named)), key=lambda i: (CHANNELS.index(named[i][0]), named[i][1]))
    chosen = [i for i in order if counts[i] >= LEAST_CONTACTS]
    rare = [i for i in order if counts[i] < LEAST_CONTACTS]
    if not chosen:
        raise CalibrationError(
            f"no channel and offer was used {LEAST_CONTACTS} times (most: {counts.max()}) in the "
            "part that is learned from: too few contacts to learn what they do. Use a longer log"
        )
    if rare:
        names = ", ".join("+".join(filter(None, named[i])) for i in rare)
        notes.append(
            f"fewer than {LEAST_CONTACTS} contacts in the part learned from, left out: {names}"
        )
    channels = tuple(dict.fromkeys(named[i][0] for i in chosen))
    number = np.full(len(named), OTHER)
    number[chosen] = np.arange(1, len(chosen) + 1)
    action = np.zeros(len(events.event), np.int64)
    action[contacts] = number[index]
    return Menu(channels, tuple((named[i][0], named[i][1]) for i in chosen)), action


class Grid:
    """Customers x weeks: where a customer is active, and how to fill it with events."""

    def __init__(self, events: Events) -> None:
        decided = events.of("contact", "none")
        # The last week counts when at least six of its days were seen.
        self.weeks = int(np.floor(events.at.max() + 1 / 7))
        self.weeks = min(self.weeks, int(events.at[decided].max()) + 53)
        self.customers = events.customers
        self.signup = np.full(events.customers, np.inf)
        signups = events.of("signup")
        self.signup[events.customer[signups]] = events.at[signups]
        week = np.arange(self.weeks)
        self.active = week[None, :] >= np.ceil(self.signup)[:, None]

    def sums(self, customer: Any, at: Any, amount: Any) -> NDArray[np.float64]:
        """The total of an amount by customer and week."""
        week = np.floor(at).astype(np.int64)
        inside = (week >= 0) & (week < self.weeks)
        flat = customer[inside] * self.weeks + week[inside]
        size = self.customers * self.weeks
        total = np.bincount(flat, np.broadcast_to(amount, at.shape)[inside], minlength=size)
        return np.asarray(total, np.float64).reshape(self.customers, self.weeks)

    def last(self, customer: Any, at: Any, value: Any, empty: float) -> NDArray[np.float64]:
        """The last value by customer and week (events are in order of time)."""
        filled = np.full((self.customers, self.weeks), empty)
        week = np.floor(at).astype(np.int64)
        inside = (week >= 0) & (week < self.weeks)
        filled[customer[inside], week[inside]] = np.asarray(value)[inside]
        return filled
