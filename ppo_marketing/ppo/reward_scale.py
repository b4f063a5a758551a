"""The running scale of rewards: for training alone, so that no stored policy needs its compiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ppo_marketing.ppo.fused.compiled import njit
from ppo_marketing.ppo.normalise import VARIANCE_FLOOR, RunningMoments

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return.

    G_t = γ G_{t-1} + r_t, back to zero after an episode's end; scaled reward = r / sd(G).
    The mean is left alone: shifting rewards would change what a long episode is worth.
    """

    moments: RunningMoments
    discounted: Array  # [N], G of each copy so far
    gamma: float

    @classmethod
    def empty(cls, copies: int, gamma: float) -> Self:
        """Return the scale before any reward was seen."""
        return cls(RunningMoments.empty(1), np.zeros(copies), gamma)

    def updated(self, reward: Array, ended: Array, valid: Array) -> Self:
        """Return the scale after a rollout; all three are [T, N], rows not `valid` are skipped."""
        discounted, mean, squares = self.discounted.copy(), np.zeros(1), np.zeros(1)
        returns = np.empty(reward.shape)
        count = _discount(reward, ended, valid, self.gamma, discounted, returns, mean, squares)
        moments = self.moments.merged(count, mean, squares) if count else self.moments
        return replace(self, moments=moments, discounted=discounted)

    @property
    def factor(self) -> float:
        """What a reward is multiplied by: 1 / sd(G), or 1 while no return has varied."""
        variance = float(self.moments.variance[0])
        return 1.0 / float(np.sqrt(variance)) if variance > VARIANCE_FLOOR else 1.0


@njit
def _discount(
    reward: Any,
    ended: Any,
    valid: Any,
    gamma: float,
    discounted: Any,
    returns: Any,
    mean: Any,
    squares: Any,
) -> int:
    """Carry G [N] on in place; give all valid ones' count, mean [1], squared deviations [1]."""
    count = 0
    for step in range(len(reward)):
        for copy in range(len(discounted)):
            if valid[step, copy]:
                discounted[copy] = gamma * discounted[copy] + reward[step, copy]
                count += 1
                mean[0] += discounted[copy]
            returns[step, copy] = discounted[copy]
            if ended[step, copy]:
                discounted[copy] = 0.0
    mean[0] /= max(count, 1)
    for step in range(len(reward)):
        for copy in range(len(discounted)):
            if valid[step, copy]:
                squares[0] += (returns[step, copy] - mean[0]) ** 2
    return count
