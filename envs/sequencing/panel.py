"""From an event log to customer-weeks: the state before each decision, the decision, what followed.

Weeks are counted from the day of the log's first decision. A week's purchases are counted whole.
"""

from __future__ import annotations

import zlib
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable
from envs.sequencing.log import CHANNELS
from envs.sequencing.paths import Customers
from envs.sequencing.stocks import decayed_bins, frequency_bins
from envs.sequencing.tables import Menu

RECENCIES, FREQUENCIES, FATIGUES = 13, 4, 5
MATURE_WEEKS = 30 / 7
"""Responses to a contact are counted once they had 30 days to come (MODELLING 3.1)."""

MOST_ROWS = 4_000_000
"""A log of more customer-weeks is thinned to about so many, by a hash of the customer."""

_LEAST_LOGGED = 0.95
"""Propensities count as logged when so many decisions have one; the others are then left out."""

LONGEST_HISTORY_WEEKS = 104.0  # what lies further back has a sixteenth of its weight

LEAST_CONTACTS = 100
"""An action taken less often is left out: its effect would be known to worse than its size."""

_WEEK = np.timedelta64(7, "D") / np.timedelta64(1, "us")
_BETWEEN = "\t"
OTHER = -1
"""The action of a customer-week whose contact is not on the menu; no head is fitted to it."""


class Panel(NamedTuple):
    """Customer-weeks, sorted by customer and week; `n` rows, `C` channels of the menu."""

    customer: NDArray[np.int64]  # [n]
    week: NDArray[np.int64]  # [n]
    recency: NDArray[np.int64]  # [n] whole weeks since the week of the last purchase
    frequency: NDArray[np.int64]  # [n] bin
    fatigue: NDArray[np.int64]  # [n, C]
    consent: NDArray[np.bool_]  # [n, C]
    action: NDArray[np.int64]  # [n] of the menu, 0 for none
    propensity: NDArray[np.float64]  # [n] logged chance of the action; NaN where not logged
    purchase: NDArray[np.bool_]  # [n]
    value: NDArray[np.float64]  # [n] margin of the week's purchases, offers not deducted
    offer_paid: NDArray[np.float64]  # [n] cost of offers redeemed
    unsubscribe: NDArray[np.bool_]  # [n] left the channel of the action
    delivered: NDArray[np.bool_]  # [n]
    opened: NDArray[np.bool_]  # [n]
    clicked: NDArray[np.bool_]  # [n]
    mature: NDArray[np.bool_]  # [n] whether responses had their 30 days

    @property
    def rows(self) -> int:
        """n."""
        return len(self.week)

    @property
    def weeks(self) -> int:
        """One more than the last week."""
        return int(self.week.max()) + 1

    @property
    def stock(self) -> NDArray[np.int64]:
        """Fatigue summed over channels, clipped, `[n]`."""
        return np.asarray(np.minimum(self.fatigue.sum(axis=1), FATIGUES - 1))

    @property
    def pattern(self) -> NDArray[np.int64]:
        """The consent pattern, sum_c consent_c 2^c, `[n]`."""
        return np.asarray(self.consent @ (1 << np.arange(self.consent.shape[1])), np.int64)

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Panel:
        """The rows that are kept."""
        columns: list[Any] = [column[kept] for column in self]
        return Panel(*columns)


def states(panel: Panel) -> Customers:
    """The state before every row's decision."""
    return Customers(panel.recency, panel.frequency, panel.fatigue, panel.consent)


class Gathered(NamedTuple):
    """A log as a panel, with what else the tables need."""

    panel: Panel
    menu: Menu
    first_day: date
    contact_cost: NDArray[np.float64]  # [A]
    frequency_edges: NDArray[np.float64]  # where the decayed count is cut; empty: logged scores
    decay: float  # of fatigue a week; NaN where it was logged
    purchases: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
    """Customer, week (fractional) of every purchase, and every customer's sign-up week."""
    notes: tuple[str, ...]

    def day_of(self, week: int) -> date:
        """The first day of a week."""
        return self.first_day + timedelta(days=7 * week)


class _Events(NamedTuple):
    customer: NDArray[np.int64]
    at: NDArray[np.float64]  # weeks since the first decision's day
    event: NDArray[Any]
    channel: NDArray[Any]
    offer: NDArray[Any]
    numbers: dict[str, NDArray[np.float64]]
    consent: dict[str, NDArray[np.bool_]]
    customers: int
    first_day: date

    def of(self, *kinds: str) -> NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.event, kinds))


def gather(log: LogTable, *, decay: float = 0.7) -> Gathered:
    """The panel of a log; `decay` of fatigue a week serves where the log keeps no fatigue.

    Raises:
        CalibrationError: the log has no decisions to learn from.
    """
    notes: list[str] = []
    events = _events(log, notes)
    menu, action_of = _menu(events, notes)
    grid = _Grid(events, menu)
    if grid.weeks < 4:
        raise CalibrationError(
            f"the log has {grid.weeks} whole weeks from its first decision: at least 4 are needed. "
            "Use a longer log"
        )
    action, propensity, cost = _decisions(events, menu, action_of, grid, notes)
    purchase, value, offer_paid = _purchases(events, grid)
    unsubscribed, consent = _consent(events, menu, grid)
    responses = _responses(events, menu, grid, action)
    recency = _recency(events, grid)
    frequency, edges = _frequency(events, grid, notes)
    fatigue, logged = _fatigue(events, menu, grid, action, decay, notes)
    left = np.take_along_axis(unsubscribed, np.maximum(menu.channel[action], 0)[..., None], axis=2)[
        ..., 0
    ] & (action > 0)
    mature = grid.weeks - np.arange(grid.weeks) - 1 >= MATURE_WEEKS
    customer, week = np.nonzero(grid.active)
    cells = (customer, week)
    panel = Panel(
        customer=customer,
        week=week,
        recency=recency[cells],
        frequency=frequency[cells],
        fatigue=fatigue[cells],
        consent=consent[cells],
        action=action[cells],
        propensity=propensity[cells],
        purchase=purchase[cells] > 0,
        value=value[cells],
        offer_paid=offer_paid[cells],
        unsubscribe=left[cells],
        delivered=responses["deliver"][cells],
        opened=responses["open"][cells],
        clicked=responses["click"][cells],
        mature=mature[week],
    )
    bought = events.of("purchase")
    return Gathered(
        panel=panel,
        menu=menu,
        first_day=events.first_day,
        contact_cost=cost,
        frequency_edges=edges,
        decay=np.nan if logged else decay,
        purchases=(events.customer[bought], events.at[bought], grid.signup),
        notes=tuple(notes),
    )


def _events(log: LogTable, notes: list[str]) -> _Events:
    keep_one_in = _thinning(log)
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
    return _Events(
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


def _thinning(log: LogTable) -> int:
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


def _menu(events: _Events, notes: list[str]) -> tuple[Menu, NDArray[np.int64]]:
    """The menu, and the action of every event (0 unless a contact, `OTHER` off the menu)."""
    contacts = events.of("contact")
    pairs = np.char.add(
        np.char.add(events.channel[contacts].astype(str), _BETWEEN),
        events.offer[contacts].astype(str),
    )
    levels, index, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    named = [tuple(level.split(_BETWEEN, 1)) for level in levels]
    order = sorted(range(len(named)), key=lambda i: (CHANNELS.index(named[i][0]), named[i][1]))
    chosen = [i for i in order if counts[i] >= LEAST_CONTACTS]
    rare = [i for i in order if counts[i] < LEAST_CONTACTS]
    if not chosen:
        raise CalibrationError(
            f"no channel and offer was used {LEAST_CONTACTS} times (most: {counts.max()}): too few "
            "contacts to learn what they do. Use a longer log"
        )
    if rare:
        names = ", ".join("+".join(filter(None, named[i])) for i in rare)
        notes.append(f"fewer than {LEAST_CONTACTS} contacts, left out: {names}")
    channels = tuple(dict.fromkeys(named[i][0] for i in chosen))
    number = np.full(len(named), OTHER)
    number[chosen] = np.arange(1, len(chosen) + 1)
    action = np.zeros(len(events.event), np.int64)
    action[contacts] = number[index]
    return Menu(channels, tuple((named[i][0], named[i][1]) for i in chosen)), action


class _Grid:
    """Customers x weeks: where a customer is active, and how to fill it with events."""

    def __init__(self, events: _Events, menu: Menu) -> None:
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


def _decisions(
    events: _Events, menu: Menu, action_of: NDArray[np.int64], grid: _Grid, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    rows = events.of("contact")
    passed = events.of("none")
    customer, at = events.customer, events.at
    contacts = grid.sums(customer[rows], at[rows], 1.0)
    action = grid.last(customer[rows], at[rows], action_of[rows], 0.0).astype(np.int64)
    several = int((contacts > 1).sum())
    if several:
        notes.append(
            f"{several:,} customer-weeks have more than one contact: the last one stands for them"
        )
    # A contact overrides a "none" of the same week.
    propensity = np.full(action.shape, np.nan)
    if "propensity" in events.numbers:
        logged = events.numbers["propensity"]
        none = grid.last(customer[passed], at[passed], logged[passed], np.nan)
        sent = grid.last(customer[rows], at[rows], logged[rows], np.nan)
        propensity = np.where(action == 0, none, sent)
        absent = grid.active & np.isnan(propensity) & (action >= 0)
        share = absent.sum() / max(grid.active.sum(), 1)
        if 0 < share <= 1 - _LEAST_LOGGED:
            action[absent] = OTHER
            notes.append(
                f"{int(absent.sum()):,} customer-weeks without a logged propensity are left out"
            )
    cost = np.zeros(len(menu.contacts) + 1)
    paid = events.numbers.get("cost", np.full(len(at), np.nan))
    unknown = []
    for number, label in enumerate(menu.labels[1:], 1):
        of_action = paid[rows][action_of[rows] == number]
        if np.isfinite(of_action).any():
            cost[number] = np.nanmean(of_action)
        else:
            unknown.append(label)
    if unknown:
        notes.append(f"no cost logged, taken as 0: {', '.join(unknown)}")
    return action, propensity, cost


def _purchases(events: _Events, grid: _Grid) -> tuple[NDArray[np.float64], ...]:
    rows = events.of("purchase")
    where = (events.customer[rows], events.at[rows])
    paid = events.numbers.get("cost", np.zeros(len(events.at)))
    return (
        grid.sums(*where, 1.0),
        grid.sums(*where, events.numbers["value"][rows]),
        grid.sums(*where, np.nan_to_num(paid[rows])),
    )


def _consent(
    events: _Events, menu: Menu, grid: _Grid
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Unsubscribed in a week, and consent at its start: both `[N, W, C]`."""
    signups, left = events.of("signup"), events.of("unsubscribe")
    gone = np.zeros((grid.customers, grid.weeks, len(menu.channels)), bool)
    consent = np.zeros_like(gone)
    for c, channel in enumerate(menu.channels):
        given = np.zeros(grid.customers, bool)
        given[events.customer[signups]] = events.consent[channel][signups]
        rows = left[np.isin(events.channel[left], (channel, ""))]
        gone[..., c] = grid.sums(events.customer[rows], events.at[rows], 1.0) > 0
        first = np.full(grid.customers, np.inf)
        np.minimum.at(first, events.customer[rows], np.floor(events.at[rows]))
        consent[..., c] = given[:, None] & (np.arange(grid.weeks) <= first[:, None])
    return gone, consent


def _responses(
    events: _Events, menu: Menu, grid: _Grid, action: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """Whether the contact of a customer-week was delivered, opened, clicked, however late.

    A response is counted for the latest contact by its channel that went before it.
    """
    found = {}
    week = np.arange(grid.weeks)
    for kind in ("deliver", "open", "click"):
        seen = np.zeros((grid.customers, grid.weeks), bool)
        for c, channel in enumerate(menu.channels):
            contacted = (action > 0) & (menu.channel[action] == c)
            latest = np.maximum.accumulate(np.where(contacted, week, -1), axis=1)
            rows = events.of(kind)
            rows = rows[events.channel[rows] == channel]
            at = np.floor(events.at[rows]).astype(np.int64)
            inside = (at >= 0) & (at < grid.weeks)
            customer, at = events.customer[rows][inside], at[inside]
            source = latest[customer, at]
            seen[customer[source >= 0], source[source >= 0]] = True
        found[kind] = seen
    return found


def _recency(events: _Events, grid: _Grid) -> NDArray[np.int64]:
    """Whole weeks between a week and that of the last purchase before it; since sign-up if none."""
    rows = events.of("purchase")
    week = np.floor(events.at[rows]).astype(np.int64)
    last = np.where(np.isfinite(grid.signup), np.floor(grid.signup) - 1, -RECENCIES - 1)
    early = week < 0
    np.maximum.at(last, events.customer[rows][early], week[early])
    bought = grid.sums(events.customer[rows], events.at[rows], 1.0) > 0
    weeks = np.arange(grid.weeks)
    latest = np.maximum.accumulate(np.where(bought, weeks, -np.inf), axis=1)
    before = np.column_stack([np.full(grid.customers, -np.inf), latest[:, :-1]])
    since = weeks - 1 - np.maximum(before, last[:, None])
    return np.asarray(np.clip(since, 0, RECENCIES - 1), np.int64)


def _frequency(
    events: _Events, grid: _Grid, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    score = _score(events, grid, "frequency_score")
    if score is not None:
        return np.clip(np.rint(score), 0, FREQUENCIES - 1).astype(np.int64), np.zeros(0)
    rows = events.of("purchase")
    bins, edges = frequency_bins(
        events.customer[rows],
        events.at[rows],
        grid.active,
        _watched_since(events, grid),
        FREQUENCIES,
    )
    notes.append(
        "no frequency_score in the log: classes of the rate of purchases, with a half-life of half "
        "a year"
    )
    return bins, edges


def _watched_since(events: _Events, grid: _Grid) -> NDArray[np.float64]:
    """The week of each sign-up; of the log's first decision or purchase where that is later."""
    seen = events.at[events.of("purchase", "contact", "none")].min()
    since = np.maximum(grid.signup, seen)
    return np.asarray(np.clip(since, -LONGEST_HISTORY_WEEKS, grid.weeks))


def _fatigue(
    events: _Events,
    menu: Menu,
    grid: _Grid,
    action: NDArray[np.int64],
    decay: float,
    notes: list[str],
) -> tuple[NDArray[np.int64], bool]:
    fatigue = np.zeros((*action.shape, len(menu.channels)), np.int64)
    scores = [_score(events, grid, f"fatigue_{channel}") for channel in menu.channels]
    if any(score is not None for score in scores):
        for c, score in enumerate(scores):
            if score is not None:
                fatigue[..., c] = np.clip(np.rint(score), 0, FATIGUES - 1)
        return fatigue, True
    for c in range(len(menu.channels)):
        contacted = (action > 0) & (menu.channel[action] == c)
        fatigue[..., c] = decayed_bins(contacted, decay, FATIGUES)
    notes.append(f"no fatigue in the log: contacts counted, decaying by {decay:g} a week")
    return fatigue, False


def _score(events: _Events, grid: _Grid, name: str) -> NDArray[np.float64] | None:
    """A team's own score at every active customer-week; None where it is not there throughout."""
    if name not in events.numbers:
        return None
    rows = events.of("contact", "none")
    score = grid.last(events.customer[rows], events.at[rows], events.numbers[name][rows], np.nan)
    return None if np.isnan(score[grid.active]).any() else np.nan_to_num(score)
