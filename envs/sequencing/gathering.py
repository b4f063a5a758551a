"""From an event log to customer-weeks. Weeks are counted from the day of the first decision.

A week's purchases are counted whole. One that redeems an offer belongs to the week of the contact
that brought it, up to 30 days before; a purchase without one belongs to its own week, since nothing
in a log says which contact, if any, it answers (a click before it does not: Diemert 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable
from envs.sequencing.contacts import (
    ATTRIBUTION_WEEKS,
    decisions,
    last_before,
    recent_contacts,
    touched,
    unsubscribes,
)
from envs.sequencing.events import Events, FittedPart, Grid, menu_of, read_events
from envs.sequencing.panel import FATIGUES, FREQUENCIES, RECENCIES, Gathered, Panel, Payments
from envs.sequencing.stocks import decayed_bins, frequency_bins
from envs.sequencing.tables import Menu

MATURE_WEEKS = ATTRIBUTION_WEEKS
"""Responses to a contact are counted once they had that long to come (MODELLING 3.1)."""

LEAST_COMPLETE_WEEKS = 8
"""Twice the weeks that a log must have: a shorter rest does not wait for redemptions."""

LONGEST_HISTORY_WEEKS = 104.0  # what lies further back has a sixteenth of its weight


def gather(log: LogTable) -> Gathered:
    """The panel of a whole log, all of it learned from.

    Raises:
        CalibrationError: the log has no decisions to learn from.
    """
    notes: list[str] = []
    events = read_events(log, notes)
    return gather_events(events, np.ones(events.customers, bool), 1.0, notes=notes)


def gather_events(
    events: Events,
    fitted: NDArray[np.bool_],
    share_of_weeks: float,
    *,
    decay: float = 0.7,
    notes: Sequence[str] = (),
) -> Gathered:
    """The panel of all customers; menu, costs and classes are those of the part learned from.

    That part is the customers `fitted [N]` in the first `share_of_weeks`. `decay` of fatigue a week
    serves where the log keeps no fatigue.

    Raises:
        CalibrationError: the log has no decisions to learn from.
    """
    notes = list(notes)
    grid = Grid(events)
    part = FittedPart(fitted, max(2, round(share_of_weeks * grid.weeks)))
    menu, action_of = menu_of(events, part, notes)
    if grid.weeks < 4:
        raise CalibrationError(
            f"the log has {grid.weeks} whole weeks from its first decision: at least 4 are needed. "
            "Use a longer log"
        )
    action, propensity, cost = decisions(events, menu, action_of, grid, part, notes)
    used = touched(events, menu, grid)
    purchase, value, offer_paid, payments, waiting = _purchases(events, grid, action, part, notes)
    left, lag = unsubscribes(events, menu, grid, part, notes)
    consent = _consent(events, menu, grid)
    responses = _responses(events, menu, grid, used)
    recency = _recency(events, grid)
    frequency, edges = _frequency(events, grid, part, notes)
    fatigue, logged = _fatigue(events, menu, grid, used, decay, notes)
    since = grid.weeks - 1 - np.arange(grid.weeks)
    recent = recent_contacts(used)
    # In the last weeks redemptions are still to come: they complete the weeks before.
    complete = grid.active.copy()
    if waiting and grid.weeks - waiting >= LEAST_COMPLETE_WEEKS:
        complete[:, grid.weeks - waiting :] = False
        notes.append(
            f"redemptions come within {waiting + 1} weeks: the last {waiting} of the log are not "
            "learned from, they complete the ones before"
        )
    elif waiting:
        notes.append(
            f"redemptions come within {waiting + 1} weeks, and the log is too short to wait for "
            "the last ones"
        )
    customer, week = np.nonzero(complete)
    cells = (customer, week)
    panel = Panel(
        customer=customer,
        week=week,
        recency=recency[cells],
        frequency=frequency[cells],
        fatigue=fatigue[cells],
        consent=consent[cells],
        recent=recent[cells],
        action=action[cells],
        propensity=propensity[cells],
        purchase=purchase[cells] > 0,
        value=value[cells],
        offer_paid=offer_paid[cells],
        unsubscribe=left[cells] & (action[cells] > 0),
        settled=(since >= lag)[week],
        delivered=responses["deliver"][cells],
        opened=responses["open"][cells],
        clicked=responses["click"][cells],
        mature=(since >= MATURE_WEEKS)[week],
    )
    bought = events.of("purchase")
    return Gathered(
        panel=panel,
        menu=menu,
        fitted=fitted,
        split=part.before,
        first_day=events.first_day,
        contact_cost=cost,
        frequency_edges=edges,
        decay=np.nan if logged else decay,
        purchases=(events.customer[bought], events.at[bought], grid.signup),
        payments=payments,
        notes=tuple(notes),
    )


class Purchases(NamedTuple):
    """What customer-weeks earned, `[N, W]` each, by the week of the decision."""

    bought: NDArray[np.float64]
    value: NDArray[np.float64]
    offer_paid: NDArray[np.float64]
    payments: Payments
    waiting: int  # whole weeks after the contact's within which 99 % of the redemptions come


def _purchases(
    events: Events, grid: Grid, action: NDArray[np.int64], part: FittedPart, notes: list[str]
) -> Purchases:
    rows = events.of("purchase")
    customer, at = events.customer[rows], events.at[rows]
    paid = np.nan_to_num(events.numbers.get("cost", np.zeros(len(events.at)))[rows])
    sent = events.of("contact")
    source = last_before(events, rows, sent[events.offer[sent] != ""])
    tied = (source >= 0) & (paid > 0) & (at - events.at[source] <= ATTRIBUTION_WEEKS)
    week = np.floor(at).astype(np.int64)
    answered = np.clip(np.floor(events.at[source]).astype(np.int64), 0, grid.weeks - 1)
    tied &= action[customer, answered] > 0
    decided = np.where(tied, answered, week)
    inside = (decided >= 0) & (decided < grid.weeks)
    late = tied & (week > decided)
    learned = tied & part.holds(customer, at)
    lags = (week - decided)[learned]
    if late.any():
        share = (late & learned).sum() / max(learned.sum(), 1)
        notes.append(
            f"{100 * share:.0f} % of redeemed offers were redeemed in a later week than they were "
            "sent: they count in the week of the contact and pay when they are redeemed"
        )
    customer_in, decided_in = customer[inside], decided[inside]
    payments = Payments(
        customer_in, decided_in, action[customer_in, decided_in], (week - decided)[inside],
        grid.weeks - 1 - decided_in, events.numbers["value"][rows][inside],
    )  # fmt: skip
    return Purchases(
        grid.sums(customer, decided, 1.0),
        grid.sums(customer, decided, events.numbers["value"][rows]),
        grid.sums(customer, decided, paid),
        payments.where(payments.action > 0),
        int(np.quantile(lags, 0.99, method="inverted_cdf")) if len(lags) else 0,
    )


def _consent(events: Events, menu: Menu, grid: Grid) -> NDArray[np.bool_]:
    """Consent at the start of every week, `[N, W, C]`."""
    signups, left = events.of("signup"), events.of("unsubscribe")
    consent = np.zeros((grid.customers, grid.weeks, len(menu.channels)), bool)
    for c, channel in enumerate(menu.channels):
        given = np.zeros(grid.customers, bool)
        given[events.customer[signups]] = events.consent[channel][signups]
        rows = left[np.isin(events.channel[left], (channel, ""))]
        first = np.full(grid.customers, np.inf)
        np.minimum.at(first, events.customer[rows], np.floor(events.at[rows]))
        consent[..., c] = given[:, None] & (np.arange(grid.weeks) <= first[:, None])
    return consent


def _responses(
    events: Events, menu: Menu, grid: Grid, used: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Whether the contact of a customer-week was delivered, opened, clicked, however late.

    A response is counted for the latest contact by its channel that went before it.
    """
    found = {}
    week = np.arange(grid.weeks)
    for kind in ("deliver", "open", "click"):
        seen = np.zeros((grid.customers, grid.weeks), bool)
        for c, channel in enumerate(menu.channels):
            latest = np.maximum.accumulate(np.where(used[..., c], week, -1), axis=1)
            rows = events.of(kind)
            rows = rows[events.channel[rows] == channel]
            at = np.floor(events.at[rows]).astype(np.int64)
            inside = (at >= 0) & (at < grid.weeks)
            customer, at = events.customer[rows][inside], at[inside]
            source = latest[customer, at]
            seen[customer[source >= 0], source[source >= 0]] = True
        found[kind] = seen
    return found


def _recency(events: Events, grid: Grid) -> NDArray[np.int64]:
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
    events: Events, grid: Grid, part: FittedPart, notes: list[str]
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
        part,
        FREQUENCIES,
    )
    notes.append(
        "no frequency_score in the log: classes of the rate of purchases, with a half-life of half "
        "a year"
    )
    return bins, edges


def _watched_since(events: Events, grid: Grid) -> NDArray[np.float64]:
    """The week of each sign-up; of the log's first decision or purchase where that is later."""
    seen = events.at[events.of("purchase", "contact", "none")].min()
    since = np.maximum(grid.signup, seen)
    return np.asarray(np.clip(since, -LONGEST_HISTORY_WEEKS, grid.weeks))


def _fatigue(
    events: Events,
    menu: Menu,
    grid: Grid,
    used: NDArray[np.bool_],
    decay: float,
    notes: list[str],
) -> tuple[NDArray[np.int64], bool]:
    fatigue = np.zeros(used.shape, np.int64)
    scores = [_score(events, grid, f"fatigue_{channel}") for channel in menu.channels]
    if any(score is not None for score in scores):
        for c, score in enumerate(scores):
            if score is not None:
                fatigue[..., c] = np.clip(np.rint(score), 0, FATIGUES - 1)
        return fatigue, True
    for c in range(len(menu.channels)):
        fatigue[..., c] = decayed_bins(used[..., c], decay, FATIGUES)
    notes.append(f"no fatigue in the log: contacts counted, decaying by {decay:g} a week")
    return fatigue, False


def _score(events: Events, grid: Grid, name: str) -> NDArray[np.float64] | None:
    """A team's own score at every active customer-week; None where it is not there throughout."""
    if name not in events.numbers:
        return None
    rows = events.of("contact", "none")
    score = grid.last(events.customer[rows], events.at[rows], events.numbers[name][rows], np.nan)
    return None if np.isnan(score[grid.active]).any() else np.nan_to_num(score)
