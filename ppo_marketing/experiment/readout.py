"""What came of a test: challenger against champion, with intervals, from one row an outcome."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, t

from ppo_marketing.errors import UserError
from ppo_marketing.intervals import Bounds, clustered_variance, newcombe

Floats = NDArray[np.float64]

MISMATCH = 0.001
"""Below this p the arms' sizes are not those that were dealt: something lost units by arm, and the
arms cannot be compared.

Source: Fabijan et al. 2019, KDD, who use .0005; Kohavi, Tang and Xu 2020, chapter 21, .001.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """The rows of a results file, each `[n]`.

    `unit` numbers the units, `challenger` says which arm a row is of, `outcome` is finite; `before`
    is the same quantity before the test, where that is known.
    """

    unit: NDArray[np.int64]
    challenger: NDArray[np.bool_]
    outcome: Floats
    before: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """One arm: its units, rows and mean outcome a row (adjusted, where there is a pre-period)."""

    units: int
    rows: int
    mean: float


@dataclass(frozen=True, kw_only=True)
class ReadOut:
    """The challenger's mean minus the champion's, and relative to it, with their intervals.

    `method` is "Newcombe", "Welch" or "clustered". `lift_bounds` is Fieller's; it is None, as is
    `lift`, where the champion's mean is not clearly above 0, since a quotient by about nothing can
    be anything. `mismatch_p` is the chance of arms as uneven as these. `variance_reduction` is what
    the pre-period took off the variance of the difference.
    """

    champion: ArmSummary
    challenger: ArmSummary
    difference: float
    difference_bounds: Bounds
    lift: float | None
    lift_bounds: Bounds | None
    method: str
    level: float
    mismatch_p: float
    variance_reduction: float | None

    @property
    def finding(self) -> str:
        """What may be concluded, in one word: better, worse or open."""
        if self.difference_bounds.low > 0:
            return "better"
        return "worse" if self.difference_bounds.high < 0 else "open"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "finding": self.finding}


def read_out(results: Results, share: float = 0.5, level: float = 0.95) -> ReadOut:
    """Compare the arms of a test in which the challenger was dealt `share` of the units.

    One row a unit and outcomes of 0 and 1: Newcombe's interval. One row a unit: Welch's. Several
    rows a unit: means over rows, their variance clustered by unit, Satterthwaite's degrees of
    freedom by clusters. A pre-period (`before`) makes the outcome y - θ (x - x̄) with θ the pooled
    slope within arms, whose mean is the same and whose variance is smaller; θ's own error is of
    second order.

    Sources: Welch 1947; Newcombe 1998; Fieller 1954; Deng, Xu, Kohavi and Walker 2013 (CUPED).

    Raises:
        UserError: the arms' sizes cannot come from the dealing, or an arm has fewer than two units.
    """
    p = sample_ratio_p(results, share)
    sides = [results.challenger == side for side in (False, True)]
    units = [len(np.unique(results.unit[rows])) for rows in sides]
    if min(units) < 2:
        raise UserError(
            f"the arms have {units[0]} and {units[1]} units: two or more each are needed"
        )
    if p < MISMATCH:
        raise UserError(
            f"the arms have {units[0]:,} and {units[1]:,} units, and shares of {1 - share:.4g} and "
            f"{share:.4g} were dealt (chi-square p = {p:.1e}, below {MISMATCH:g}): units were lost "
            "or added by arm, so that nothing can be concluded. Look for bots, redirects, crashes "
            "and filters that differ by arm, and whether --share is what was dealt"
        )
    y, reduction = _adjusted(results, sides)
    arms = [_arm(y[rows], results.unit[rows]) for rows in sides]
    several = len(np.unique(results.unit)) < len(results.unit)
    champion, challenger = arms
    difference = challenger.mean - champion.mean
    freedom = _satterthwaite(champion, challenger)
    quantile = float(t.ppf((1 + level) / 2, freedom))
    if reduction is None and not several and np.isin(y, (0.0, 1.0)).all():
        events = [int(y[rows].sum()) for rows in sides]
        method = "Newcombe"
        bounds = newcombe(events[1], units[1], events[0], units[0], level)
    else:
        method = "clustered" if several else "Welch"
        half = quantile * math.sqrt(champion.variance + challenger.variance)
        bounds = Bounds(difference - half, difference + half)
    lift = fieller(champion, challenger, quantile)
    return ReadOut(
        champion=ArmSummary(units=units[0], rows=int(sides[0].sum()), mean=champion.mean),
        challenger=ArmSummary(units=units[1], rows=int(sides[1].sum()), mean=challenger.mean),
        difference=difference,
        difference_bounds=bounds,
        lift=None if lift is None else difference / champion.mean,
        lift_bounds=lift,
        method=method,
        level=level,
        mismatch_p=p,
        variance_reduction=reduction,
    )


def sample_ratio_p(results: Results, share: float) -> float:
    """The chance of arms at least as uneven, in units, as those dealt by `share`: chi-square.

    Raises:
        UserError: the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise UserError(f"the challenger's share {share!r} must lie between 0 and 1")
    _, first = np.unique(results.unit, return_index=True)
    n, dealt = len(first), int(results.challenger[first].sum())
    expected = n * share
    statistic = (dealt - expected) ** 2 * (1 / expected + 1 / (n - expected))
    return float(chi2.sf(statistic, 1))


class Arm(NamedTuple):
    """A mean, its variance and the number of independent units behind it."""

    mean: float
    variance: float
    units: int


def fieller(champion: Arm, challenger: Arm, quantile: float) -> Bounds | None:
    """The interval of challenger / champion - 1: every ratio ρ that the data do not contradict.

        (m' - ρ m)² <= t² (v' + ρ² v)

    None where the champion's mean is not above 0 by more than t √v: the interval has no end then.

    Source: Fieller 1954.
    """
    m, v = champion.mean, champion.variance
    a = m * m - quantile**2 * v
    if m <= 0 or a <= 0:
        return None
    b = m * challenger.mean
    c = challenger.mean**2 - quantile**2 * challenger.variance
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Bounds((b - root) / a - 1.0, (b + root) / a - 1.0)


def _arm(y: Floats, unit: NDArray[np.int64]) -> Arm:
    mean = float(y.mean())
    variance = clustered_variance((y - mean) / len(y), unit)
    return Arm(mean, variance, len(np.unique(unit)))


def _satterthwaite(one: Arm, other: Arm) -> float:
    """The degrees of freedom of a sum of two variances; unbounded where there is no variance."""
    total = one.variance + other.variance
    parts = sum(arm.variance**2 / (arm.units - 1) for arm in (one, other))
    return total**2 / parts if parts > 0 else math.inf


def _adjusted(results: Results, sides: list[NDArray[np.bool_]]) -> tuple[Floats, float | None]:
    """The outcomes less what the pre-period foretold, and the share of variance that it took."""
    y, before = results.outcome, results.before
    if before is None:
        return y, None
    x = before.copy()
    centred = y.copy()
    for rows in sides:
        x[rows] -= before[rows].mean()
        centred[rows] -= y[rows].mean()
    spread = float(x @ x)
    slope = float(x @ centred) / spread if spread > 0 else 0.0
    adjusted = y - slope * (before - before.mean())
    plain, less = (
        sum(_arm(values[rows], results.unit[rows]).variance for rows in sides)
        for values in (y, adjusted)
    )
    return adjusted, 1.0 - less / plain if plain > 0 else 0.0
