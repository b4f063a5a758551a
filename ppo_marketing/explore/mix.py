"""Which actions are taken how often: over time, and by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from envs.core.words import StateVariable
from envs.core.world import Array
from ppo_marketing.explore.answers import Answers

Floats = NDArray[np.float64]

MOST_GROUPS = 12
"""More are more than a picture can tell apart."""
SEGMENTS = 5
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, eq=False)
class Mix:
    """What is done in each of G groups of states, `count [G]` of them.

    Choices: `share [G, A]`. Amounts: `quantiles [G, 5]`, at 10, 25, 50, 75 and 90 %, and `share`
    is None.
    """

    groups: tuple[str, ...]
    count: NDArray[np.int64]
    share: Floats | None
    quantiles: Floats | None


def mix_over_time(answers: Answers, step: NDArray[np.int64], horizon: int) -> Mix:
    """By the step of the episode; steps are put together where there are more than MOST_GROUPS."""
    width = -(-horizon // MOST_GROUPS)
    group = step // width
    names = [
        f"{first + 1}" if width == 1 else f"{first + 1}–{min(first + width, horizon)}"
        for first in range(0, horizon, width)
    ]
    return _mix(answers, group, names)


def mix_by_segment(answers: Answers, variable: StateVariable, observation: Array) -> Mix:
    """By a state variable: its levels, or fifths of its values of equal size."""
    names, group = segments(variable, observation)
    return _mix(answers, group, names)


def segments(
    variable: StateVariable, observation: Array
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The levels of a state variable, or fifths of its values, and which `[n]` are of each."""
    shown = variable.shown(observation)
    if variable.levels:
        return variable.levels, shown.astype(np.int64)
    distinct = np.unique(shown)
    if len(distinct) <= SEGMENTS:
        return tuple(f"{v:.3g}" for v in distinct), np.searchsorted(distinct, shown)
    edges = np.unique(np.quantile(shown, np.linspace(0, 1, SEGMENTS + 1)))
    group = np.clip(np.searchsorted(edges, shown, side="right") - 1, 0, len(edges) - 2)
    return tuple(f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges.tolist())), group


def mix_beside(one: Answers, other: Answers, names: tuple[str, str]) -> Mix:
    """Two sets of answers to the same states as two groups."""
    group = np.repeat([0, 1], [len(one.value), len(other.value)])
    value = np.concatenate([one.value, other.value])
    probability = None
    if one.probability is not None and other.probability is not None:
        probability = np.concatenate([one.probability, other.probability])
    return _mix(Answers(value, probability), group, names)


def _mix(answers: Answers, group: NDArray[np.int64], names: Sequence[str]) -> Mix:
    """Groups without a state are left out."""
    count = np.bincount(group, minlength=len(names))
    there = np.flatnonzero(count)
    groups = tuple(names[g] for g in there.tolist())
    if answers.probability is None:
        quantiles = [np.quantile(answers.value[group == g], QUANTILES) for g in there]
        return Mix(groups, count[there], None, np.array(quantiles).reshape(-1, len(QUANTILES)))
    actions = answers.probability.shape[1]
    share = np.zeros((len(names), actions))
    made = answers.value >= 0  # what a rule leaves alone is no choice
    np.add.at(share, (group[made], answers.choice[made]), 1.0)
    return Mix(groups, count[there], share[there] / count[there][:, None], None)
