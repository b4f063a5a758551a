"""What a customer is worth when a programme ends: left alone, or mailed on as consent allows.

    worth(state) = max_a V_a(state),  a in {no contact} and the contacts whose channel is consented

V_a is the discounted margin less costs of the next `terminal_weeks` under one simple rule: contact
a whenever the customer is rested and its channel has its turn. Turns keep every cap whatever was
sent before the end. The worth of consent is the part that a customer without it cannot reach. The
contact is chosen by the mean over the members, so that no member is known; each then pays its own.
A policy that could be followed, hence a lower bound of what the customer is worth to a good one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.dynamic_program import Program, program
from envs.sequencing.oracle import uncontacted
from envs.sequencing.settings import WEEKS_OF_A_YEAR, SequencingSettings
from envs.sequencing.tables import Menu, ResponseTables

Floats = NDArray[np.float64]
DAYS_A_WEEK = 7


def terminal_worth(
    menu: Menu, tables: ResponseTables, settings: SequencingSettings, price: Floats
) -> Floats:
    """V_a of every member, `[K, A, R, F, cells of fatigue]`, -inf for channels without capacity.

    `[K, 1, ...]`, no contact alone, where the horizon is a cut; zero where nothing follows it.
    """
    weeks = 0 if settings.end == "nothing" else settings.terminal_weeks
    recencies, frequencies = tables.shape[:2]
    found = []
    for k in range(tables.members):
        model = program(tables, k, settings.discount, price)
        worth = [uncontacted(model, weeks)]
        if settings.end == "terminal value" and weeks:
            for action, (channel, _) in enumerate(menu.contacts, 1):
                worth.append(cadence(model, action, turns(settings, channel, weeks)))
        found.append(np.stack(worth))
    stacked = np.stack(found)
    return stacked.reshape(*stacked.shape[:2], recencies, frequencies, -1)


def turns(settings: SequencingSettings, channel: str, weeks: int) -> NDArray[np.bool_]:
    """The weeks after the horizon in which a cadence may use the channel, `[weeks]`.

    A cap of n contacts in d days: every ceil(ceil(d / 7) / n) weeks, the first when no contact of
    before can share a window with it.
    """
    turn = np.zeros(weeks, np.bool_)
    contacts, days = settings.caps.get(channel, (1, DAYS_A_WEEK))
    if contacts and channel not in settings.closed_channels:
        span = -(-days // DAYS_A_WEEK)
        turn[span - 1 :: -(-span // contacts)] = True
    first = settings.first_week + settings.horizon_weeks
    turn[np.isin((first + np.arange(weeks)) % WEEKS_OF_A_YEAR, settings.quiet_weeks)] = False
    return turn


def cadence(model: Program, action: int, turn: NDArray[np.bool_]) -> Floats:
    """V of contacting with `action` in its turns when rested, of those who consent: `[R, F, g ..]`.

    -inf where it never has a turn or nobody consents.
    """
    c = int(model.channel[action])
    ones = [1] * model.channels
    if 1 not in model.levels[c] or not turn.any():
        return np.full(model.shape[: 2 + model.channels], -np.inf)
    level = ones.copy()
    level[c] = len(model.levels[c])
    value = np.zeros((*model.shape[: 2 + model.channels], *level))
    fatigue = np.indices(model.shape[2 : 2 + model.channels]).sum(axis=0)
    rested = (fatigue == 0).reshape(1, 1, *fatigue.shape, *ones)
    only = np.arange(len(model.channel)) == action
    for now in turn[::-1]:
        alone = model.alone(value)
        if now:
            contacted = model.q(value, allowed=only)[action]
            alone = np.where(rested & np.isfinite(contacted), contacted, alone)
        value = alone
    consenting = np.take(value, model.levels[c].index(1), axis=2 + model.channels + c)
    return np.asarray(consenting.reshape(model.shape[: 2 + model.channels]))


def terminal_grid(terminal: Floats, model: Program, k: int) -> Floats:
    """The worth of every state of member `k`, `[*shape]`."""
    grid = model.shape[: 2 + model.channels]
    ones = [1] * model.channels
    mean = terminal.mean(axis=0).reshape(-1, *grid, *ones)
    own = terminal[k].reshape(-1, *grid, *ones)
    best, worth = (np.broadcast_to(one[0], model.shape).copy() for one in (mean, own))
    for action in range(1, len(own)):
        c = int(model.channel[action])
        level = ones.copy()
        level[c] = len(model.levels[c])
        consented = np.array(model.levels[c]).reshape(1, 1, *ones, *level) == 1
        better = consented & (mean[action] > best)
        best = np.where(better, mean[action], best)
        worth = np.where(better, own[action], worth)
    return worth
