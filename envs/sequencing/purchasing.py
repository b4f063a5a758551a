"""Base purchasing: BG/NBD, purchases while alive as a Poisson process, death after a purchase.

A customer buys at rate lambda ~ Gamma(r, alpha) and after every purchase dies with chance
p ~ Beta(a, b). Source: Fader, Hardie and Lee, Marketing Science 24(2), 2005 (equations 3, 6, 9).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

Floats = NDArray[np.float64]


class Rhythm(NamedTuple):
    """What BG/NBD needs of `n` customers; times in weeks since the first purchase."""

    repeats: Floats  # [n] purchases after the first
    last: Floats  # [n] time of the last one, 0 without repeats
    observed: Floats  # [n] time up to which the customer was watched


class BgNbd(NamedTuple):
    """The four parameters; alpha in weeks."""

    r: float
    alpha: float
    a: float
    b: float


def rhythm(customer: NDArray[np.int64], at: Floats, until: float) -> Rhythm:
    """Repeat purchases up to `until`, by distinct times `at` (weeks) of every customer's purchases.

    Customers without a purchase by then are left out.
    """
    seen = at <= until
    pairs = np.unique(np.column_stack([customer[seen], at[seen]]), axis=0)
    _, first, count = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    start, end = pairs[first, 1], pairs[first + count - 1, 1]
    return Rhythm(repeats=count.astype(np.float64) - 1, last=end - start, observed=until - start)


def log_likelihood(model: BgNbd, seen: Rhythm) -> Floats:
    """The log-likelihood of every customer, `[n]` (their equation 6)."""
    r, alpha, a, b = model
    x, t, end = seen
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    alive = betaln(a, b + x) - (r + x) * np.log(alpha + end)
    more = np.maximum(x, 1)
    died = betaln(a + 1, b + more - 1) - (r + x) * np.log(alpha + t)
    return np.asarray(common + np.where(x > 0, np.logaddexp(alive, died), alive))


def fit_bgnbd(seen: Rhythm) -> BgNbd:
    """Maximum likelihood over the logs of the four parameters.

    Raises ValueError where no customer bought twice: the rhythm is not in the data.
    """
    if not (seen.repeats > 0).any():
        raise ValueError("no customer bought twice: a purchase rhythm cannot be fitted")
    rows, weight = np.unique(np.column_stack(seen).round(6), axis=0, return_counts=True)
    distinct = Rhythm(*rows.T)

    def loss(logs: Floats) -> float:
        return -float(weight @ log_likelihood(BgNbd(*np.exp(logs)), distinct) / weight.sum())

    start = np.log([0.5, max(1.0, float(seen.observed.mean()) / 5), 0.7, 2.0])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(-7.0, 7.0)] * 4,
                     options={"ftol": 1e-13, "gtol": 1e-8, "maxiter": 500})  # fmt: skip
    return BgNbd(*(float(value) for value in np.exp(found.x)))


def expected_repeats(model: BgNbd, time: Floats) -> Floats:
    """E[X(t)] of a customer chosen at random, `[n]` (their equation 9); 0 for negative times.

    (a+b-1)/(a-1) (1 - (alpha/(alpha+t))^r 2F1(r, b; a+b-1; t/(alpha+t))).
    """
    r, alpha, a, b = model
    t = np.maximum(time, 0.0)
    series = hyp2f1(r, b, a + b - 1, t / (alpha + t))
    return np.asarray((a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t)) ** r * series))


def expected_more(model: BgNbd, seen: Rhythm, time: float) -> Floats:
    """E[purchases in the next `time` weeks | what was seen], `[n]` (their equation 10)."""
    r, alpha, a, b = model
    x, _, end = seen
    series = hyp2f1(r + x, b + x, a + b + x - 1, time / (alpha + end + time))
    growth = 1 - ((alpha + end) / (alpha + end + time)) ** (r + x) * series
    return np.asarray((a + b + x - 1) / (a - 1) * growth * alive(model, seen))


def alive(model: BgNbd, seen: Rhythm) -> Floats:
    """P(not dead at the end of observation | what was seen), `[n]`."""
    r, alpha, a, b = model
    x, t, end = seen
    odds = a / (b + np.maximum(x, 1) - 1) * ((alpha + end) / (alpha + t)) ** (r + x)
    return np.asarray(1 / (1 + np.where(x > 0, odds, 0.0)))
