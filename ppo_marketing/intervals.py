"""Intervals of rates, means and their differences; units may be clusters of rows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

Floats = NDArray[np.float64]


class Bounds(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


def wilson(events: int, n: int, level: float = 0.95) -> Bounds:
    """The score interval of a rate, events of n; it stays in [0, 1] and never has no width.

    Source: Wilson 1927.
    """
    interval = binomtest(events, n).proportion_ci(level, method="wilson")
    return Bounds(float(interval.low), float(interval.high))


def newcombe(events: int, n: int, other_events: int, other_n: int, level: float = 0.95) -> Bounds:
    """The interval of p - p' of two independent rates by their Wilson intervals (l, u), (l', u').

        p - p' - √((p - l)² + (u' - p')²)   to   p - p' + √((u - p)² + (p' - l')²)

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    p, q = events / n, other_events / other_n
    one, other = wilson(events, n, level), wilson(other_events, other_n, level)
    below = math.hypot(p - one.low, other.high - q)
    above = math.hypot(one.high - p, q - other.low)
    return Bounds(p - q - below, p - q + above)


def clustered_variance(score: Any, cluster: Any) -> float:
    """The variance of Σ_i score_i, `[n]`, of mean zero, clusters being independent.

        C / (C - 1) · Σ_c (Σ_{i in c} score_i)²

    Source: Liang and Zeger 1986. With one row a cluster and score (y - ȳ) / n it is s² / n.
    """
    _, number = np.unique(np.asarray(cluster), return_inverse=True)
    sums = np.bincount(number, np.asarray(score, np.float64))
    return float((sums**2).sum()) * len(sums) / max(len(sums) - 1, 1)


def normal(value: float, variance: float, level: float = 0.95) -> Bounds:
    """value ± z √variance."""
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt(variance)
    return Bounds(value - half, value + half)
