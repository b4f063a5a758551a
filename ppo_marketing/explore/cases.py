"""What the log itself knows: its own cases, and the ranges that it has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.decision import Calibration, Decision
from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.explore.answers import of_controls
from ppo_marketing.policy import Actor
from ppo_marketing.reference_states import reference_states

Floats = NDArray[np.float64]

MOST_CASES = 4_000
"""A neighbour among them is within a tenth of a deviation in five dimensions."""
GRID_POINTS = 25


@dataclass(frozen=True, eq=False)
class Cases:
    """m decisions that were really made, or replayed where only whole episodes can be.

    `done [m]` is what was done, as `Answers.value`; `earned [m]` what the decision earned, where
    single decisions earn something.
    """

    source: str
    observation: Array
    mask: Array | None
    done: Floats
    earned: Floats | None

    @property
    def size(self) -> int:
        """m."""
        return len(self.observation)


def historical_cases(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    words: Words,
    otherwise: Actor,
    *,
    seed: int,
    most: int = MOST_CASES,
) -> Cases:
    """The held-out decisions as logged; where episodes are replayed whole, those of the log's rule.

    `otherwise` plays the log's own episodes where the log does not show its rule.
    """
    logged = calibration.heldout_decisions(settings)
    actions = len(words.action.choices)
    if logged is not None:
        rows = np.arange(logged.size)
        if logged.size > most:
            drawn = np.random.default_rng([seed, 11]).choice(logged.size, most, replace=False)
            rows = np.sort(drawn)
        return Cases(
            source="decisions of the held-out part of the log",
            observation=logged.observation[rows],
            mask=None if logged.mask is None else logged.mask[rows],
            done=logged.action[rows].astype(np.float64),
            earned=logged.reward[rows],
        )
    rule = decision.logging_rule(calibration)
    worlds = (calibration.history_world(settings), calibration.heldout_world(settings))
    met = [
        reference_states(world, rule or otherwise, seed=seed, states=most // 2)
        for world in worlds
        if world is not None
    ]
    who = "the log's own rule" if rule else "the policy, since the log does not show its own rule"
    masks = [states.mask for states in met if states.mask is not None]
    return Cases(
        source=f"the log's own episodes, replayed by {who}",
        observation=np.concatenate([states.observation for states in met]),
        mask=np.concatenate(masks) if masks else None,
        done=np.concatenate(
            [of_controls(states.control, states, words, actions).value for states in met]
        ),
        earned=None,
    )


def seen_values(
    variable: StateVariable, observation: Array, points: int = GRID_POINTS, trim: float = 0.0
) -> Floats:
    """Values of a variable from the least to the most that was seen, as shown, `[<= points]`.

    Levels and few distinct values are listed; of many the range is divided evenly (in logarithms
    for those that have them). `trim` is the share that is left out at either end.
    """
    shown = variable.shown(observation)
    distinct = np.unique(shown)
    if variable.levels or len(distinct) <= points:
        return distinct
    low, high = (float(end) for end in np.quantile(shown, [trim, 1.0 - trim]))
    return np.geomspace(low, high, points) if variable.logarithmic else np.linspace(
        low, high, points
    )  # fmt: skip


def spread(variable: StateVariable, observation: Array) -> float:
    """One deviation of a variable as shown; 1 where it never varied, or its levels have no order.

    Logarithmic variables are measured in logarithms: see `steps`.
    """
    if variable.levels and not variable.ordered:
        return 1.0
    shown = variable.shown(observation)
    deviation = float(np.std(np.log(shown) if variable.logarithmic else shown))
    return deviation if deviation > 1e-9 else 1.0


def steps(variable: StateVariable, value: Floats, origin: float, deviation: float) -> Floats:
    """How far `value [n]` lies from `origin`, in deviations; 1 from any unordered level to another.

    |v - o| / s; |ln v - ln o| / s where the variable is logarithmic.
    """
    if variable.levels and not variable.ordered:
        return np.asarray(value != origin, np.float64)
    if variable.logarithmic:
        return np.asarray(np.abs(np.log(value) - np.log(origin)) / deviation)
    return np.asarray(np.abs(value - origin) / deviation)
