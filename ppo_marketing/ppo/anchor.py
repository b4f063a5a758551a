"""How far a policy may drift from a reference over a whole training: the champion, or the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy.typing as npt
import torch
from torch import Tensor

from ppo_marketing.ppo.checked import Checked, require
from ppo_marketing.ppo.losses import k3
from ppo_marketing.ppo.trust_region import LARGEST_COEFFICIENT, SMALLEST_COEFFICIENT, correction


class Reference(Protocol):
    """A policy to stay near; it is asked how likely the actions of another are to it."""

    def log_prob_stored(
        self, observation: npt.NDArray[Any], stored: Tensor, allowed: Tensor | None
    ) -> Tensor:
        """Return log π_ref(a|s) [n] in nats of actions as the rollout stores them.

        `observation [n, size]` is as the environment gives it, `allowed [n, choices]` its mask.
        """

    def sha256(self) -> str:
        """Return the hash of everything that the policy depends on."""


@dataclass(frozen=True, kw_only=True)
class KLAnchor(Checked):
    """A price on leaving a reference policy, beside whatever bounds a single update.

    loss += β mean KL(π_new, π_ref); β ← 2 β where that mean exceeds 1.5 target, β / 2 where it is
    below target / 1.5

    Actions are drawn from π_old, so the estimate is weighted by ρ = π_new / π_old:

    KL(π_new, π_ref) = E_old[ρ (e^l - 1 - l)],  l = log π_ref - log π_new
    its gradient     = E_old[-ρ l ∇log π_new]

    Without the weight the second would be that of KL(π_ref, π_new), which does not mind what the
    reference never does.

    Source: Ziegler et al. 2019, section 2.2, for the anchor; Schulman 2020 for the estimate; Tang
    and Munos 2025 for its gradient; DeepSeek-AI 2025 (V3.2), section 3.1, for the weight.

    Raises:
        UserError: a setting is out of range.
    """

    coefficient: float = 0.1
    """β at the start."""
    target_kl: float | None = None
    """nats a decision that training may end away from the reference; null keeps β as it is."""

    def __post_init__(self) -> None:
        require(
            ("coefficient", self.coefficient, 0.0 < self.coefficient < math.inf, "positive"),
            (
                "target_kl",
                self.target_kl,
                self.target_kl is None or 0.0 < self.target_kl < math.inf,
                "positive, or null for a fixed coefficient",
            ),
        )

    def distance(
        self, log_prob_new: Tensor, log_prob_old: Tensor, log_prob_reference: Tensor
    ) -> Tensor:
        """Return ρ (e^l - 1 - l), element by element: not negative, its mean over π_old's actions
        the KL(π_new, π_ref) in nats."""
        return torch.exp(log_prob_new - log_prob_old) * k3(log_prob_reference - log_prob_new)

    def slope(
        self, log_prob_new: Tensor, log_prob_old: Tensor, log_prob_reference: Tensor
    ) -> Tensor:
        """Return the derivative of `distance` by log π_new, -ρ l, element by element.

        Written out, since autograd would take it as a difference of exponentials, which far from
        the reference leaves only rounding.
        """
        ratio = torch.exp(log_prob_new - log_prob_old)
        return ratio * (log_prob_new - log_prob_reference)

    def updated(self, mean_kl: float) -> Self:
        """Return the anchor for the next update, given the distance that this one reached."""
        if self.target_kl is None:
            return self
        factor = correction(mean_kl, self.target_kl, 2.0)
        coefficient = min(max(self.coefficient * factor, SMALLEST_COEFFICIENT), LARGEST_COEFFICIENT)
        return replace(self, coefficient=coefficient)
