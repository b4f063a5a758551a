"""How far a policy may drift from a reference over a whole training: the champion, or the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ppo_marketing.ppo.checked import Checked, require
from ppo_marketing.ppo.trust_region import LARGEST_COEFFICIENT, SMALLEST_COEFFICIENT, correction


@dataclass(frozen=True, kw_only=True)
class KLAnchor(Checked):
    """A price on leaving a reference policy, beside whatever bounds a single update.

    loss += β mean KL(π_new, π_ref), estimated by e^l - 1 - l with l = log π_ref - log π_new at the
    actions taken; β ← 2 β where that mean exceeds 1.5 target, β / 2 where it is below target / 1.5

    Source: Schulman 2020 for the estimate; Ziegler et al. 2019, section 2.2, for the anchor.

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

    def distance(self, log_prob_new: Tensor, log_prob_reference: Tensor) -> Tensor:
        """Return the non-negative estimate of KL(π_new, π_ref), element by element."""
        difference = log_prob_reference - log_prob_new
        return torch.expm1(difference) - difference

    def updated(self, mean_kl: float) -> Self:
        """Return the anchor for the next update, given the distance that this one reached."""
        if self.target_kl is None:
            return self
        factor = correction(mean_kl, self.target_kl, 2.0)
        coefficient = min(max(self.coefficient * factor, SMALLEST_COEFFICIENT), LARGEST_COEFFICIENT)
        return replace(self, coefficient=coefficient)
