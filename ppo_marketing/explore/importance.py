"""How much each state variable moves the policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.explore.answers import Decider, differences

REPETITIONS = 5


@dataclass(frozen=True)
class Importance:
    """What shuffling one variable among the states changes, and its standard error.

    Choices: the mean total variation between the probabilities, 0 to 1. Amounts: the mean change
    of the amount, in its unit.
    """

    variable: StateVariable
    change: float
    error: float


def permutation_importance(
    decide: Decider,
    words: Words,
    observation: Array,
    mask: Array | None,
    rng: Generator,
    *,
    repetitions: int = REPETITIONS,
) -> tuple[Importance, ...]:
    """Every variable shuffled among the states `[n, obs]`, most important first.

        I_v = E || pi(s with v of another state) - pi(s) ||

    Masks stay as they were, so that what is not allowed is not counted as the policy's doing.

    Source: Breiman 2001, section 10, with the policy's own answer in the place of the label.
    """
    before = decide(observation, mask)
    found = []
    for variable in words.variables:
        shown = variable.shown(observation)
        if np.ptp(shown) == 0:
            found.append(Importance(variable, 0.0, 0.0))
            continue
        columns = list(variable.columns)
        changes = []
        for _ in range(repetitions):
            shuffled = observation.copy()
            shuffled[:, columns] = observation[rng.permutation(len(observation))][:, columns]
            changes.append(float(differences(decide(shuffled, mask), before).mean()))
        error = float(np.std(changes, ddof=1) / np.sqrt(repetitions)) if repetitions > 1 else 0.0
        found.append(Importance(variable, float(np.mean(changes)), error))
    return tuple(sorted(found, key=lambda one: -one.change))
