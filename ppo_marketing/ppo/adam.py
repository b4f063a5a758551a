"""Adam on one flat buffer of parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]

BETA_MEAN = 0.9
BETA_SQUARE = 0.999
EPSILON = 1e-5  # PPO's customary value: larger than Adam's 1e-8, so small gradients stay small


class Adam:
    """Adam over flat views of all parameters and gradients, shape [size].

    m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²
    θ ← θ - η · (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)

    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(self, values: Tensor, gradients: Tensor) -> None:
        self._values = values
        self._gradients = gradients
        self._mean = torch.zeros_like(values)
        self._square = torch.zeros_like(values)
        self._steps = 0

    def zero_gradients(self) -> None:
        """Set every gradient to zero, in place: the parameters' views stay bound to the buffer."""
        self._gradients.zero_()

    def clip_gradients(self, limit: float) -> float:
        """Scale the gradient down to the Euclidean norm `limit` and return the norm it had."""
        norm = float(torch.linalg.vector_norm(self._gradients))
        if norm > limit:
            self._gradients.mul_(limit / norm)
        return norm

    def step(self, learning_rate: float) -> None:
        """Take one step along the gradients in the buffer."""
        self._steps += 1
        self._mean.lerp_(self._gradients, 1.0 - BETA_MEAN)
        self._square.mul_(BETA_SQUARE)
        self._square.addcmul_(self._gradients, self._gradients, value=1.0 - BETA_SQUARE)
        square_correction = math.sqrt(1.0 - BETA_SQUARE**self._steps)
        denominator = self._square.sqrt().div_(square_correction).add_(EPSILON)
        step_size = learning_rate / (1.0 - BETA_MEAN**self._steps)
        self._values.addcdiv_(self._mean, denominator, value=-step_size)

    def buffers(self) -> tuple[Array, Array, Array, int]:
        """Return gradients and both moments, sharing memory, and the steps taken so far."""
        moments = (self._gradients, self._mean, self._square)
        gradients, mean, square = (tensor.numpy() for tensor in moments)
        return gradients, mean, square, self._steps

    def count(self, steps: int) -> None:
        """Take note of the steps that were made on the buffers."""
        self._steps = steps

    def state(self) -> dict[str, Any]:
        """Return the moments and the number of steps, as copies."""
        return {
            "mean": self._mean.cpu().numpy().copy(),
            "square": self._square.cpu().numpy().copy(),
            "steps": self._steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._mean.copy_(torch.from_numpy(state["mean"]))
        self._square.copy_(torch.from_numpy(state["square"]))
        self._steps = int(state["steps"])
