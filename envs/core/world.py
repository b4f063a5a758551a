"""What a simulated market is: batched dynamics over a finite set of realised episodes.

A `World` is a frozen value. Its state is a NamedTuple of arrays whose first axis is the copy, so
that one function here can replace the rows of finished copies for every decision type, and one
function can write any state to a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import gymnasium
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[Any]
S = TypeVar("S", bound=NamedTuple)


@dataclass(frozen=True)
class Outcome(Generic[S]):
    """What one step yields for `n` copies; `kpis` are the amounts of this step, each `[n]`."""

    state: S
    reward: Array
    terminated: Array
    truncated: Array
    kpis: Mapping[str, Array]


class World(Protocol[S]):
    """K calibrated members behind one batched simulator; every draw comes from the generator given.

    An *action* is what an agent chooses, an element of `action_space`. A *control* is what the
    market receives, in its own unit (a pacing multiplier, a contact). Rules speak in controls, so
    that a rule is never cut off by the range the agent was given; `control` translates.
    """

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """The space of one copy's observation."""

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        """The space of one copy's action."""

    @property
    def horizon(self) -> int:
        """The largest number of steps an episode can have."""

    @property
    def episodes(self) -> int:
        """How many distinct episodes there are."""

    def initial(self, n: int, rng: Generator) -> S:
        """Start `n` episodes, drawn without repetition as far as the world's episodes last."""

    def observe(self, state: S) -> Array:
        """What an agent may know at its decision: `[n, obs]` float32."""

    def action_mask(self, state: S) -> Array | None:
        """Which actions are allowed, `[n, actions]` bool; None where all always are."""

    def control(self, state: S, action: Array) -> Array:
        """The control that an action stands for in this state: `[n, ...]`."""

    def step(self, state: S, control: Array, rng: Generator) -> Outcome[S]:
        """Advance every copy by one decision; a finished copy stays as it is and earns nothing."""

    def under(self, scenario: Any) -> World[S]:
        """The same market, changed as the scenario says."""


class StepBuffers(NamedTuple):
    """Caller-owned arrays that a compiled step writes into; `n` copies.

    `observation` is what the next decision sees (after a reset where the episode ended);
    `final_observation` holds the last observation of the episodes that ended in this step.
    """

    observation: NDArray[np.float32]  # [n, obs]
    reward: NDArray[np.float64]  # [n]
    terminated: NDArray[np.bool_]  # [n]
    truncated: NDArray[np.bool_]  # [n]
    final_observation: NDArray[np.float32]  # [n, obs]
    kpi: NDArray[np.float64]  # [n, kpis]


@runtime_checkable
class CompiledWorld(Protocol):
    """A world whose step, reset of finished copies included, is one compiled call in place."""

    @property
    def kpi_names(self) -> tuple[str, ...]:
        """The columns of `StepBuffers.kpi`."""

    def step_into(self, state: Any, action: Array, rng: Generator, out: StepBuffers) -> None:
        """Advance `state` in place by one action and restart the copies whose episode ended."""


@runtime_checkable
class HindsightWorld(Protocol):
    """A world that can tell a training run what hindsight could still earn from a state."""

    def with_hindsight(self) -> World[Any]:
        """The same world with whatever `potential` needs worked out."""

    def potential(self, state: Any) -> Array:
        """The best still attainable from `state` in its realised episode, in units of reward."""


def replace_rows(state: S, rows: Array, fresh: S) -> S:
    """Return `state` with the copies `rows` (boolean `[n]`) replaced by the rows of `fresh`."""
    replaced = []
    for old, new in zip(state, fresh, strict=True):
        merged = old.copy()
        merged[rows] = new
        replaced.append(merged)
    return type(state)(*replaced)
