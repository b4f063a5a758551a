"""Customers followed week by week through response tables under the log's own policy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.sequencing.tables import ResponseTables

Ints = NDArray[np.int64]


class Customers(NamedTuple):
    """The state of `n` customers; `C` channels."""

    recency: Ints  # [n]
    frequency: Ints  # [n]
    fatigue: Ints  # [n, C]
    consent: NDArray[np.bool_]  # [n, C]


class Week(NamedTuple):
    """One week of `n` customers: the state before it, what was done, what followed."""

    before: Customers
    action: Ints  # [n]
    propensity: NDArray[np.float64]  # [n]
    purchase: NDArray[np.bool_]  # [n]
    unsubscribe: NDArray[np.bool_]  # [n]


def buy_probability(
    tables: ResponseTables, k: int, at: Customers, action: Ints
) -> NDArray[np.float64]:
    """P(purchase) of member `k` in each state under each action, `[n]` (formula in tables.py)."""
    channel = tables.channel[action]
    used = np.maximum(channel, 0)
    rows = np.arange(len(action))
    logit = tables.base[k, at.recency, at.frequency]
    logit = logit + sum(tables.drag[k, c, at.fatigue[:, c]] for c in range(tables.drag.shape[1]))
    dampening = tables.dampening[k, used, at.fatigue[rows, used]]
    logit = logit + tables.uplift[k, action, at.recency, at.frequency] * dampening
    return np.asarray(1 / (1 + np.exp(-logit)))


def expected_purchases(tables: ResponseTables, at: Customers, action: Ints) -> NDArray[np.float64]:
    """P(purchase) of every customer under `action`, averaged over members, `[n]`."""
    members = range(tables.members)
    return np.asarray(np.mean([buy_probability(tables, k, at, action) for k in members], axis=0))


def stock_of(fatigue: Ints, bins: int) -> Ints:
    """Fatigue summed over channels, clipped to the bins, `[n]`."""
    return np.asarray(np.minimum(fatigue.sum(axis=1), bins - 1))


def pattern_of(consent: NDArray[np.bool_]) -> Ints:
    """The consent pattern sum_c consent_c 2^c, `[n]`."""
    return np.asarray(consent @ (1 << np.arange(consent.shape[1])), np.int64)


def allowed(tables: ResponseTables, consent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which actions consent allows, `[n, A]`."""
    mask = np.ones((len(consent), len(tables.channel)), bool)
    for action, channel in enumerate(tables.channel):
        if channel >= 0:
            mask[:, action] = consent[:, channel]
    return mask


def drawn_action(chance: NDArray[np.float64], rng: Generator) -> Ints:
    """One action per row of `chance [n, A]`, whose rows sum to 1."""
    total = np.cumsum(chance, axis=1)
    pick = (total < rng.random((len(chance), 1)) * total[:, -1:]).sum(axis=1)
    return np.asarray(np.minimum(pick, chance.shape[1] - 1))


def policy_chances(
    policy: NDArray[np.float64], tables: ResponseTables, at: Customers
) -> NDArray[np.float64]:
    """`policy [R, F, G, S, A]` at each state, forbidden actions at 0: `[n, A]`."""
    chance = policy[
        at.recency,
        at.frequency,
        stock_of(at.fatigue, policy.shape[2]),
        pattern_of(at.consent),
    ]
    chance = np.where(allowed(tables, at.consent), chance, 0.0)
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def follow(
    tables: ResponseTables,
    members: Ints,
    start: Customers,
    policy: NDArray[np.float64],
    weeks: int,
    rng: Generator,
) -> list[Week]:
    """`weeks` weeks of every customer; customer i follows member `members[i]`."""
    at, path = start, []
    for _ in range(weeks):
        chance = policy_chances(policy, tables, at)
        action = drawn_action(chance, rng)
        week, at = step(tables, members, at, action, rng)
        path.append(week._replace(propensity=chance[np.arange(len(action)), action]))
    return path


def step(
    tables: ResponseTables, members: Ints, at: Customers, action: Ints, rng: Generator
) -> tuple[Week, Customers]:
    """One week; see tables.py for the law."""
    n = len(action)
    recencies, frequencies, fatigues, channels, _ = tables.shape
    chance = np.empty(n)
    for k in np.unique(members):
        of = members == k
        chance[of] = buy_probability(tables, int(k), Customers(*(x[of] for x in at)), action[of])
    purchase = rng.random(n) < chance
    channel = tables.channel[action]
    used, rows = np.maximum(channel, 0), np.arange(n)
    leaving = tables.unsubscribe[members, action, at.fatigue[rows, used]]
    unsubscribe = rng.random(n) < leaving
    consent = at.consent.copy()
    consent[rows[unsubscribe], used[unsubscribe]] = False
    fatigue = at.fatigue.copy()
    for c in range(channels):
        g = at.fatigue[:, c]
        up = rng.random(n) < tables.fatigue_up[members, c, g]
        down = rng.random(n) < tables.fatigue_down[members, c, g]
        fatigue[:, c] = np.clip(np.where(channel == c, g + up, g - down), 0, fatigues - 1)
    u = rng.random(n)
    rise = u < tables.frequency_up[members, at.frequency]
    fall = u < tables.frequency_down[members, at.frequency]
    frequency = np.where(purchase, at.frequency + rise, at.frequency - fall)
    after = Customers(
        recency=np.where(purchase, 0, np.minimum(at.recency + 1, recencies - 1)),
        frequency=np.clip(frequency, 0, frequencies - 1),
        fatigue=fatigue,
        consent=consent,
    )
    week = Week(at, action, np.full(n, np.nan), purchase, unsubscribe)
    return week, after


def drawn_start(tables: ResponseTables, members: Ints, rng: Generator) -> Customers:
    """Starting states, one per entry of `members`, drawn with that member's weights."""
    row = np.empty(len(members), np.int64)
    for k in np.unique(members):
        of = members == k
        row[of] = rng.choice(len(tables.start), size=int(of.sum()), p=tables.start_weight[k])
    chosen = tables.start[row]
    channels = tables.drag.shape[1]
    return Customers(
        recency=chosen[:, 0],
        frequency=chosen[:, 1],
        fatigue=chosen[:, 2 : 2 + channels],
        consent=chosen[:, 2 + channels :].astype(bool),
    )
