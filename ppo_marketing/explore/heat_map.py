"""What a policy does over two state variables, the others held or averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.errors import UserError
from ppo_marketing.explore.answers import Decider
from ppo_marketing.explore.cases import GRID_POINTS, seen_values

Floats = NDArray[np.float64]

AVERAGED_STATES = 128
"""A mean over them is known to a tenth of a deviation."""
OUTLIERS = 0.01
"""The share of cases at either end of an axis that a picture does without."""
LARGEST_BATCH = 4_000_000
"""Numbers of one batch, rows x (observations + actions): 32 MB."""


@dataclass(frozen=True, eq=False)
class HeatMap:
    """`value [Y, X]` of the action at every pair of values of two variables, as shown.

    For choices it is the number of the likeliest and `certainty [Y, X]` its probability; for
    amounts `certainty` is NaN. `met [Y, X]` counts the known cases that fall nearest to each pair:
    where it is 0 the picture rests on nothing.
    """

    x: StateVariable
    y: StateVariable
    x_values: Floats
    y_values: Floats
    value: Floats
    certainty: Floats
    met: NDArray[np.int64]


def heat_map(
    decide: Decider,
    words: Words,
    observation: Array,
    mask: Array | None,
    x: str,
    y: str,
    *,
    seen: Array,
    row: int | None = None,
    points: int = GRID_POINTS,
) -> HeatMap:
    """Ask for the action at every pair; `seen [m, obs]` bounds the values, less its outliers.

    The other variables are those of state `row` of `observation [n, obs]`, or, where it is None,
    averaged over states spread evenly through them: mean probabilities, or mean amounts.

    Raises:
        UserError: x and y are the same.
    """
    if x == y:
        raise UserError(f"both axes are {x}: choose two different state variables")
    across, up = words.variable(x), words.variable(y)
    xs, ys = (seen_values(one, seen, points, OUTLIERS) for one in (across, up))
    base, base_mask = _held(observation, mask, row)
    value, certainty = np.empty((len(ys), len(xs))), np.full((len(ys), len(xs)), np.nan)
    width = base.shape[1] + (0 if base_mask is None else base_mask.shape[1])
    together = max(1, LARGEST_BATCH // (len(base) * width * len(xs)))
    for first in range(0, len(ys), together):
        part = ys[first : first + together]
        at_y, at_x, state = (
            grid.ravel() for grid in np.meshgrid(part, xs, np.arange(len(base)), indexing="ij")
        )
        rows = state.astype(np.int64)
        asked = up.put(across.put(base[rows], at_x), at_y)
        allowed = words.allowed(asked, None if base_mask is None else base_mask[rows])
        answers = decide(asked, allowed)
        shape = (len(part), len(xs), len(base))
        here = slice(first, first + len(part))
        if answers.probability is None:
            value[here] = answers.value.reshape(shape).mean(axis=2)
            continue
        mean = answers.probability.reshape(*shape, -1).mean(axis=2)
        value[here], certainty[here] = mean.argmax(axis=2), mean.max(axis=2)
    return HeatMap(across, up, xs, ys, value, certainty, _met(across, up, xs, ys, seen))


def _held(observation: Array, mask: Array | None, row: int | None) -> tuple[Array, Array | None]:
    count = min(len(observation), AVERAGED_STATES)
    rows = np.linspace(0, len(observation) - 1, count).astype(int) if row is None else [row]
    return observation[rows], None if mask is None else mask[rows]


def _met(
    x: StateVariable, y: StateVariable, xs: Floats, ys: Floats, seen: Array
) -> NDArray[np.int64]:
    place = [
        np.abs(one.shown(seen)[:, None] - values).argmin(axis=1)
        for one, values in ((y, ys), (x, xs))
    ]
    met = np.zeros((len(ys), len(xs)), np.int64)
    np.add.at(met, tuple(place), 1)
    return met
