"""What every sequencing rule shares: its defaults, and how history chooses its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core import rule as core
from envs.sequencing.kernel import SequencingState
from envs.sequencing.world import SequencingWorld

R = TypeVar("R", bound="core.Heuristic[SequencingWorld, SequencingState]")
TUNING_CUSTOMERS = 2000  # paired differences of .1 % of the value then show


Heuristic = core.Heuristic[SequencingWorld, SequencingState]
"""A rule that chooses an action, `[n]`; what is not allowed becomes no contact."""


def mean_value(world: SequencingWorld, rule: Heuristic, rng: Generator) -> float:
    """The mean KPI `value` of the world's first customers under `rule`, currency."""
    state = world.starting(np.arange(min(world.episodes, TUNING_CUSTOMERS)))
    total = np.zeros(len(state.step))
    for _ in range(world.horizon):
        outcome = world.step(state, rule.control(world, state, rng), rng)
        state = outcome.state
        total += outcome.kpis["value"]
    return float(total.mean())


def search(
    rule: R, choices: Mapping[str, Sequence[Any]], score: Callable[[R], float], rounds: int = 4
) -> R:
    """Coordinate ascent: each field in turn takes its best choice, until a round changes nothing.

    Of equal choices the one held first wins.
    """
    best, best_score = rule, score(rule)
    for _ in range(rounds):
        before = best
        for name, values in choices.items():
            for value in values:
                if value == getattr(best, name):
                    continue
                tried = replace(best, **{name: value})
                tried_score = score(tried)
                if tried_score > best_score:
                    best, best_score = tried, tried_score
        if best == before:
            break
    return best


def rested(state: SequencingState) -> NDArray[np.int64]:
    """Fatigue summed over the channels, `[n]`."""
    return np.asarray(state.fatigue.sum(axis=1))
