"""The best page for a visitor: which item on which position, exactly.

    max over injective a:  sum_p sigmoid(s_{a(p)} + e_p)

Where all s + e < 0 the summand is supermodular (the sigmoid is convex there), so that the best
items in order of s on the positions in order of e are optimal (rearrangement inequality); elsewhere
it is a linear assignment problem. Where the items compete for one reward, W / (1 + W) rises with
W = sum_p exp(s_{a(p)}) exp(e_p), a sum of products, so that the same order is always optimal.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from envs.personalization.model import Floats, Ints, sigmoid


def best_slate_value(logit: Floats, effect: Floats, first: Ints) -> Floats:
    """The expected rewards of the best completion of every page, `[n]`.

    `logit [n, A]` are the items' (-inf where excluded), `effect [n, P]` the positions' effects,
    `first [n]` the first position still to fill; P at most the number of items left.
    """
    n, slots = effect.shape
    if slots == 1:
        return np.where(first < 1, sigmoid(logit.max(axis=1) + effect[:, 0]), 0.0)
    # One item for every open position can matter: the best `slots` of each row.
    top = -np.sort(-np.partition(logit, -slots, axis=1)[:, -slots:], axis=1)  # [n, P] falling
    value = np.zeros(n)
    for start in range(slots):
        rows = np.flatnonzero(first == start)
        if len(rows) == 0:
            continue
        items = top[rows, : slots - start]
        positions = -np.sort(-effect[rows, start:], axis=1)
        value[rows] = sigmoid(items + positions).sum(axis=1)
        convex = (items[:, 0] + positions[:, 0]) < 0
        for row in np.flatnonzero(~convex):
            value[rows[row]] = _assigned(items[row], positions[row])
    return value


def best_choice_value(logit: Floats, effect: Floats, first: Ints, attraction: Floats) -> Floats:
    """What the best completion of every page adds to P(some item is chosen), `[n]`.

    Arguments as of `best_slate_value`; `attraction [n]` is the sum of w over the page so far.
    """
    slots = effect.shape[1]
    top = -np.sort(-np.partition(logit, -slots, axis=1)[:, -slots:], axis=1)  # [n, P] falling
    gain = np.zeros(len(logit))
    for start in range(slots):
        rows = np.flatnonzero(first == start)
        positions = -np.sort(-effect[rows, start:], axis=1)
        gain[rows] = np.exp(top[rows, : slots - start] + positions).sum(axis=1)
    whole = attraction + gain
    return np.asarray(whole / (1 + whole) - attraction / (1 + attraction))


def _assigned(item: Floats, position: Floats) -> float:
    chance = sigmoid(item[:, None] + position[None])
    where = linear_sum_assignment(chance, maximize=True)
    return float(chance[where].sum())
