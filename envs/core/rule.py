"""What every rule shares: nothing to choose and no world of its own, unless it says otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from numpy.random import Generator

from envs.core.world import Array

W = TypeVar("W")
S = TypeVar("S")


@dataclass(frozen=True)
class Heuristic(ABC, Generic[W, S]):
    """A rule for worlds of type W with states of type S, acting in the world as it is."""

    name: str

    @property
    def chosen(self) -> Mapping[str, float | str]:
        """The parameters that tuning chose."""
        return {}

    def tuned(self, history: W, rng: Generator) -> Self:
        """The rule with what it takes from history."""
        return self

    def arena(self, world: W, rng: Generator) -> W:
        """The world as the rule acts in it."""
        return world

    @abstractmethod
    def control(self, world: W, state: S, rng: Generator) -> Array:
        """The control of every copy, `[n, ...]`."""
