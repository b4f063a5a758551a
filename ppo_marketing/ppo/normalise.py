"""Running mean and variance, and the scales of observations and rewards built on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ppo_marketing.ppo.fused.compiled import njit

Array = npt.NDArray[Any]

VARIANCE_FLOOR = 1e-8  # keeps a feature that never varied from being divided by zero
OBSERVATION_LIMIT = 10.0  # standard deviations: beyond them tanh is saturated anyway


@dataclass(frozen=True)
class RunningMoments:
    """Count, mean and sum of squared deviations of every row seen so far, in float64."""

    count: int
    mean: Array
    squares: Array

    @classmethod
    def empty(cls, size: int) -> Self:
        """Return the moments of no rows at all, `size` features wide."""
        return cls(0, np.zeros(size), np.zeros(size))

    @property
    def variance(self) -> Array:
        """The population variance, shape [size]; one before any row was seen."""
        return self.squares / self.count if self.count else np.ones_like(self.mean)

    def updated(self, rows: Array) -> Self:
        """Return the moments with `rows` [n, size] added; equal to pooling all rows seen.

        Source: Chan, Golub and LeVeque 1983, equation 2.1 (pairwise update).
        """
        if len(rows) == 0:
            return self
        mean, squares = np.empty_like(self.mean), np.empty_like(self.mean)
        _moments_of(np.ascontiguousarray(rows), mean, squares)
        count = self.count + len(rows)
        shift = mean - self.mean
        return replace(
            self,
            count=count,
            mean=self.mean + shift * (len(rows) / count),
            squares=self.squares + squares + shift**2 * (self.count * len(rows) / count),
        )


@njit
def _moments_of(rows: Any, mean: Any, squares: Any) -> None:
    """Mean and sum of squared deviations of every column, in two passes of float64."""
    mean[:] = 0.0
    squares[:] = 0.0
    for row in range(len(rows)):
        for column in range(len(mean)):
            mean[column] += rows[row, column]
    mean /= len(rows)
    for row in range(len(rows)):
        for column in range(len(mean)):
            squares[column] += (rows[row, column] - mean[column]) ** 2


def centre_and_scale(moments: RunningMoments | None, size: int) -> tuple[Array, Array]:
    """Return what `normalise` subtracts and multiplies by, float64 [size]; nothing for None.

    Without statistics the scale is 0, which stands for "as it is" (and not even clipped).
    """
    if moments is None:
        return np.zeros(size), np.zeros(size)
    return moments.mean, 1.0 / np.sqrt(moments.variance + VARIANCE_FLOOR)


@njit
def normalise_rows(observation: Any, centre: Any, scale: Any, out: Any) -> None:
    """Write normalised rows [n, size] into `out`, float32."""
    for row in range(len(observation)):
        for column in range(len(centre)):
            x = observation[row, column]
            if scale[column] > 0.0:
                scaled = (x - centre[column]) * scale[column]
                # Comparisons, not min and max: what is not a number must stay so.
                scaled = OBSERVATION_LIMIT if scaled > OBSERVATION_LIMIT else scaled
                scaled = -OBSERVATION_LIMIT if scaled < -OBSERVATION_LIMIT else scaled
                out[row, column] = scaled
            else:
                out[row, column] = x


def normalise(observation: Array, moments: RunningMoments) -> Array:
    """Return clip((x - mean) / sqrt(variance + ε), ±10) as float32; [n, size] in and out."""
    if observation.dtype.kind != "f":
        observation = observation.astype(np.float64)
    out = np.empty(observation.shape, np.float32)
    normalise_rows(observation, *centre_and_scale(moments, observation.shape[1]), out)
    return out


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
        discounted = self.discounted
        returns = np.empty(reward.shape)
        for step in range(len(reward)):
            discounted = np.where(valid[step], self.gamma * discounted + reward[step], discounted)
            returns[step] = discounted
            discounted = np.where(ended[step], 0.0, discounted)
        moments = self.moments.updated(returns[valid][:, None])
        return replace(self, moments=moments, discounted=discounted)

    @property
    def factor(self) -> float:
        """What a reward is multiplied by: 1 / sd(G), or 1 while no return has varied."""
        variance = float(self.moments.variance[0])
        return 1.0 / float(np.sqrt(variance)) if variance > VARIANCE_FLOOR else 1.0
