"""Few runs, compared honestly: robust means over seeds, their intervals, curves at common steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def interquartile_mean(values: Any, axis: int = -1) -> Floats:
    """The mean of the middle half: of n sorted values, those from the n/4-th to the 3n/4-th.

    A value that straddles a quarter counts with the part that lies inside, so that three values
    have the weights 1/6, 4/6, 1/6. Where 4 divides n it is scipy's trim_mean(values, 1/4).

    Source: Agarwal et al. 2021, section 4.3, for its use on runs.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=axis)
    n = ordered.shape[axis]
    first, last = n / 4, 3 * n / 4
    place = np.arange(n)
    inside = np.clip(np.minimum(place + 1, last) - np.maximum(place, first), 0.0, None)
    return np.asarray(np.moveaxis(ordered, axis, -1) @ (inside / inside.sum()))


def stratified_draws(scores: Floats, repetitions: int, rng: Generator) -> Floats:
    """Scores `[runs, tasks]` with each task's runs drawn anew: `[repetitions, runs, tasks]`.

    Source: Agarwal et al. 2021, section 4.2: tasks are strata, their runs resampled apart.
    """
    runs, tasks = scores.shape
    drawn = rng.integers(0, runs, (repetitions, runs, tasks))
    return np.asarray(np.take_along_axis(scores[None], drawn, axis=1))


def interquartile_interval(
    scores: Floats, repetitions: int, rng: Generator, *, level: float = 0.95
) -> tuple[float, float, float]:
    """The interquartile mean over all runs and tasks of scores `[runs, tasks]`, and its interval.

    The interval is the percentile one of the stratified bootstrap; of few runs it says little more
    than how far they lie apart, and of one run nothing.
    """
    drawn = stratified_draws(scores, repetitions, rng).reshape(repetitions, -1)
    tail = (1.0 - level) / 2
    low, high = np.quantile(interquartile_mean(drawn), [tail, 1.0 - tail])
    return float(interquartile_mean(scores.ravel())), float(low), float(high)


def at_common_steps(steps: Sequence[float], scores: Sequence[float] | Floats, grid: Any) -> Floats:
    """A curve's scores at the steps of `grid`, linear in between; NaN beyond its last step."""
    return np.asarray(np.interp(grid, steps, scores, right=np.nan), np.float64)


def largest_drop(scores: Sequence[float] | Floats) -> float:
    """The largest loss from one point of a curve to the next; 0 where it never falls.

    Between a point that is NaN and its neighbours nothing is lost.
    """
    return float(np.fmax.reduce(-np.diff(scores), initial=0.0)) + 0.0  # no minus zero
