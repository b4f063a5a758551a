"""Shared budgets: what a contact on a scarce channel must cost, and who gets the last ones.

While learning, every channel has a price that is added to its contacts' cost, moved by dual ascent
until the capacity is just used; in a live week customers are ranked by advantage and the channel
is cut at its capacity (MODELLING 3.2).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.kernel import SequencingState
from envs.sequencing.tables import ResponseTables

Floats = NDArray[np.float64]


def ascended(price: Floats, used: Floats, capacity: Floats, step: float) -> Floats:
    """One step of dual ascent: lambda + step (used - capacity) / capacity, never below 0; `[C]`.

    `price` and `step` are in currency a contact, `used` and `capacity` in contacts.
    """
    excess = (used - capacity) / np.maximum(capacity, np.finfo(np.float64).tiny)
    # An idle channel of no capacity would otherwise climb by the ratio of two nothings.
    return np.asarray(np.maximum(price + step * np.clip(excess, -1.0, 1.0), 0.0))


def budget_prices(
    used: Callable[[Floats], Floats],
    capacity: Floats,
    *,
    step: float,
    rounds: int,
) -> Floats:
    """The prices `[C]` at which `used(price) [C]` contacts meet the capacity, from 0 upwards.

    Steps shrink with the square root of the round; the mean over the second half is returned, since
    use jumps where a price tips a decision. `used` answers what a policy for those prices uses.
    """
    price = np.zeros(len(capacity))
    kept = []
    for i in range(rounds):
        price = ascended(price, used(price), capacity, step / np.sqrt(1 + i))
        if i >= rounds // 2:
            kept.append(price)
    return np.asarray(np.mean(kept, axis=0))


def within_capacity(
    advantage: Floats, channel: NDArray[np.int64], capacity: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The action of every customer, `[n]`, no channel beyond its capacity `[C]` contacts.

    `advantage [n, A]` is each action's worth over no contact (column 0), -inf where not allowed;
    `channel [A]` its channel, -1 for none. A full channel keeps its highest advantages; whom it
    turns away takes the next best that has room (deferred acceptance, Gale and Shapley 1962).
    """
    open_to = np.array(advantage, np.float64)
    open_to[:, 0] = 0.0
    while True:
        action = open_to.argmax(axis=1)
        turned_away = 0
        for c, limit in enumerate(capacity):
            asking = np.flatnonzero(channel[action] == c)
            if len(asking) > limit:
                worth = open_to[asking, action[asking]]
                # Equal worths: the earlier customer first.
                refused = asking[np.argsort(-worth, kind="stable")[limit:]]
                open_to[np.ix_(refused, np.flatnonzero(channel == c))] = -np.inf
                turned_away += len(refused)
        if not turned_away:
            return np.asarray(action)


def one_step_gain(tables: ResponseTables, state: SequencingState) -> NDArray[np.float64]:
    """Expected margin of this step less that of no contact, of every action: `[n, A]` currency.

    Mean over the members; the contact's cost and the offer's are taken off.
    """
    r, f = state.recency, state.frequency
    channels = np.arange(tables.shape[3])
    rest = tables.base[:, r, f] + tables.drag[:, channels, state.fatigue].sum(axis=-1)  # [K, n]
    margin = tables.margin[:, r, f]
    gain = np.zeros((len(r), len(tables.channel)))
    alone = margin / (1 + np.exp(-rest))
    for a, c in enumerate(tables.channel):
        if c >= 0:
            fading = tables.dampening[:, c, state.fatigue[:, c]]
            chance = 1 / (1 + np.exp(-rest - tables.uplift[:, a, r, f] * fading))
            earned = chance * (margin - tables.offer_cost[a])
            gain[:, a] = (earned - alone).mean(axis=0) - tables.contact_cost[a]
    return gain
