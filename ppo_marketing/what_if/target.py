"""The most that can be earned while every unit of money, or every event, keeps to a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError
from ppo_marketing.what_if.curve import Curve

Floats = NDArray[np.float64]
Measure = Literal["cpa", "roas"]

SPENDS_NOTHING = 1e-12


@dataclass(frozen=True)
class Limit:
    """At most `bound` of spend an additional event ("cpa"), or at least `bound` of additional value
    a unit of spend ("roas"); additional to doing nothing.

    Raises UserError where the bound is not above 0.
    """

    measure: Measure
    bound: float

    def __post_init__(self) -> None:
        if not 0 < self.bound < float("inf"):
            raise UserError(f"a target {self.measure} of {self.bound:g}: it must be above 0")

    def slack(self, curve: Curve) -> Floats:
        """What is left of the limit at each point, linear between them; 0 or more: kept, `[p]`.

        cpa: bound (E - E_0) - s; roas: (V - V_0) - bound s.
        """
        if self.measure == "cpa":
            return np.asarray(self.bound * (curve.events - curve.events[0]) - curve.spend)
        return np.asarray(curve.value - curve.value[0] - self.bound * curve.spend)

    def reached(self, curve: Curve, spend: float) -> float | None:
        """The measure at a spend; None where nothing is spent, or no event is gained."""
        gained = np.interp(spend, curve.spend, curve.events) - curve.events[0]
        if self.measure == "cpa":
            return float(spend / gained) if gained > 0 else None
        gain = curve.value_at(spend) - curve.value[0]
        return float(gain / spend) if spend > SPENDS_NOTHING else None


@dataclass(frozen=True)
class Target:
    """The spend with the largest value within a limit; `binds` where more would break the limit.

    `factor` is what to set the knob of spend to.
    """

    limit: Limit
    spend: float
    value: float
    factor: float
    reached: float | None
    binds: bool


def largest_within(curve: Curve, limit: Limit) -> Target:
    """Search the curve, stretch by stretch: both value and slack are linear in each, so exact.

    Raises UserError where no spend keeps to the limit, with the best that can be reached.
    """
    slack = limit.slack(curve)
    candidates = [float(s) for s, left in zip(curve.spend, slack, strict=True) if left >= 0]
    for i in range(len(slack) - 1):
        if (slack[i] >= 0) != (slack[i + 1] >= 0):
            share = slack[i] / (slack[i] - slack[i + 1])
            candidates.append(float(curve.spend[i] + share * np.diff(curve.spend)[i]))
    spending = [s for s in candidates if s > SPENDS_NOTHING]
    if not spending:
        known = [limit.reached(curve, float(s)) for s in curve.spend[1:]]
        reached = [one for one in known if one is not None]
        best = (min if limit.measure == "cpa" else max)(reached, default=float("nan"))
        raise UserError(
            f"no spend on this curve keeps to a {limit.measure.upper()} of {limit.bound:g}: the "
            f"best that is reached is {best:.4g}. Choose a target that can be met"
        )
    spend = max(spending, key=curve.value_at)
    return Target(
        limit=limit,
        spend=spend,
        value=curve.value_at(spend),
        factor=float(np.interp(spend, curve.spend, curve.factor)),
        reached=limit.reached(curve, spend),
        binds=bool(np.isclose(np.interp(spend, curve.spend, slack), 0, atol=1e-9 * spend + 1e-12)),
    )
