"""Customers made up for tests: small random tables, and their transitions written out in full."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from envs.sequencing.dynamic_program import Program
from envs.sequencing.kernel import SequencingState
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import Menu, ResponseTables, checked
from envs.sequencing.world import SequencingWorld, blank

MENU = Menu(
    channels=("email", "sms", "letter"),
    contacts=(("email", ""), ("email", "coupon"), ("sms", ""), ("letter", "coupon")),
)


def random_tables(seed: int, *, members: int = 1, delays: int = 1) -> ResponseTables:
    """Three channels, two of them tiring, with every number drawn at random."""
    rng = np.random.default_rng(seed)
    k, r, f, g, c, a = members, 4, 3, 3, 3, 5
    uplift = rng.uniform(-0.2, 1.5, (k, a, r, f))
    uplift[:, 0] = 0.0
    leave = rng.uniform(0.0, 0.2, (k, a, g))
    leave[:, 0] = 0.0
    leave[:, 4] = 0.0  # nobody leaves the letter's list
    up = rng.uniform(0.3, 1.0, (k, c, g))
    up[:, 2] = 0.0  # the letter never tires
    up[:, :, g - 1] = 0.0
    maturity = np.random.default_rng([seed, 1]).dirichlet(np.ones(delays), (k, a))
    rows = 12
    start = np.column_stack(
        [
            rng.integers(0, r, rows),
            rng.integers(0, f, rows),
            rng.integers(0, g, rows),
            rng.integers(0, g, rows),
            np.zeros(rows, np.int64),
            rng.integers(0, 2, (rows, 3)),
        ]
    )
    return checked(
        ResponseTables(
            base=rng.uniform(-3, -1, (k, r, f)),
            drag=rng.uniform(-0.3, 0.0, (k, c, g)) * (np.arange(g) > 0),
            uplift=uplift,
            dampening=np.exp(-rng.uniform(0, 1, (k, c, 1)) * np.arange(g)),
            unsubscribe=leave,
            fatigue_up=up,
            fatigue_down=rng.uniform(0.2, 1.0, (k, c, g)),
            frequency_up=rng.uniform(0.2, 0.8, (k, f)),
            frequency_down=rng.uniform(0.0, 0.3, (k, f)),
            margin=rng.uniform(10, 30, (k, r, f)),
            basket_cv=np.zeros(k),
            maturity=maturity,
            contact_cost=np.array([0.0, 0.1, 0.1, 0.3, 0.7]),
            offer_cost=np.array([0.0, 0.0, 4.0, 0.0, 2.0]),
            channel=MENU.channel,
            start=start,
            start_contacts=np.zeros((rows, c), np.int64),
            start_weight=rng.dirichlet(np.ones(rows), k),
        )
    )


def random_world(
    seed: int, customers: int = 64, *, members: int = 2, delays: int = 1, **settings: Any
) -> SequencingWorld:
    """A world of random tables."""
    given = SequencingSettings(**{"horizon_weeks": 12, "caps": {}, **settings})
    tables = random_tables(seed, members=members, delays=delays)
    return SequencingWorld.drawn(MENU, tables, customers, given, np.random.default_rng(seed))


def every_state(world: SequencingWorld, model: Program) -> SequencingState:
    """A copy in each state of the program, in its order."""
    place = np.indices(model.shape).reshape(len(model.shape), -1)
    state = blank(model.states, world.tables)
    state.recency[:], state.frequency[:] = place[:2]
    for c, level in enumerate(model.levels):
        state.fatigue[:, c] = place[2 + c]
        state.consent[:, c] = np.array(level)[place[2 + model.channels + c]]
    return state


def successors(
    tables: ResponseTables, r: int, f: int, g: tuple[int, ...], s: tuple[int, ...], action: int
) -> list[tuple[float, tuple[Any, ...], bool]]:
    """Every (chance, next state, bought) of member 0, by the formulas of tables.py, in loops."""
    recencies, frequencies, fatigues, channels, _ = tables.shape
    used = int(tables.channel[action])
    logit = tables.base[0, r, f] + sum(tables.drag[0, c, g[c]] for c in range(channels))
    if used >= 0:
        logit += tables.uplift[0, action, r, f] * tables.dampening[0, used, g[used]]
    buys = 1 / (1 + np.exp(-logit))
    leaves = tables.unsubscribe[0, action, g[used]] if used >= 0 else 0.0
    found = []
    for bought, moved, left, *stirred in product((0, 1), repeat=3 + channels):
        chance = buys if bought else 1 - buys
        move = tables.frequency_up[0, f] if bought else tables.frequency_down[0, f]
        chance *= move if moved else 1 - move
        chance *= leaves if left else 1 - leaves
        to_g = []
        for c in range(channels):
            table = tables.fatigue_up if c == used else tables.fatigue_down
            chance *= table[0, c, g[c]] if stirred[c] else 1 - table[0, c, g[c]]
            shift = (1 if c == used else -1) * stirred[c]
            to_g.append(min(max(g[c] + shift, 0), fatigues - 1))
        to_r = 0 if bought else min(r + 1, recencies - 1)
        to_f = min(max(f + (moved if bought else -moved), 0), frequencies - 1)
        to_s = tuple(0 if left and c == used else s[c] for c in range(channels))
        if chance > 0:
            found.append((float(chance), (to_r, to_f, *to_g, *to_s), bool(bought)))
    return found
