"""How customers respond, as look-up tables over an observable state: what a fit must produce.

A customer's state at a decision is recency r (steps since the last purchase), a frequency bin f, a
fatigue stock g for each channel and whether each channel may be used. One step with action a:

    logit P(purchase)  = base[r, f] + sum_c drag[c, g_c] + uplift[a, r, f] * dampening[c(a), g_c(a)]
    P(unsubscribe)     = unsubscribe[a, g_c(a)]            from the channel of a; absorbing
    g_c                -> g_c + 1 with fatigue_up[c, g_c] if a used c, else
                          g_c - 1 with fatigue_down[c, g_c]
    purchase           -> r = 0, f + 1 with frequency_up[f]
    no purchase        -> r + 1, f - 1 with frequency_down[f]

r, f and g are clipped at the ends of their ranges; purchase and unsubscribe are independent within
a step; both read the state before the step. The generator of MODELLING 6.2 is one instance, K = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_CHANNEL = -1
PROBABILITIES = ("unsubscribe", "fatigue_up", "fatigue_down", "frequency_up", "frequency_down",
                 "maturity")  # fmt: skip


SHARED = ("contact_cost", "offer_cost", "channel", "start", "start_contacts")
"""The tables that all members have in common."""


class Menu(NamedTuple):
    """What can be done: action 0 is no contact, action i contact i - 1."""

    channels: tuple[str, ...]
    contacts: tuple[tuple[str, str], ...]  # (channel, offer); offer "" is none

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of every action, `A` of them."""
        return ("none", *(f"{channel}+{offer}" if offer else channel
                          for channel, offer in self.contacts))  # fmt: skip

    @property
    def channel(self) -> NDArray[np.int64]:
        """The channel of every action, `[A]`; -1 for no contact."""
        used = [self.channels.index(channel) for channel, _ in self.contacts]
        return np.array([NO_CHANNEL, *used], np.int64)


class ResponseTables(NamedTuple):
    """`K` members, `A` actions, `C` channels, `R`, `F`, `G` bins of recency, frequency, fatigue.

    A channel that needs fewer than `G` fatigue bins never moves beyond its last (`fatigue_up` 0).
    """

    base: NDArray[np.float64]  # [K, R, F] log-odds of a purchase in a step, left alone and rested
    drag: NDArray[np.float64]  # [K, C, G] added to the log-odds at a fatigue, whatever is done
    uplift: NDArray[np.float64]  # [K, A, R, F] added by an action on a rested customer; a = 0: zero
    dampening: NDArray[np.float64]  # [K, C, G] factor on the uplift at a fatigue; 1 at g = 0
    unsubscribe: NDArray[np.float64]  # [K, A, G] chance of leaving the action's channel; a = 0: 0
    fatigue_up: NDArray[np.float64]  # [K, C, G] chance of g + 1 when contacted
    fatigue_down: NDArray[np.float64]  # [K, C, G] chance of g - 1 when not
    frequency_up: NDArray[np.float64]  # [K, F] chance of f + 1 at a purchase
    frequency_down: NDArray[np.float64]  # [K, F] chance of f - 1 without one
    margin: NDArray[np.float64]  # [K, R, F] a purchase's expected margin before its offer; currency
    basket_cv: NDArray[np.float64]  # [K] coefficient of variation of a purchase's margin
    maturity: NDArray[np.float64]  # [K, A, L] chance to be paid l steps after an action; sums to 1
    contact_cost: NDArray[np.float64]  # [A] currency a contact; a = 0: 0
    offer_cost: NDArray[np.float64]  # [A] currency, paid on a purchase only; a = 0: 0
    channel: NDArray[np.int64]  # [A] channel of each action; -1 for none
    start: NDArray[np.int64]  # [N, 2 + 2 C] r, f, g of each channel, consent to each channel
    start_contacts: NDArray[np.int64]  # [N, C] bit i: contacted i + 1 steps before the start
    start_weight: NDArray[np.float64]  # [K, N] chance that a customer starts in a row; sums to 1

    @property
    def members(self) -> int:
        """K."""
        return len(self.base)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """R, F, G, C, A."""
        _, recency, frequency = self.base.shape
        _, channels, fatigue = self.drag.shape
        return recency, frequency, fatigue, channels, len(self.channel)

    def member(self, k: int) -> ResponseTables:
        """The member `k` alone, K = 1."""
        return self._each(lambda table: table[k : k + 1])

    def mean(self) -> ResponseTables:
        """The members' mean, K = 1."""
        return self._each(lambda table: table.mean(axis=0, keepdims=True))

    def _each(self, of: Callable[[NDArray[Any]], NDArray[Any]]) -> ResponseTables:
        """The tables with what each member has of its own changed."""
        return ResponseTables(**{
            name: table if name in SHARED else of(table) for name, table in self._asdict().items()
        })  # fmt: skip


def checked(tables: ResponseTables) -> ResponseTables:
    """The tables, contiguous and of the right kinds.

    Raises ValueError that lists everything that makes them no description of customers.
    """
    whole = ("channel", "start", "start_contacts")
    kinds: dict[str, Any] = {
        name: np.int64 if name in whole else np.float64 for name in tables._fields
    }
    tables = ResponseTables._make(
        np.ascontiguousarray(table, kinds[name]) for name, table in tables._asdict().items()
    )
    recency, frequency, fatigue, channels, actions = tables.shape
    members, rows, delays = tables.members, len(tables.start), tables.maturity.shape[-1]
    expected = {
        "base": (members, recency, frequency),
        "drag": (members, channels, fatigue),
        "uplift": (members, actions, recency, frequency),
        "dampening": (members, channels, fatigue),
        "unsubscribe": (members, actions, fatigue),
        "fatigue_up": (members, channels, fatigue),
        "fatigue_down": (members, channels, fatigue),
        "frequency_up": (members, frequency),
        "frequency_down": (members, frequency),
        "margin": (members, recency, frequency),
        "basket_cv": (members,),
        "maturity": (members, actions, delays),
        "contact_cost": (actions,),
        "offer_cost": (actions,),
        "channel": (actions,),
        "start": (rows, 2 + 2 * channels),
        "start_contacts": (rows, channels),
        "start_weight": (members, rows),
    }
    columns = tables._asdict()
    problems = [
        f"{name} has shape {columns[name].shape}: it must be {shape}"
        for name, shape in expected.items()
        if columns[name].shape != shape
    ]
    problems += [
        f"{name} holds {int((~np.isfinite(table)).sum())} values that are not finite"
        for name, table in columns.items()
        if not np.isfinite(table).all()
    ]
    if not problems:
        problems = _contradictions(tables)
    if problems:
        raise ValueError("the response tables cannot be used: " + "; ".join(problems))
    return tables


def _contradictions(tables: ResponseTables) -> list[str]:
    recency, frequency, fatigue, channels, _ = tables.shape
    columns = tables._asdict()
    problems = [
        f"{name} holds {columns[name].min():g} to {columns[name].max():g}: chances are in [0, 1]"
        for name in PROBABILITIES
        if columns[name].min() < 0 or columns[name].max() > 1
    ]
    problems += [
        f"{name} does not sum to 1 for every member"
        for name in ("maturity", "start_weight")
        if not np.allclose(columns[name].sum(axis=-1), 1)
    ]
    problems += [
        f"{name} of action 0 is not zero: no contact costs and does nothing"
        for name, row in {
            "uplift": tables.uplift[:, 0],
            "unsubscribe": tables.unsubscribe[:, 0],
            "contact_cost": tables.contact_cost[:1],
            "offer_cost": tables.offer_cost[:1],
        }.items()
        if np.any(row != 0)
    ]
    used = tables.channel[1:]
    if tables.channel[0] != NO_CHANNEL or np.any((used < 0) | (used >= channels)):
        problems.append(f"channel is {tables.channel.tolist()}: -1, then channels below {channels}")
    limit = np.array([recency, frequency, *[fatigue] * channels, *[2] * channels])
    if np.any(tables.start < 0) or np.any(tables.start >= limit):
        problems.append(f"start leaves its ranges: every row must be below {limit.tolist()}")
    if np.any(tables.start_contacts < 0):
        problems.append("start_contacts holds negative numbers: they are bits of 63 steps")
    if np.any(tables.start_weight < 0):
        problems.append("start_weight holds negative chances")
    return problems
