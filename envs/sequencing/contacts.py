"""What a week's contacts were: the decision, its chance, its cost, and what it cost in consent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.events import Events, FittedPart, Grid
from envs.sequencing.panel import OTHER
from envs.sequencing.tables import Menu

ATTRIBUTION_WEEKS = 30 / 7
"""What a contact can still bring: 30 days, for unsubscribes, redemptions and responses alike."""

_LEAST_LOGGED = 0.95
"""Propensities count as logged when so many decisions have one; the others are then left out."""

_REMEMBERED = np.int64((1 << 62) - 1)  # of a history of contacts, before it is shifted by a week


class Decisions(NamedTuple):
    """The one decision of every customer-week; `N` customers, `W` weeks, `A` actions."""

    action: NDArray[np.int64]  # [N, W]
    propensity: NDArray[np.float64]  # [N, W] NaN where not logged, 1 where off the menu
    cost: NDArray[np.float64]  # [A] currency a contact


def decisions(
    events: Events,
    menu: Menu,
    action_of: NDArray[np.int64],
    grid: Grid,
    part: FittedPart,
    notes: list[str],
) -> Decisions:
    """Each week's decision. Several different contacts are no action of the menu.

    A week's chance is known where the week holds one decision, or only decisions against a contact
    (their product). Of a contact among several decisions it is not: the product would be the chance
    of that sequence, and 1 / product would count the week once for every sequence that leads there.
    """
    rows, customer, at = events.of("contact"), events.customer, events.at
    contacts = grid.sums(customer[rows], at[rows], 1.0)
    action = grid.last(customer[rows], at[rows], action_of[rows], 0.0).astype(np.int64)
    week = np.clip(np.floor(at[rows]).astype(np.int64), 0, grid.weeks - 1)
    other = action_of[rows] != action[customer[rows], week]
    mixed = grid.sums(customer[rows], at[rows], other) > 0
    action[mixed] = OTHER
    if mixed.any():
        notes.append(
            f"{int(mixed.sum()):,} customer-weeks with different contacts are left out: what a "
            "pair does is not what its last one does"
        )
    repeated = int(((contacts > 1) & ~mixed).sum())
    if repeated:
        notes.append(
            f"{repeated:,} customer-weeks repeat the same contact and count as one: the dose "
            "is not modelled"
        )
    propensity = np.full(action.shape, np.nan)
    if "propensity" in events.numbers:
        propensity = _chances(events, grid, action, contacts)
        absent = grid.active & np.isnan(propensity)
        share = absent.sum() / max(grid.active.sum(), 1)
        if 0 < share <= 1 - _LEAST_LOGGED:
            action[absent] = OTHER
            notes.append(
                f"{int(absent.sum()):,} customer-weeks without a propensity of their own are left "
                "out"
            )
        elif share:
            notes.append(
                f"{100 * share:.0f} % of the customer-weeks have no propensity of their own (none "
                "logged, or a contact among several decisions of the week): all are estimated"
            )
    return Decisions(action, propensity, _costs(events, menu, action_of, part, notes))


def _chances(
    events: Events, grid: Grid, action: NDArray[np.int64], contacts: NDArray[np.float64]
) -> NDArray[np.float64]:
    rows, passed = events.of("contact"), events.of("none")
    customer, at, logged = events.customer, events.at, events.numbers["propensity"]
    refusals = grid.sums(customer[passed], at[passed], 1.0)
    week = np.floor(at[passed]).astype(np.int64)
    inside = week < grid.weeks
    product = np.ones(action.shape)
    np.multiply.at(product, (customer[passed][inside], week[inside]), logged[passed][inside])
    none = np.where(refusals > 0, product, np.nan)
    sent = grid.last(customer[rows], at[rows], logged[rows], np.nan)
    alone = np.where(contacts + refusals == 1, sent, np.nan)
    return np.where(action == OTHER, 1.0, np.where(action == 0, none, alone))


def _costs(
    events: Events,
    menu: Menu,
    action_of: NDArray[np.int64],
    part: FittedPart,
    notes: list[str],
) -> NDArray[np.float64]:
    """The mean cost of each action's contacts in the part, `[A]`."""
    cost = np.zeros(len(menu.contacts) + 1)
    paid = events.numbers.get("cost", np.full(len(events.at), np.nan))
    learned = part.holds(events.customer, events.at) & (events.event == "contact")
    unknown = []
    for number, label in enumerate(menu.labels[1:], 1):
        of_action = paid[learned & (action_of == number)]
        if np.isfinite(of_action).any():
            cost[number] = np.nanmean(of_action)
        else:
            unknown.append(label)
    if unknown:
        notes.append(f"no cost logged, taken as 0: {', '.join(unknown)}")
    return cost


def touched(events: Events, menu: Menu, grid: Grid) -> NDArray[np.bool_]:
    """Whether a channel was used in a customer-week, whatever the offer: `[N, W, C]`."""
    rows = events.of("contact")
    used = np.zeros((grid.customers, grid.weeks, len(menu.channels)), bool)
    for c, channel in enumerate(menu.channels):
        mine = rows[events.channel[rows] == channel]
        used[..., c] = grid.sums(events.customer[mine], events.at[mine], 1.0) > 0
    return used


def recent_contacts(used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The contacts before every week as bits, bit i for i + 1 weeks ago: `[N, W, C]`."""
    found = np.zeros(used.shape, np.int64)
    for week in range(1, used.shape[1]):
        found[:, week] = ((found[:, week - 1] & _REMEMBERED) << 1) | used[:, week - 1]
    return found


class Unsubscribes(NamedTuple):
    """Which customer-weeks' contacts lost a consent, and how long one must wait to know."""

    after: NDArray[np.bool_]  # [N, W]
    lag: int  # whole weeks after the contact's week within which 99 % come


def unsubscribes(
    events: Events, menu: Menu, grid: Grid, part: FittedPart, notes: list[str]
) -> Unsubscribes:
    """Each withdrawal put down to the last contact before it by its channel, once.

    One from every channel is put down to the last contact by any. Without a contact in the 30 days
    before, it is put down to none.
    """
    after, lags, learned, lost = np.zeros((grid.customers, grid.weeks), bool), [], [], 0
    left = events.of("unsubscribe")
    for channel in (*menu.channels, ""):
        rows = left[events.channel[left] == channel]
        _, first = np.unique(events.customer[rows], return_index=True)
        rows = rows[first]
        sent = events.of("contact")
        sent = sent if not channel else sent[events.channel[sent] == channel]
        source = last_before(events, rows, sent)
        near = (source >= 0) & (events.at[rows] - events.at[source] <= ATTRIBUTION_WEEKS)
        lost += int((~near).sum())
        rows, source = rows[near], source[near]
        week = np.floor(events.at[source]).astype(np.int64)
        inside = (week >= 0) & (week < grid.weeks)
        after[events.customer[source][inside], week[inside]] = True
        lags.append(np.floor(events.at[rows]).astype(np.int64) - week)
        learned.append(part.holds(events.customer[rows], events.at[rows]))
    if lost:
        notes.append(
            f"{lost:,} unsubscribes without a contact in the 30 days before are put down to none"
        )
    waits = np.concatenate(lags)[np.concatenate(learned)]
    lag = int(np.quantile(waits, 0.99, method="inverted_cdf")) if len(waits) else 0
    return Unsubscribes(after, lag)


def last_before(
    events: Events, rows: NDArray[np.int64], of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of the events `of`, each customer's last one up to each of `rows`; -1 where there is none."""
    order = of[np.lexsort((events.at[of], events.customer[of]))]
    span = float(np.ptp(events.at)) + 1.0
    key = events.customer * span + (events.at - events.at.min())
    place = np.searchsorted(key[order], key[rows], side="right") - 1
    found = order[np.maximum(place, 0)] if len(order) else np.full(len(rows), -1)
    same = (place >= 0) & (events.customer[found] == events.customer[rows])
    return np.where(same, found, -1)
