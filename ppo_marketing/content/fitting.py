"""Passes over rows of texts with Adam: what supervised fitting, reward models and DPO share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ppo_marketing.errors import TrainingDiverged
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.checked import Checked, require
from ppo_marketing.ppo.minibatches import minibatches
from ppo_marketing.ppo.networks import flatten_parameters

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class FitSettings(Checked):
    """How long and how fast to fit; the learning rate falls linearly to zero.

    Raises:
        UserError: a setting is out of range.
    """

    epochs: int = 3
    batch: int = 64
    learning_rate: float = 1e-3
    """For small models from random weights; large pretrained ones want about 1e-5."""
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require(
            ("epochs", self.epochs, self.epochs >= 1, "at least 1"),
            ("batch", self.batch, self.batch >= 1, "at least 1"),
            (
                "learning_rate",
                self.learning_rate,
                0.0 < self.learning_rate < 1.0,
                "between 0 and 1, both excluded",
            ),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm > 0.0, "positive"),
        )


class Fit:
    """One fit under way: it goes on where `load` puts it, to the last bit."""

    def __init__(
        self,
        parameters: list[nn.Parameter],
        rows: int,
        settings: FitSettings,
        rng: np.random.Generator,
    ) -> None:
        self._values, gradients = flatten_parameters(parameters)
        self._adam = Adam(self._values, gradients)
        self._rows = rows
        self._settings = settings
        self._rng = rng
        self.losses: list[float] = []

    @property
    def epochs(self) -> int:
        """Passes made so far."""
        return len(self.losses)

    @property
    def total(self) -> int:
        """Passes to make."""
        return self._settings.epochs

    @property
    def finished(self) -> bool:
        """Whether every pass is made."""
        return self.epochs >= self._settings.epochs

    def epoch(self, loss_of: Callable[[Tensor], Tensor]) -> float:
        """Make one pass in a drawn order and return its mean loss.

        `loss_of` is given row numbers `[batch]` and returns their mean loss.

        Raises:
            TrainingDiverged: a loss or gradient is not finite; that step was not taken.
        """
        order = torch.from_numpy(self._rng.permutation(self._rows))
        batches = minibatches(self._rows, self._settings.batch)
        total = 0.0
        for number, batch in enumerate(batches):
            self._adam.zero_gradients()
            loss = loss_of(order[batch])
            torch.autograd.backward(loss)
            norm = self._adam.clip_gradients(self._settings.max_grad_norm)
            if not (math.isfinite(float(loss.detach())) and math.isfinite(norm)):
                raise TrainingDiverged(
                    f"fitting diverged: loss {float(loss.detach())}, gradient {norm}; lower the "
                    "learning rate"
                )
            done = (self.epochs + number / len(batches)) / self._settings.epochs
            self._adam.step(self._settings.learning_rate * (1.0 - done))
            total += float(loss.detach()) * len(order[batch])
        self.losses.append(total / self._rows)
        return self.losses[-1]

    def state(self) -> dict[str, Any]:
        """Return everything that the next pass depends on."""
        return {
            "values": self._values.numpy().copy(),
            "adam": self._adam.state(),
            "rng": self._rng.bit_generator.state,
            "losses": list(self.losses),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._values.copy_(torch.from_numpy(state["values"]))
        self._adam.load(state["adam"])
        self._rng.bit_generator.state = state["rng"]
        self.losses = list(state["losses"])
