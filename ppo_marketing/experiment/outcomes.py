"""What a test measures of every unit, and how much luck there is in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ppo_marketing.errors import UserError


@dataclass(frozen=True)
class Proportion:
    """A rate: each unit converts or does not; `base` is the champion's.

    V_0 = p̄ (1 - p̄) / (s (1 - s)) with p̄ = (1 - s) p + s (p + δ), since no effect means one rate
    for all, and V_1 = p (1 - p) / (1 - s) + (p + δ) (1 - p - δ) / s.

    Source: Fleiss, Levin and Paik 2003, Statistical Methods for Rates and Proportions, chapter 4,
    without continuity correction; the same as R's power.prop.test.

    Raises:
        UserError: the rate is not between 0 and 1.
    """

    base: float

    def __post_init__(self) -> None:
        if not 0 < self.base < 1:
            raise UserError(
                f"a rate of {self.base!r} cannot be planned with: it must lie between 0 and 1, "
                "both excluded (2 % is .02)"
            )

    def variances(self, effect: float, share: float) -> tuple[float, float]:
        """V_0 and V_1, N times the variance of the difference without and with an effect δ.

        N are the units of both arms, `share` the challenger's part of them.
        """
        p, q = self.base, min(max(self.base + effect, 0.0), 1.0)
        pooled = (1 - share) * p + share * q
        alike = pooled * (1 - pooled) / (share * (1 - share))
        return alike, p * (1 - p) / (1 - share) + q * (1 - q) / share


@dataclass(frozen=True)
class Mean:
    """An amount a unit, such as revenue, with a standard deviation that the policy leaves alone.

    V_0 = V_1 = sd² / (s (1 - s)). `base` only serves to say effects in per cent.

    Raises:
        UserError: the standard deviation is not a positive number.
    """

    sd: float
    base: float = math.nan

    def __post_init__(self) -> None:
        if not 0 < self.sd < math.inf:
            raise UserError(f"a standard deviation of {self.sd!r} must be a positive number")

    def variances(self, effect: float, share: float) -> tuple[float, float]:
        """V_0 and V_1, as of a `Proportion`."""
        variance = self.sd**2 / (share * (1 - share))
        return variance, variance
