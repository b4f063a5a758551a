"""A limit on what episodes may cost, held by a price on the cost: CPA, contact volume, spend."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.ppo.checked import Checked, require

Floats = NDArray[np.float64]

LARGEST_ERROR = 1.0  # twice the limit: beyond it one bad measurement would wind the integral up
LARGEST_INTEGRAL = 10.0
"""At most this of λ is remembered: cost then weighs ten times the value, and a limit that is still
broken is out of reach. Summing on would only delay the return: what 1,000 adjustments at twice the
limit would add up takes as many at no use at all to take off. The source bounds I below alone."""
SMALLEST_FALL = 0.5
"""`below` falls at most to this share in one adjustment. Windows overlap, or hold an episode of
every copy: a real mean moves by less, and what halves it is chance in a count of few. By it the
costs of a ratio are divided, so that chance would multiply the rewards."""


@dataclass(frozen=True, kw_only=True)
class PIDLagrangian(Checked):
    """Keep what an episode costs within a limit by a price λ that a PID controller sets.

    J = mean episode total of `kpi`, or total of `kpi` / total of `per`
    Δ = J / ((1 - margin) limit) - 1, at most 1
    I ← clip(I + k_I Δ, 0, 10);  λ = max(0, k_P Δ + I + k_D max(0, Δ - Δ_previous))
    reward ← (r - λ c) / (1 + λ),  c summing to J / limit over an episode, less 1 for a ratio

    With k_P = k_D = 0 it is the plain Lagrangian, which overshoots and swings. Rewards sum to about
    one an episode, so that λ = 1 weighs the whole limit like the whole value; Δ is a share of the
    limit, so that one set of gains serves contacts and a CPA (benchmarks/results/constraint.json).
    The paper's Δ is in the cost's own units, and its gains are too.

    Source: Stooke, Achiam and Abbeel 2020, algorithm 2 and section 5.

    Raises:
        UserError: a setting is out of range.
    """

    kpi: str
    """The card's name of what is limited, such as contacts or spend."""
    limit: float
    """In units of `kpi` an episode, or of `kpi` per unit of `per`."""
    per: str | None = None
    """The KPI below the line, such as clicks, where the limit is on a ratio (a CPA)."""
    margin: float = 0.1
    """What training aims below the limit, as a share of it: use swings about what is aimed at."""
    proportional: float = 0.5
    """k_P: half beyond what is aimed at is charged with a quarter of the value at once, instead of
    when it has added up."""
    integral: float = 0.03
    """k_I: finds the price that is left when Δ is 0. A tenth beyond adds .1 in 33 adjustments, a
    thousand steps of every copy: slower than the policy answers, or the two would swing."""
    derivative: float = 0.5
    """k_D: equal to k_P, so that what rose since the last adjustment is charged twice; a fall is
    not rewarded, or the price would go before the use has gone."""
    accumulated: float = 0.0
    """I, kept by `updated`, not set by hand."""
    error: float | None = None
    """The last Δ, kept by `updated`."""
    price: float = 0.0
    """λ, kept by `updated`."""
    below: float | None = None
    """Mean episode total of `per`, kept by `updated`: what makes a ratio's c comparable. None until
    there was any of it, which counts as 1; a window without any keeps it (and `SMALLEST_FALL`)."""

    def __post_init__(self) -> None:
        require(
            ("limit", self.limit, 0.0 < self.limit < math.inf, "positive"),
            ("margin", self.margin, 0.0 <= self.margin < 1.0, "0 or more and below 1"),
            ("per", self.per, self.per != self.kpi, f"another KPI than {self.kpi!r}"),
            (
                "proportional",
                self.proportional,
                0.0 <= self.proportional < math.inf,
                "zero or more",
            ),
            (
                "integral",
                self.integral,
                0.0 < self.integral < math.inf,
                "above 0 and finite, or the limit is not held",
            ),
            ("derivative", self.derivative, 0.0 <= self.derivative < math.inf, "zero or more"),
        )

    @property
    def kpis(self) -> tuple[str, ...]:
        """The KPIs that every step must tell."""
        return (self.kpi,) if self.per is None else (self.kpi, self.per)

    def priced(self, reward: Floats, amounts: Floats) -> Floats:
        """Return the rewards less the price of what was used; `amounts [..., len(kpis)]`."""
        used = amounts[..., 0] / self.limit
        if self.per is not None:
            used = (used - amounts[..., 1]) / (1.0 if self.below is None else self.below)
        return np.asarray((reward - self.price * used) / (1.0 + self.price))

    def violation(self, totals: Floats) -> float:
        """Return J / limit - 1 over episodes with these `totals [episodes, len(kpis)]`.

        Infinite where a ratio has nothing below its line and something above it.
        """
        means = totals.mean(axis=0)
        if self.per is None:
            return float(means[0] / self.limit - 1.0)
        if means[1] <= 0:
            return math.inf if means[0] > 0 else -1.0
        return float(means[0] / (self.limit * means[1]) - 1.0)

    def updated(self, totals: Floats) -> Self:
        """Return the constraint with its price for the next updates, given ended episodes."""
        used = 1.0 + self.violation(totals)
        error = min(used / (1.0 - self.margin) - 1.0, LARGEST_ERROR)
        accumulated = min(max(0.0, self.accumulated + self.integral * error), LARGEST_INTEGRAL)
        rise = 0.0 if self.error is None else max(0.0, error - self.error)
        price = max(0.0, self.proportional * error + accumulated + self.derivative * rise)
        return replace(
            self, accumulated=accumulated, error=error, price=price, below=self._below(totals)
        )

    def _below(self, totals: Floats) -> float | None:
        mean = 0.0 if self.per is None else float(totals[:, 1].mean())
        if mean <= 0.0:
            return self.below
        return mean if self.below is None else max(mean, SMALLEST_FALL * self.below)
