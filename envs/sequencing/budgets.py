"""The prices at which shared budgets are just used: dual ascent on fitted customers.

Every round asks what the best stationary policy at the prices uses, by dynamic programming on the
members' mean and by playing it where caps hold. What a policy would use beyond the budget all the
same is cut in the week itself (world.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.capacity import budget_prices, one_step_gain
from envs.sequencing.dynamic_program import program
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import Menu, ResponseTables
from envs.sequencing.terminal import terminal_grid
from envs.sequencing.world import SequencingWorld, full_price

Floats = NDArray[np.float64]

CUSTOMERS = 1000
"""Over a year they show a use of .1 contacts a week to 2 % of it."""

ROUNDS = 30
"""Their shrinking steps add up to three times what anybody's contact earns in its week."""

BACKUPS = 10
"""A round: prices move little, so each goes on from the values of the one before."""


def priced(menu: Menu, tables: ResponseTables, settings: SequencingSettings) -> SequencingSettings:
    """The settings with a price for every budgeted channel that has none yet.

    Raises ValueError where a budget names a channel that is not on the menu.
    """
    settings.require_channels(menu.channels)
    sought = [c for c in settings.channel_budgets if c not in settings.channel_prices]
    if not sought:
        return settings
    free = replace(settings, channel_budgets={})
    mean = tables.mean()
    world = SequencingWorld.drawn(menu, mean, CUSTOMERS, free, np.random.default_rng(0))
    places = [menu.channels.index(channel) for channel in sought]
    value = terminal_grid(world.terms.terminal, world.program(0), 0)
    allowed = np.array([c < 0 or not world.terms.closed[c] for c in mean.channel])

    def at(price: Floats) -> SequencingSettings:
        found = {channel: float(p) for channel, p in zip(sought, price, strict=True)}
        return replace(settings, channel_prices={**settings.channel_prices, **found})

    def used(price: Floats) -> Floats:
        nonlocal value
        model = program(
            mean, 0, settings.discount, full_price(menu, mean, at(price)), settings.unsubscribe_cost
        )
        for _ in range(BACKUPS):
            value = model.best(value, allowed)
        policy = model.q(value, allowed=allowed).argmax(axis=0)
        state = world.starting(np.arange(CUSTOMERS))
        made = np.zeros(len(menu.channels))
        for _ in range(world.horizon):
            state = world.step(state, policy[model.index(state)], np.random.default_rng(0)).state
            made += (state.contacts & np.uint64(1)).sum(axis=0)
        return (made / (world.horizon * CUSTOMERS))[places]

    gains = one_step_gain(mean, world.starting(np.arange(CUSTOMERS)))
    budget = np.array([settings.channel_budgets[channel] for channel in sought])
    # A price of a few steps is more than anybody's contact earns in its week.
    step = max(float(gains.max()), 1e-9) / 3
    return at(budget_prices(used, budget, step=step, rounds=ROUNDS))
