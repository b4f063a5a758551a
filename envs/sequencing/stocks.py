"""Decayed counts, the observable state of a customer where a log keeps no scores of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.events import FittedPart

FREQUENCY_DECAY = 0.5 ** (1 / 26)
"""Purchases lose half their weight in half a year."""

PRIOR_WEEKS = 4.0


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
    since: NDArray[np.float64],
    part: FittedPart,
    bins: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each customer's decayed rate of purchase weeks before each week, in classes.

    rate = (sum_j d^age bought_j + m prior) / (sum_j d^age + m prior), over the weeks watched, d of
    `FREQUENCY_DECAY` and `PRIOR_WEEKS` m at the mean rate, so that a short history is not taken for
    a low rate. `customer` and `at` (weeks) are of every purchase, `since [N]` is the week from
    which each customer was watched. Returns classes `[N, W]` and the rates that divide them: the
    quantiles .4, .7 and .9 of active customer-weeks. These and the mean rate are the part's alone.
    """
    weeks = active.shape[1]
    first = int(np.floor(min(since.min(), 0.0)))
    bought = np.zeros((len(active), weeks - first), bool)
    week = np.floor(at).astype(np.int64) - first
    inside = (week >= 0) & (week < bought.shape[1])
    bought[customer[inside], week[inside]] = True
    watched = np.arange(first, weeks) >= np.floor(since)[:, None]
    learned = np.outer(part.customers, np.arange(first, weeks) < part.before)
    mean = bought[watched & learned].mean()
    count, exposure = np.zeros(len(active)), np.zeros(len(active))
    rate = np.empty((len(active), weeks))
    for w in range(bought.shape[1]):
        if w + first >= 0:
            rate[:, w + first] = (count + PRIOR_WEEKS * mean) / (exposure + PRIOR_WEEKS)
        count = FREQUENCY_DECAY * count + (bought[:, w] & watched[:, w])
        exposure = FREQUENCY_DECAY * exposure + watched[:, w]
    mine = rate[active & learned[:, -weeks:]]
    edges = np.unique(np.quantile(mine, [0.4, 0.7, 0.9][: bins - 1]))
    return np.searchsorted(edges, rate, side="right"), edges
