"""A head: what a network's outputs mean as actions, how to sample them, what they weigh.

A head works on *stored* actions, the ones whose probability is exact: the Gaussian draw before
it is bounded, the index of a discrete choice. `to_environment` turns them into what the
environment takes. Noise is drawn outside, from a numpy Generator, so that one call serves a
whole rollout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

Array = npt.NDArray[Any]


class Head(nn.Module, ABC):
    """The distribution of one action given the outputs [n, outputs] of the actor.

    | symbol   | shape            | meaning                                                |
    |----------|------------------|--------------------------------------------------------|
    | `output` | [n, outputs]     | the actor's last layer                                 |
    | `noise`  | [n, noises]      | standard noise of the head's own kind                  |
    | `mask`   | [n, outputs]     | True where a discrete choice is allowed; None: all are |
    | `action` | [n] or [n, dims] | a stored action                                        |
    """

    outputs: int
    noises: int  # numbers of noise that one action needs
    stored_shape: tuple[int, ...]  # of one action: () or (dims,)
    stored_type: type

    @abstractmethod
    def noise_into(self, rng: np.random.Generator, out: Array) -> Array:
        """Fill `out [..., noises]`, float32, with standard noise, and return it."""

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return standard noise [*shape, noises], float32."""
        return self.noise_into(rng, np.empty((*shape, self.noises), np.float32))

    @abstractmethod
    def sample(self, output: Tensor, noise: Tensor, mask: Tensor | None) -> Tensor:
        """Return the stored action that the noise selects."""

    @abstractmethod
    def mode(self, output: Tensor, mask: Tensor | None) -> Tensor:
        """Return the most likely stored action."""

    @abstractmethod
    def evaluate(
        self, output: Tensor, action: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log π(a|s) [n] in nats and the entropy [n] in nats."""

    @abstractmethod
    def to_environment(self, action: Array) -> Array:
        """Return what the environment takes for a stored action."""

    @abstractmethod
    def from_environment(self, action: Array) -> Array:
        """Return the stored action of an environment's action."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain values from which `head_from` builds the same head."""
