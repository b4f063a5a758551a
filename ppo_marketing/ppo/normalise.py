"""Running mean and variance, and the scale of observations built on them: what a policy needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

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
        """Return the moments with `rows` [n, size] added; equal to pooling all rows seen."""
        if len(rows) == 0:
            return self
        mean = rows.mean(axis=0, dtype=np.float64)
        return self.merged(len(rows), mean, ((rows - mean) ** 2).sum(axis=0))

    def merged(self, count: int, mean: Array, squares: Array) -> Self:
        """Return the moments with those of `count` other rows added.

        Source: Chan, Golub and LeVeque 1983, equation 2.1 (pairwise update).
        """
        total = self.count + count
        shift = mean - self.mean
        return replace(
            self,
            count=total,
            mean=self.mean + shift * (count / total),
            squares=self.squares + squares + shift**2 * (self.count * count / total),
        )


def centre_and_scale(moments: RunningMoments | None, size: int) -> tuple[Array, Array]:
    """Return what `normalise` subtracts and multiplies by, float64 [size]; nothing for None.

    Without statistics the scale is 0, which stands for "as it is" (and not even clipped).
    """
    if moments is None:
        return np.zeros(size), np.zeros(size)
    return moments.mean, 1.0 / np.sqrt(moments.variance + VARIANCE_FLOOR)


def normalise(observation: Array, moments: RunningMoments) -> Array:
    """Return clip((x - mean) / sqrt(variance + ε), ±10) as float32; [n, size] in and out."""
    centre, scale = centre_and_scale(moments, observation.shape[1])
    scaled = ((observation - centre) * scale).astype(np.float32)
    return np.clip(scaled, -OBSERVATION_LIMIT, OBSERVATION_LIMIT)
