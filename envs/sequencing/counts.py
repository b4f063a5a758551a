"""How many purchases a step brings, where customers buy often: a gamma-Poisson filter.

    y_t ~ Poisson(theta_t exp(effect x_t)),   theta_t | y_1..t-1 ~ Gamma(shape_t, rate_t)
    shape_t+1 = memory (shape_t + y_t) + (1 - memory) shape_1
    rate_t+1  = memory (rate_t + exp(effect x_t)) + (1 - memory) rate_1

Every customer has a level of their own that drifts and, unseen for long, returns to that of all.
x_t = log(1 + contacts_t). Sources: Harvey and Fernandes, JBES 1989; the return is ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

Floats = NDArray[np.float64]


class CountHead(NamedTuple):
    """The level of all customers is Gamma(shape, rate); `memory` of a step in [0, 1]."""

    shape: float
    rate: float
    memory: float
    effect: float


class Level(NamedTuple):
    """What is known of every customer's level, `[N]`."""

    shape: Floats
    rate: Floats


def start(head: CountHead, customers: int) -> Level:
    """Before anything was seen."""
    return Level(np.full(customers, head.shape), np.full(customers, head.rate))


def expected(head: CountHead, level: Level, contacts: Floats) -> Floats:
    """E[y] of the next step under `contacts [N]`."""
    return np.asarray(level.shape / level.rate * _push(head, contacts))


def seen(head: CountHead, level: Level, contacts: Floats, purchases: Floats) -> Level:
    """The level after a step was watched."""
    return Level(
        head.memory * (level.shape + purchases) + (1 - head.memory) * head.shape,
        head.memory * (level.rate + _push(head, contacts)) + (1 - head.memory) * head.rate,
    )


def log_likelihood(head: CountHead, contacts: Floats, purchases: Floats) -> float:
    """Of `purchases [N, T]`, each step given those before it (negative binomials)."""
    level, total = start(head, len(purchases)), 0.0
    for x, y in zip(contacts.T, purchases.T, strict=True):
        push = _push(head, x)
        share = push / (level.rate + push)
        total += float((
            gammaln(level.shape + y) - gammaln(level.shape) - gammaln(y + 1)
            + level.shape * np.log1p(-share) + y * np.log(share)
        ).sum())  # fmt: skip
        level = seen(head, level, x, y)
    return total


def fit_counts(contacts: Floats, purchases: Floats) -> CountHead:
    """Maximum likelihood from `[N, T]` contacts and purchases.

    Raises ValueError where nobody bought or the two are not of one shape.
    """
    if contacts.shape != purchases.shape or not purchases.any():
        raise ValueError(
            f"contacts {contacts.shape} and purchases {purchases.shape}: they must be of one shape "
            "[customers, steps], with purchases in them"
        )

    def loss(theta: Floats) -> float:
        return -log_likelihood(_head(theta), contacts, purchases) / purchases.size

    first = np.array([0.0, -np.log(purchases.mean()), 1.0, 0.1])
    bounds = [(-4.0, 4.0), (-8.0, 8.0), (-6.0, 6.0), (-3.0, 3.0)]
    return _head(minimize(loss, first, method="L-BFGS-B", bounds=bounds).x)


def _head(theta: Floats) -> CountHead:
    memory = 1 / (1 + np.exp(-theta[2]))
    return CountHead(float(np.exp(theta[0])), float(np.exp(theta[1])), float(memory),
                     float(theta[3]))  # fmt: skip


def _push(head: CountHead, contacts: Floats) -> Floats:
    return np.asarray(np.exp(head.effect * np.log1p(contacts)))
