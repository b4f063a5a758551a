"""What an update needs of whatever learns: a policy over steps, or over the tokens of sequences."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Learner(Protocol):
    """A policy and its critic, evaluated with gradients.

    | symbol    | shape          | meaning                                              |
    |-----------|----------------|------------------------------------------------------|
    | `inputs`  | [n, ...]       | rows as the networks take them                       |
    | `stored`  | [n] or [n, T]  | the actions taken: one a row, or one a token         |
    | `allowed` | [n, choices]   | which choices a row had; None: all                   |
    """

    @property
    def device(self) -> torch.device:
        """Where everything is worked out."""
        ...

    def evaluate(
        self, inputs: Tensor, stored: Tensor, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log π(a|s) and the entropy, each of the shape of the actions."""
        ...

    def values(self, inputs: Tensor) -> Tensor:
        """Return V(s), of the shape of the actions."""
        ...
