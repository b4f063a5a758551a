"""Decayed counts, the observable state of a customer where a log keeps no scores of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FREQUENCY_DECAY = 0.5 ** (1 / 26)
"""Purchases lose half their weight in half a year."""


def decayed_bins(contacted: NDArray[np.bool_], decay: float, bins: int) -> NDArray[np.int64]:
    """x <- decay x + contact, before each week's decision and rounded down: `[N, W]`, below `bins`.

    The stock of a customer contacted every week tends to 1 / (1 - decay). Source: MODELLING 3.1.
    """
    stock = np.zeros(len(contacted))
    found = np.empty(contacted.shape, np.int64)
    for week in range(contacted.shape[1]):
        found[:, week] = np.minimum(np.floor(stock + 0.5), bins - 1)
        stock = decay * stock + contacted[:, week]
    return found


def frequency_bins(
    customer: NDArray[np.int64],
    at: NDArray[np.float64],
    active: NDArray[np.bool_],
    weeks: int,
    bins: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Decayed purchase counts before each week, cut where they divide active customer-weeks best.

    `customer` and `at` (weeks) are of every purchase. Returns bins `[N, W]` and the edges; edges
    are the quantiles .55, .80, .93, at least half a purchase apart.
    """
    week = np.floor(at).astype(np.int64)
    stock = np.zeros(len(active))
    early = week < 0
    np.add.at(stock, customer[early], FREQUENCY_DECAY ** (-1.0 - week[early]))
    bought = np.zeros((len(active), weeks))
    inside = (week >= 0) & (week < weeks)
    np.add.at(bought, (customer[inside], week[inside]), 1.0)
    counts = np.empty((len(active), weeks))
    for w in range(weeks):
        counts[:, w] = stock
        stock = FREQUENCY_DECAY * stock + (bought[:, w] > 0)
    edges = np.quantile(counts[active], [0.55, 0.8, 0.93][: bins - 1])
    for i in range(len(edges)):
        edges[i] = max(edges[i], 0.5 + (edges[i - 1] if i else 0.0))
    return np.searchsorted(edges, counts, side="right"), edges
