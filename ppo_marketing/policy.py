"""Whatever decides: the protocols that learned policies and rules share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.random import Generator

from envs.core.world import Array, World


class Policy(Protocol):
    """Decides from observations.

    | symbol | shape | meaning |
    |---|---|---|
    | observation | [n, obs] float32 | what is known at the decision |
    | mask | [n, actions] bool or None | which discrete actions are allowed |
    | action | [n, ...] | an element of the action space for every row |
    | log_prob | [n] | log pi(action given observation) |
    """

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """Choose an action for every row; the most likely one where `deterministic`."""

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """log pi(a | s) of every row, `[n]`."""


class Actor(Protocol):
    """Plays a world in controls: a rule, or a policy behind `PolicyActor`."""

    @property
    def name(self) -> str:
        """The name in tables."""

    def arena(self, world: World[Any], rng: Generator) -> World[Any]:
        """The world as this actor acts in it."""

    def control(self, world: World[Any], state: Any, rng: Generator) -> Array:
        """The control of every copy, `[n, ...]`."""


@dataclass(frozen=True)
class PolicyActor:
    """A policy as it would be shipped: its most likely action, turned into the world's control."""

    name: str
    policy: Policy

    def arena(self, world: World[Any], rng: Generator) -> World[Any]:
        """The world itself."""
        return world

    def control(self, world: World[Any], state: Any, rng: Generator) -> Array:
        """The control that the policy's most likely action stands for."""
        action = self.policy.act(
            world.observe(state), rng, world.action_mask(state), deterministic=True
        )
        return world.control(state, action)
