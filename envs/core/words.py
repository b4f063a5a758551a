"""What people call the numbers that a policy sees and the actions that it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.core.world import Array, World

if TYPE_CHECKING:
    from envs.core.decision import Decision

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class StateVariable:
    """One thing that a policy sees: a number, or which of some levels holds.

    A number is shown as shift + scale x observed, in `unit`; as the exponential of that where
    `logarithmic`. Where it moves more than its own column, `others` gives the values of the
    further columns from those of the first, `[n]` -> `[n, columns - 1]`.

    With `levels`, column i is 1 where level i holds and else 0; one level more than columns is the
    one that holds where all are 0. `ordered` levels are steps of a scale.

    Raises:
        ValueError: columns and levels do not fit together.
    """

    name: str
    label: str
    help: str
    columns: tuple[int, ...]
    unit: str = ""
    levels: tuple[str, ...] = ()
    ordered: bool = False
    shift: float = 0.0
    scale: float = 1.0
    logarithmic: bool = False
    others: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        spare = len(self.levels) - len(self.columns)
        fits = spare in (0, 1) if self.levels else (len(self.columns) > 1) == bool(self.others)
        if not self.columns or not fits:
            raise ValueError(
                f"{self.name} has columns {self.columns} and levels {self.levels}: give a level a "
                "column, and at most one for all others; a number has one column, or `others`"
            )

    def shown(self, observation: Array) -> Floats:
        """The values as people read them, `[n]`: in `unit`, or the number of the level."""
        seen = np.asarray(observation, np.float64)[:, list(self.columns)]
        if not self.levels:
            plain = self.shift + self.scale * seen[:, 0]
            return np.asarray(np.exp(plain) if self.logarithmic else plain)
        none = np.full(len(seen), len(self.levels) - 1)
        return np.where(seen.max(axis=1) > 0.5, seen.argmax(axis=1), none).astype(np.float64)

    def observed(self, value: Array) -> Array:
        """The columns that show as `value [n]`, `[n, columns]`."""
        values = np.asarray(value, np.float64)
        if self.levels:
            return np.asarray(values[:, None] == np.arange(len(self.columns)), np.float32)
        plain = np.log(values) if self.logarithmic else values
        first = (plain - self.shift) / self.scale
        if self.others is None:
            return first[:, None].astype(np.float32)
        return np.column_stack([first, self.others(first)]).astype(np.float32)

    def put(self, observation: Array, value: Array) -> Array:
        """`observation [n, obs]` with this variable set to `value [n]`, as shown."""
        changed = np.array(observation, np.float32)
        changed[:, list(self.columns)] = self.observed(value)
        return changed


@dataclass(frozen=True, kw_only=True)
class ActionWords:
    """What an action is called: a word a choice, or an amount in a unit.

    `amount` turns actions `[n, ...]` into amounts `[n]`; `as_before` is the amount that changes
    nothing, where there is one. `action_of` gives the actions that controls stand for in a world's
    states: what rules do, in the agent's terms.
    """

    label: str
    help: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    amount: Callable[[Array], Floats] = lambda action: np.asarray(
        np.reshape(action, (len(action), -1))[:, 0], np.float64
    )
    as_before: float | None = None
    action_of: Callable[[Any, Any, Array], Array] = lambda world, state, control: control


def _unchanged(observation: Array, mask: Array | None) -> Array | None:
    return mask


def _plainly(observation: Array, mask: Array) -> tuple[str, ...]:
    return tuple("" if allowed else "not allowed here" for allowed in mask)


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a world's observations and actions are spoken of.

    `allowed` is the mask `[n, A]` of observations `[n, obs]` that somebody has changed, given the
    mask that came with them; `why_not` says of every choice why it is not allowed in one
    observation `[obs]` with its mask `[A]`, "" where it is.
    """

    variables: tuple[StateVariable, ...]
    action: ActionWords
    allowed: Callable[[Array, Array | None], Array | None] = _unchanged
    why_not: Callable[[Array, Array], tuple[str, ...]] = _plainly

    def variable(self, name: str) -> StateVariable:
        """The variable of that name.

        Raises ValueError, naming those that there are, where there is none.
        """
        for one in self.variables:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.variables)
        raise ValueError(f"there is no state variable {name!r}: choose one of {known}")


def words_of(decision: Decision, calibration: Any, world: World[Any]) -> Words:
    """The words of a decision's card for a world, or plain ones where the card has none."""
    if decision.words is not None:
        return decision.words(calibration, world)
    return plain_words(world)


def plain_words(world: World[Any]) -> Words:
    """Numbered observations and actions."""
    (size,) = world.observation_space.shape or (0,)
    variables = tuple(
        StateVariable(
            name=f"observation_{i + 1}",
            label=f"Observation {i + 1}",
            help="as the environment's page numbers it",
            columns=(i,),
        )
        for i in range(size)
    )
    space = world.action_space
    choices: tuple[str, ...] = ()
    if isinstance(space, gymnasium.spaces.Discrete):
        choices = tuple(f"choice {space.start + i}" for i in range(int(space.n)))
    return Words(
        variables=variables,
        action=ActionWords(label="Action", help="as the environment's page says", choices=choices),
    )
