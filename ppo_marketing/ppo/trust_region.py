"""How far one update may move the policy: an elementwise loss that adapts by a new value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor


class TrustRegion(Protocol):
    """A frozen dataclass whose loss holds the new policy near the one that gathered the data.

    | symbol      | shape | meaning                                                  |
    |-------------|-------|----------------------------------------------------------|
    | `log_ratio` | any   | log π_new(a|s) - log π_old(a|s)                          |
    | `kl`        | same  | non-negative estimate of KL(π_old, π_new) at the element |
    | `advantage` | same  | of the action taken, constant in the gradient            |
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def loss(self, log_ratio: Tensor, kl: Tensor, advantage: Tensor) -> Tensor:
        """Return the loss to minimise, element by element."""
        ...

    def updated(self, mean_kl: float) -> Self:
        """Return the region for the next update, given the KL that this one reached."""
        ...


@dataclass(frozen=True, kw_only=True)
class Clip:
    """The clipped surrogate: outside [1 - ε, 1 + ε] a ratio earns nothing more.

    loss = -min(ρ A, clip(ρ, 1 - ε, 1 + ε) A),  ρ = exp(log_ratio)

    Source: Schulman et al. 2017, equation 7.
    """

    epsilon: float

    def loss(self, log_ratio: Tensor, kl: Tensor, advantage: Tensor) -> Tensor:
        """Return the clipped surrogate's loss; `kl` plays no part in it."""
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - self.epsilon, 1.0 + self.epsilon)
        return -torch.minimum(ratio * advantage, clipped * advantage)

    def updated(self, mean_kl: float) -> Self:
        """Return the same region: a clip does not adapt."""
        return self
