"""The smallest change of a state after which the policy does something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.explore.answers import Answers, Decider
from ppo_marketing.explore.cases import seen_values, spread, steps

Floats = NDArray[np.float64]

POINTS = 101
PAIR_POINTS = 11
MOST_PAIRED = 12
"""Variables that are changed two at a time, where none flips the action alone."""
HALVINGS = 24
CLEAR_CHANGE = 0.1
"""Of an amount: a tenth more or less is another decision."""


@dataclass(frozen=True)
class Change:
    """One variable moved from a value to another, as shown."""

    variable: StateVariable
    origin: float
    to: float


@dataclass(frozen=True)
class Flip:
    """Changes after which the action differs; `size` in deviations of what has been seen.

    `before` and `after` are values of `Answers`.
    """

    changes: tuple[Change, ...]
    size: float
    before: float
    after: float


@dataclass(frozen=True)
class _Scale:
    variable: StateVariable
    origin: float
    deviation: float

    def size(self, value: Floats) -> Floats:
        return steps(self.variable, value, self.origin, self.deviation)


def smallest_flips(
    decide: Decider,
    words: Words,
    observation: Array,
    mask: Array | None,
    *,
    seen: Array,
    change: float = CLEAR_CHANGE,
) -> tuple[Flip, ...]:
    """For each variable alone the smallest change that flips the action, smallest first.

    `observation [obs]` and `mask [A]` are of one state; values stay within what `seen [m, obs]`
    holds. An amount has flipped where it moved by `change` of itself. Where no variable does it
    alone, pairs are tried; empty where none does either.
    """
    scales = [
        _Scale(
            variable,
            float(variable.shown(observation[None])[0]),
            spread(variable, seen),
        )
        for variable in words.variables
    ]

    def asked(changed: Array) -> Answers:
        masks = None if mask is None else np.repeat(mask[None], len(changed), axis=0)
        return decide(changed, words.allowed(changed, masks))

    before = float(asked(observation[None]).value[0])

    def flipped(answers: Answers) -> NDArray[np.bool_]:
        if answers.chooses:
            return np.asarray(answers.value != before)
        return np.asarray(np.abs(answers.value - before) >= change * abs(before))

    found = [
        flip
        for scale in scales
        if (flip := _alone(scale, observation, seen, asked, flipped, before)) is not None
    ]
    if not found:
        found = [
            flip
            for one, other in combinations(scales[:MOST_PAIRED], 2)
            if (flip := _together(one, other, observation, seen, asked, flipped, before))
            is not None
        ]
    return tuple(sorted(found, key=lambda flip: flip.size))


_Asked = Callable[[Array], Answers]
_Flipped = Callable[[Answers], NDArray[np.bool_]]


def _alone(
    scale: _Scale, observation: Array, seen: Array, asked: _Asked, flipped: _Flipped, before: float
) -> Flip | None:
    values = seen_values(scale.variable, seen, POINTS)
    values = values[scale.size(values) > 0]
    if not len(values):
        return None

    def put(chosen: Floats) -> Array:
        return scale.variable.put(np.repeat(observation[None], len(chosen), axis=0), chosen)

    over = flipped(asked(put(values)))
    if not over.any():
        return None
    size = np.where(over, scale.size(values), np.inf)
    to = float(values[size.argmin()])
    if not scale.variable.levels:
        to = _boundary(scale.origin, to, lambda value: bool(flipped(asked(put(np.array([value]))))))
    after = float(asked(put(np.array([to]))).value[0])
    moved = float(scale.size(np.array([to]))[0])
    return Flip((Change(scale.variable, scale.origin, to),), moved, before, after)


def _boundary(inside: float, outside: float, over: Callable[[float], bool]) -> float:
    """The value nearest to `inside` that is over, by bisection; `outside` is."""
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        if over(middle):
            outside = middle
        else:
            inside = middle
    return outside


def _together(
    one: _Scale,
    other: _Scale,
    observation: Array,
    seen: Array,
    asked: _Asked,
    flipped: _Flipped,
    before: float,
) -> Flip | None:
    axes = [seen_values(scale.variable, seen, PAIR_POINTS) for scale in (one, other)]
    first, second = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    base = np.repeat(observation[None], len(first), axis=0)
    answers = asked(other.variable.put(one.variable.put(base, first), second))
    over = flipped(answers)
    if not over.any():
        return None
    size = np.where(over, np.hypot(one.size(first), other.size(second)), np.inf)
    best = int(size.argmin())
    changes = (
        Change(one.variable, one.origin, float(first[best])),
        Change(other.variable, other.origin, float(second[best])),
    )
    return Flip(changes, float(size[best]), before, float(answers.value[best]))
