"""What comes with busy and with quiet days, as a log itself shows it.

A season is days of `s` times the usual traffic. With the traffic move other amounts y of a day
(prices, response), by the elasticity that the log's own days have:

    log y_d = c + b log(traffic_d) + e_d,    a season's y = today's y x s^b
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.core.scenario import Remark

Floats = NDArray[np.float64]

ALIKE = 1.05
"""Days whose traffic differs by less than this factor show no season."""
LEAST_DAYS = 4
"""With fewer a line through days says nothing."""


@dataclass(frozen=True)
class Season:
    """The traffic of the quietest and of the busiest day of a log, x the mean day's, and the
    elasticities of what moves with traffic, by what people call it."""

    quietest: float
    busiest: float
    elasticity: Mapping[str, float]

    @classmethod
    def seen(
        cls, traffic: Floats, amounts: Mapping[str, Floats], weight: Floats | None = None
    ) -> Season:
        """The season of days with this traffic and these amounts above 0, all `[D]`.

        `weight [D]` says how well each day's amounts are known; None: alike.
        """
        relative = traffic / traffic.mean()
        moves = {
            name: elasticity(np.log(relative), np.log(amount), weight)
            for name, amount in amounts.items()
        }
        return cls(float(relative.min()), float(relative.max()), moves)

    def factor(self, name: str, season: float) -> float:
        """What an amount is multiplied by in a season: season^b."""
        return float(season ** self.elasticity[name])

    def remarks(self, season: float) -> tuple[Remark, ...]:
        """What a season brings with it, and whether the log had such days."""
        if season == 1:
            return ()
        brought = ", ".join(f"{name} x {self.factor(name, season):.3g}" for name in self.elasticity)
        if self.busiest < ALIKE * self.quietest:
            return (
                Remark(
                    "The log's days all had about the same traffic: what comes with a season of "
                    f"x {season:g} they do not show.",
                    beyond=True,
                ),
            )
        found = [Remark(f"On this log's days, traffic x {season:g} comes with {brought}.")]
        if not self.quietest <= season <= self.busiest:
            found.append(
                Remark(
                    f"The log's days had {self.quietest:.2g} to {self.busiest:.2g} times the usual "
                    f"traffic: what a season of x {season:g} brings is extrapolated.",
                    beyond=True,
                )
            )
        return tuple(found)


def elasticity(log_traffic: Floats, log_amount: Floats, weight: Floats | None = None) -> float:
    """The slope b of log amount on log traffic, both `[D]`, pulled to 0 as far as chance explains.

    b (1 - se^2 / b^2)+, se^2 the variance of the weighted least-squares slope b; 0 where days are
    too few or alike.

    Source: James and Stein 1961, positive part, of one slope.
    """
    days = len(log_traffic)
    w = np.ones(days) if weight is None else weight * (days / weight.sum())
    x = log_traffic - np.average(log_traffic, weights=w)
    y = log_amount - np.average(log_amount, weights=w)
    spread = float(w @ x**2)
    if days < LEAST_DAYS or spread < 1e-9:
        return 0.0
    slope = float(w @ (x * y)) / spread
    variance = float(w @ (y - slope * x) ** 2) / (days - 2) / spread
    return slope * max(0.0, 1.0 - variance / slope**2) if slope else 0.0
