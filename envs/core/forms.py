"""The same world with another kind of action: a grid in place of a Box, scores in place of choices.

Algorithms that know only one kind of action then have their place in every decision. Both forms
translate an agent's action into the world's own and change nothing else, so that results of all
forms stand beside each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, get_args

import gymnasium
import numpy as np
from numpy.random import Generator

from envs.core.world import Array, HindsightWorld, Outcome, World

Form = Literal["own", "discrete", "continuous"]
FORMS: tuple[Form, ...] = get_args(Form)

GRID_POINTS = 11
"""A dimension: odd, so that the middle of the range, where residuals do nothing, is one of them."""
LARGEST_GRID = 10_000
"""Choices: as many as a world may offer by itself."""


@dataclass(frozen=True)
class ActionForm(ABC):
    """A world whose actions are translated into those of `world`; everything else is passed on."""

    world: World[Any]

    @property
    @abstractmethod
    def action_space(self) -> gymnasium.Space[Any]:
        """The space of one copy's action."""

    @abstractmethod
    def translated(self, state: Any, action: Array) -> Array:
        """The actions of `world` that these stand for, `[n, ...]`."""

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """That of the world."""
        return self.world.observation_space

    @property
    def horizon(self) -> int:
        """That of the world."""
        return self.world.horizon

    @property
    def episodes(self) -> int:
        """Those of the world."""
        return self.world.episodes

    def initial(self, n: int, rng: Generator) -> Any:
        """As the world starts."""
        return self.world.initial(n, rng)

    def observe(self, state: Any) -> Array:
        """As the world shows itself, `[n, obs]` float32."""
        return self.world.observe(state)

    def action_mask(self, state: Any) -> Array | None:
        """None: no action of another form is ever forbidden."""
        return None

    def control(self, state: Any, action: Array) -> Array:
        """The control that the translated action stands for, `[n, ...]`."""
        return self.world.control(state, self.translated(state, action))

    def step(self, state: Any, control: Array, rng: Generator) -> Outcome[Any]:
        """As the world steps; controls have no forms."""
        return self.world.step(state, control, rng)

    def under(self, scenario: Any) -> Self:
        """The same form of the changed world."""
        return replace(self, world=self.world.under(scenario))


@dataclass(frozen=True)
class DiscreteActions(ActionForm):
    """A world with a bounded Box, its actions chosen from an even grid.

    Choice i of `Discrete(points ** d)` stands for the i-th point of linspace(low, high, points)^d,
    the last dimension running fastest.

    Raises:
        ValueError: the space is no bounded Box of one axis, or the grid would be too large.
    """

    points: int = GRID_POINTS

    def __post_init__(self) -> None:
        space = self.world.action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"{space} has no grid: a Box of shape (d,) has one")
        if not space.is_bounded():
            raise ValueError(
                f"{space} has no grid: give the world a Box whose low and high are finite"
            )
        if self.points < 2 or self.points ** space.shape[0] > LARGEST_GRID:
            raise ValueError(
                f"a grid of {self.points} points in {space.shape[0]} dimensions cannot be used: "
                f"give at least 2 points a dimension and at most {LARGEST_GRID:,} together"
            )

    @cached_property
    def grid(self) -> Array:
        """The Box's actions by choice, `[points ** d, d]` float32."""
        space: Any = self.world.action_space
        axes = [
            np.linspace(low, high, self.points, dtype=space.dtype)
            for low, high in zip(space.low, space.high, strict=True)
        ]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    @property
    def action_space(self) -> gymnasium.spaces.Discrete:
        """One choice a point of the grid."""
        return gymnasium.spaces.Discrete(len(self.grid))

    def translated(self, state: Any, action: Array) -> Array:
        """The points of the grid, `[n, d]`."""
        return np.asarray(self.grid[np.asarray(action)])


@dataclass(frozen=True)
class ScoredActions(ActionForm):
    """A world with choices, the one taken that the action scores highest among those allowed.

        choice = argmax_{i allowed} w_i     or     argmax_{i allowed} f_i · w

    The second where the space carries `item_features` f [choices, F]: the action then has F numbers
    however many items there are. The first choice wins a tie.

    Source: Dulac-Arnold et al. 2015 for the second, without its search among neighbours.

    Raises:
        ValueError: the world's space is not Discrete.
    """

    def __post_init__(self) -> None:
        space = self.world.action_space
        if not isinstance(space, gymnasium.spaces.Discrete):
            raise ValueError(f"{space} has no choices to score: a Discrete has")

    @cached_property
    def _scorer(self) -> Array | None:
        """`[choices, F]` where choices are scored by their features."""
        features: Array | None = getattr(self.world.action_space, "item_features", None)
        return features

    @property
    def action_space(self) -> gymnasium.spaces.Box:
        """A number in [-1, 1] for each choice, or for each feature."""
        space: Any = self.world.action_space
        size = int(space.n) if self._scorer is None else self._scorer.shape[1]
        return gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)

    def translated(self, state: Any, action: Array) -> Array:
        """The best-scored allowed choice of every copy, `[n]`."""
        scores = np.asarray(action) if self._scorer is None else action @ self._scorer.T
        mask = self.world.action_mask(state)
        if mask is not None:
            scores = np.where(mask, scores, -np.inf)
        space: Any = self.world.action_space
        return np.asarray(scores.argmax(axis=1) + space.start)


class _Foresight:
    """What the form of a world that knows hindsight passes on besides."""

    world: Any

    def with_hindsight(self) -> Any:
        """The same form of the world with whatever `potential` needs worked out."""
        return replace(self, world=self.world.with_hindsight())  # type: ignore[type-var] # a mixin

    def potential(self, state: Any) -> Array:
        """The best still attainable from `state`, in units of reward: the world's own best."""
        potential: Array = self.world.potential(state)
        return potential


@dataclass(frozen=True)
class ForesightedDiscreteActions(_Foresight, DiscreteActions):
    """`DiscreteActions` of a world that knows hindsight."""


@dataclass(frozen=True)
class ForesightedScoredActions(_Foresight, ScoredActions):
    """`ScoredActions` of a world that knows hindsight."""


def form_of(space: gymnasium.Space[Any]) -> Form:
    """Whether a space of actions is "discrete" or "continuous"."""
    return "continuous" if isinstance(space, gymnasium.spaces.Box) else "discrete"


def in_form(world: World[Any], form: Form) -> World[Any]:
    """The world with actions of the form asked for; the world itself where it has them already.

    Raises:
        ValueError: the form is unknown, or the world's space cannot be given it.
    """
    if form not in FORMS:
        raise ValueError(f"actions is {form!r}: choose one of {', '.join(FORMS)}")
    if form in ("own", form_of(world.action_space)):
        return world
    foresighted = isinstance(world, HindsightWorld)
    if form == "discrete":
        return (ForesightedDiscreteActions if foresighted else DiscreteActions)(world)
    return (ForesightedScoredActions if foresighted else ScoredActions)(world)
