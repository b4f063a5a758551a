"""How far a simulator may be trusted: checks with thresholds, and the statistics behind them.

Every statistic is a pure function of arrays; what is compared with what is a decision's own
business (`envs/<decision>/fidelity.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import poisson

Floats = NDArray[np.float64]

SIGNIFICANCE = 0.01
"""Sampling error is allowed for at this level, which is also the level of 1.63 / sqrt(n)."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of the simulator with held-out data, and whether it holds.

    `value` must lie in [`low`, `high`]; an infinite bound is none. `n` is the sample that was
    compared (rows, slots or days, as `unit` says), `meaning` one sentence for a reader who does
    not know the statistic.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    meaning: str

    @property
    def passed(self) -> bool:
        """Whether the value lies within its bounds; a value that is not a number does not."""
        return bool(self.low <= self.value <= self.high)


CurveKind = Literal["distribution", "calibration", "backtest", "forecast", "effect"]
"""What two lines compare: how outcomes are spread, chances with what came of them, totals when
acting otherwise, what was foretold with what came, or what an action changes."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Two lines to lay over each other: what held-out data show and what the simulator says.

    `n` is how many rows stand behind each point and `low` to `high` the simulator's 90 % interval;
    empty where they are not known.
    """

    name: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    observed: tuple[float, ...]
    simulated: tuple[float, ...]
    kind: CurveKind = "backtest"
    n: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FidelityReport:
    """All checks of one simulator on held-out days, and the curves that show them."""

    checks: tuple[Check, ...]
    curves: tuple[Curve, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check holds; a report without checks does not pass."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.passed)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; each check carries its verdict."""
        checks = [{**_finite(asdict(check)), "passed": check.passed} for check in self.checks]
        curves = [asdict(curve) for curve in self.curves]
        return {"passed": self.passed, "checks": checks, "curves": curves}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> FidelityReport:
        """The report that `as_dict` wrote; verdicts are computed again from the numbers."""
        lines = ("x", "observed", "simulated", "n", "low", "high")
        return cls(
            checks=tuple(
                Check(**{**check, **_bounds(check)})
                for check in (_without(row, "passed") for row in saved["checks"])
            ),
            curves=tuple(
                Curve(**{**curve, **{line: tuple(curve.get(line, ())) for line in lines}})
                for curve in saved["curves"]
            ),
        )


def _finite(check: dict[str, Any]) -> dict[str, Any]:
    # JSON has no infinity and no NaN: a bound or a value that is none is written as null.
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in check.items()
    }


def _bounds(check: Mapping[str, Any]) -> dict[str, float]:
    absent = {"value": np.nan, "low": -np.inf, "high": np.inf}
    return {name: none if check[name] is None else check[name] for name, none in absent.items()}


def _without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def ks_distance(sample: NDArray[Any], reference: NDArray[Any]) -> float:
    """sup_x |F_sample(x) - F_reference(x)| of two samples `[n]` and `[m]`."""
    points = np.concatenate([sample, reference])
    first = np.searchsorted(np.sort(sample), points, side="right") / len(sample)
    second = np.searchsorted(np.sort(reference), points, side="right") / len(reference)
    return float(np.abs(first - second).max())


def ks_threshold(n: int, floor: float) -> float:
    """max(floor, 1.63 / sqrt(n)): the 1 % point of the Kolmogorov statistic, never below `floor`.

    Source: MODELLING 2.6.
    """
    return max(floor, 1.63 / float(np.sqrt(max(n, 1))))


def randomised_pit(below: Floats, at_most: Floats, rng: Generator) -> Floats:
    """u = F(x-) + U (F(x) - F(x-)), uniform on (0, 1) when F is the law of x, atoms included.

    `below` is F(x-), `at_most` F(x), both `[n]`. Source: Brockwell 2007.
    """
    return below + rng.random(len(below)) * (at_most - below)


def count_ratio_bounds(expected: float, tolerance: float, level: float) -> tuple[float, float]:
    """The range of count / expected that a true ratio in [1 - tolerance, 1 + tolerance] explains.

    Poisson quantiles at level / 2 around the ends of the range.
    """
    low = poisson.ppf(level / 2, (1 - tolerance) * expected) / expected
    high = poisson.ppf(1 - level / 2, (1 + tolerance) * expected) / expected
    return float(min(low, 1 - tolerance)), float(max(high, 1 + tolerance))


def calibration_slope(probability: Floats, event: NDArray[Any]) -> tuple[float, float]:
    """Slope and standard error of logit P(event) = a + b logit(probability); 1 when calibrated.

    Maximum likelihood by Newton's method. Source: Cox 1958.
    """
    bounded = np.clip(probability, 1e-9, 1 - 1e-9)
    logit = np.log(bounded / (1 - bounded))
    design = np.column_stack([np.ones_like(logit), logit])
    weights = np.array([0.0, 1.0])
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-design @ weights))
        information = (design * (fitted * (1 - fitted))[:, None]).T @ design
        change = np.linalg.solve(information, design.T @ (event - fitted))
        weights = weights + change
        if np.abs(change).max() < 1e-10:
            break
    return float(weights[1]), float(np.sqrt(np.linalg.inv(information)[1, 1]))
