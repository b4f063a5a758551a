"""What is done to every row of a rollout, compiled: its statistics and its normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppo_marketing.ppo.fused.compiled import Array, njit
from ppo_marketing.ppo.normalise import OBSERVATION_LIMIT


def column_moments(rows: Array) -> tuple[int, Array, Array]:
    """Return count, mean and sum of squared deviations [size] of `rows` [n, size], n > 0."""
    mean, squares = np.empty(rows.shape[1]), np.empty(rows.shape[1])
    _column_moments(np.ascontiguousarray(rows), mean, squares)
    return len(rows), mean, squares


@njit
def _column_moments(rows: Any, mean: Any, squares: Any) -> None:
    """In two passes of float64."""
    mean[:] = 0.0
    squares[:] = 0.0
    for row in range(len(rows)):
        for column in range(len(mean)):
            mean[column] += rows[row, column]
    mean /= len(rows)
    for row in range(len(rows)):
        for column in range(len(mean)):
            squares[column] += (rows[row, column] - mean[column]) ** 2


@njit
def normalise_rows(observation: Any, centre: Any, scale: Any, out: Any) -> None:
    """Write `normalise` of rows [n, size] into `out`, float32; of `centre_and_scale`'s result."""
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
