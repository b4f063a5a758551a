"""What a purchase is worth and when it is paid: the basket head and the delays of redemptions."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.contacts import ATTRIBUTION_WEEKS
from envs.sequencing.panel import FREQUENCIES, RECENCIES, Panel, Payments
from envs.sequencing.tables import Menu

Floats = NDArray[np.float64]

PRIOR_ROWS = 20.0
"""How many rows each class of frequency, and recency, starts with at the common basket."""

MOST_LAGS = ceil(ATTRIBUTION_WEEKS) + 1
"""Weeks into which a contact's redemptions can fall, its own included."""


class Baskets(NamedTuple):
    """The expected margin of a purchase by state, and how far single ones stray from it."""

    margin: Floats  # [R, F]
    cv: float  # standard deviation / mean


def baskets(panel: Panel, weight: Floats) -> Baskets:
    """log E[margin | purchase] = a + b_f + c r by a gamma likelihood, b and c shrunk to 0.

    A constant coefficient of variation is what gamma-gamma spending assumes of single baskets; the
    customer's own mean is known through recency and frequency alone, which are the state. Source:
    McCullagh and Nelder 1989, 8.2 (logarithmic link); Fader and Hardie 2013.
    """
    bought = panel.purchase & (weight > 0)
    y, w = panel.value[bought], weight[bought]
    design = _design(panel.recency[bought], panel.frequency[bought])
    mean = float(w @ y / max(w.sum(), 1e-12)) if len(y) else 0.0
    if not mean > 0:
        return Baskets(np.zeros((RECENCIES, FREQUENCIES)), 0.0)
    theta = np.zeros(design.shape[1])
    theta[0] = np.log(mean)
    prior = np.full(len(theta), PRIOR_ROWS)
    prior[0] = 0.0
    information = (design * w[:, None]).T @ design + np.diag(prior)
    for _ in range(100):
        score = design.T @ (w * (y * np.exp(-design @ theta) - 1)) - prior * theta
        change = np.linalg.solve(information, score)
        theta = theta + np.clip(change, -1, 1)
        if np.abs(change).max() < 1e-10:
            break
    r, f = (x.ravel() for x in np.mgrid[0:RECENCIES, 0:FREQUENCIES])
    strayed = y * np.exp(-design @ theta) - 1
    return Baskets(
        np.exp(_design(r, f) @ theta).reshape(RECENCIES, FREQUENCIES),
        float(np.sqrt(w @ strayed**2 / w.sum())),
    )


def _design(recency: NDArray[np.int64], frequency: NDArray[np.int64]) -> Floats:
    classes = frequency[:, None] == np.arange(FREQUENCIES)
    return np.column_stack([np.ones(len(recency)), classes, recency / RECENCIES])


def maturities(payments: Payments, menu: Menu, weight: Floats) -> Floats:
    """The share of a contact's margin that is paid l weeks after it, `[A, MOST_LAGS]`.

    `weight [p]` a payment, on top of its value. Only redeemed offers are tied to an earlier contact
    (gathering.py), so that the others pay in their week. Each offer starts with `PRIOR_ROWS`
    payments of all offers together.
    """
    offers = np.array([False, *(bool(offer) for _, offer in menu.contacts)])
    worth = weight * payments.value

    def shares(rows: NDArray[np.bool_]) -> Floats:
        return delay_pmf(payments.lag[rows], payments.follow_up[rows], worth[rows], MOST_LAGS)

    pooled = shares(offers[payments.action])
    found = np.zeros((len(offers), MOST_LAGS))
    found[:, 0] = 1.0
    for action in np.flatnonzero(offers):
        rows = payments.action == action
        total = weight[rows].sum()
        found[action] = (total * shares(rows) + PRIOR_ROWS * pooled) / (total + PRIOR_ROWS)
    return found


def delay_pmf(
    delay: NDArray[np.int64], follow_up: NDArray[np.int64], weight: Floats, lags: int
) -> Floats:
    """P(delay = l), l below `lags`, from responses that were seen: truncated on the right.

    A response of delay l is in the log only where `follow_up >= l`. By reverse hazards,
    h_l = w(delay = l) / w(delay <= l) over rows with follow_up >= l, F(l - 1) = F(l) (1 - h_l).
    Plain shares where everybody was followed for `lags` weeks; all at 0 without any response.
    Source: Kalbfleisch and Lawless, JASA 1989.
    """
    pmf, left = np.zeros(lags), 1.0
    for lag in range(lags - 1, 0, -1):
        rows = (follow_up >= lag) & (delay <= lag)
        total = weight[rows].sum()
        share = float(weight[rows & (delay == lag)].sum() / total) if total > 0 else 0.0
        pmf[lag], left = left * share, left * (1 - share)
    pmf[0] = left
    return pmf
