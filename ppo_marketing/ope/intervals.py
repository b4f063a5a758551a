"""Intervals of an estimate: normal, bootstrapped over units, empirical Bernstein."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import t

from ppo_marketing.ope.feedback import Decisions, Floats
from ppo_marketing.ope.terms import Terms, combine

BLOCKS = 1000
"""Units are dealt to at most so many blocks, which are drawn anew in place of units."""

REPETITIONS = 1000


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def normal_interval(value: float, error: float, units: int, *, level: float = 0.95) -> Interval:
    """value ± t error, t of the t-distribution with units - 1 degrees of freedom.

    Source: Cameron and Miller 2015, section VI.D, for few clusters; of many it is the normal's.
    """
    reach = float(t.ppf(0.5 + level / 2, max(units - 1, 1))) * error
    return Interval(value - reach, value + reach)


def bootstrap_values(
    terms: Sequence[Terms], decisions: Decisions, rng: Generator, *, repetitions: int = REPETITIONS
) -> Floats:
    """Every estimate on logs whose units are drawn anew, `[repetitions, estimators]`.

    Units are dealt at random to at most `BLOCKS` blocks; a block is drawn whole, so that rows of
    one unit are never parted, and all estimators see the same draws: differences are paired.
    Impressions of a log of counts (weights above 1, no units) are so many that their sums are
    drawn as normal ones, with the covariance of independent impressions.

    Source: Efron and Tibshirani 1993, chapter 8; of clusters, Field and Welsh 2007.
    """
    sums = _sums(terms, decisions, rng, repetitions)
    impressions, parts = (
        sums[:, 0, None],
        sums[:, 1:].reshape(repetitions, -1, 3) / sums[:, :1, None],
    )
    assert (impressions > 0).all()
    return combine(parts[..., 0], parts[..., 1], parts[..., 2])


def _sums(terms: Sequence[Terms], decisions: Decisions, rng: Generator, repetitions: int) -> Floats:
    """Redrawn sums of 1 and of every estimator's columns, `[repetitions, 1 + 3 estimators]`."""
    ones = np.ones_like(decisions.weight)
    columns = [ones]
    for term in terms:
        columns += [term.base, term.correction]
        columns.append(ones if term.normaliser is None else term.normaliser)
    if decisions.unit is None and (decisions.weight != 1.0).any():
        return _normal_sums(columns, decisions.weight, rng, repetitions)
    block = _blocks(decisions, rng)
    count = int(block.max()) + 1
    totals = np.column_stack(
        [np.bincount(block, decisions.weight * column, count) for column in columns]
    )
    draws = rng.multinomial(count, np.full(count, 1 / count), repetitions)
    return np.asarray(draws.astype(np.float64) @ totals)


def _normal_sums(
    columns: Sequence[Floats], weight: Floats, rng: Generator, repetitions: int
) -> Floats:
    k = len(columns)
    n = weight.sum()
    mean = np.array([weight @ column for column in columns]) / n
    covariance = np.empty((k, k))
    for i in range(k):
        scaled = weight * (columns[i] - mean[i])
        for j in range(i, k):
            covariance[i, j] = covariance[j, i] = scaled @ (columns[j] - mean[j])
    # Columns repeat (every normaliser 1): the covariance is singular, which eigenvalues bear.
    roots, vectors = np.linalg.eigh(covariance)
    spread = vectors * np.sqrt(np.clip(roots, 0.0, None))
    return np.asarray(n * mean + rng.standard_normal((repetitions, k)) @ spread.T)


def _blocks(decisions: Decisions, rng: Generator) -> NDArray[np.int64]:
    """The block of every row, `[n]`; all rows of a unit are in one."""
    units = decisions.units
    dealt = rng.permutation(units) % BLOCKS if units > BLOCKS else np.arange(units)
    return np.asarray(dealt if decisions.unit is None else dealt[decisions.unit])


def percentile_interval(draws: Floats, *, level: float = 0.95) -> Interval:
    """The middle `level` of bootstrap draws `[repetitions]`."""
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high))


def lower_bound(draws: Floats, *, level: float = 0.95) -> float:
    """What all but 1 - level of bootstrap draws `[repetitions]` exceed: one-sided."""
    return float(np.quantile(draws, 1 - level))


def empirical_bernstein(
    values: Floats, low: float, high: float, *, level: float = 0.95, weight: Floats | None = None
) -> Interval:
    """An interval of the mean of independent values within [low, high]: right at every n.

    mean ± √(2 s² log(4 / α) / n) + 7 (high - low) log(4 / α) / (3 (n - 1)),  α = 1 - level,

    s² the sample variance; `weight` says how many values an entry stands for. The bounds of the
    values must be known beforehand, not read off the values.

    Source: Maurer and Pontil 2009, theorem 4, once for each side at α / 2.
    """
    weight = np.ones_like(values) if weight is None else weight
    n = float(weight.sum())
    mean = float(weight @ values) / n
    if n < 2:
        return Interval(low, high)
    variance = float(weight @ (values - mean) ** 2) / (n - 1)
    log = math.log(4 / (1 - level))
    reach = math.sqrt(2 * variance * log / n) + 7 * (high - low) * log / (3 * (n - 1))
    return Interval(max(mean - reach, low), min(mean + reach, high))
