"""How far an aligned model is from its reference: estimates, best-of-n's own, and what holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from ppo_marketing.ppo.checked import Checked, require
from ppo_marketing.ppo.losses import k3
from ppo_marketing.ppo.trust_region import bounded_error

__all__ = ["AdaptiveKL", "best_of_n_kl", "k1", "k2", "k3"]


def k1(log_ratio: Tensor) -> Tensor:
    """Return the unbiased estimate of KL(π, π_ref) from samples of π, nats, elementwise.

    k1 = -l,  l = log π_ref - log π;  it may be negative, and its deviation is many times the KL.

    Source: Schulman 2020, "Approximating KL divergence".
    """
    return -log_ratio


def k2(log_ratio: Tensor) -> Tensor:
    """Return the estimate l² / 2, biased by a quarter where the KL is half a nat; l as in `k1`."""
    return log_ratio.square() / 2


def best_of_n_kl(n: int) -> float:
    """Return the KL of the best of n samples from the distribution of one, nats.

    KL = log n - (n - 1) / n; an upper bound where scores can tie, tight where they do not.

    Source: Stiennon et al. 2020, appendix G.3; Hilton 2023; the bound Beirami et al. 2024.
    """
    return math.log(n) - (n - 1) / n


@dataclass(frozen=True, kw_only=True)
class AdaptiveKL(Checked):
    """The price β of a nat away from the reference, steered so that a text's KL meets a target.

    β ← β (1 + clip(KL / target - 1, ±.2) · texts / horizon); without a target β stays.

    Source: Ziegler et al. 2019, section 2.2 (K_β = .1; horizon 10,000 in the published code).

    Raises:
        UserError: a setting is out of range.
    """

    coefficient: float = 0.1
    """β at the start, in units of the score per nat; 0 lets the model go where the score leads."""
    target_kl: float | None = None
    """nats a text, summed over its tokens."""
    horizon: int = 10_000
    """Texts over which a full error would double β: slow, or β and KL would chase each other."""

    def __post_init__(self) -> None:
        require(
            (
                "coefficient",
                self.coefficient,
                0.0 <= self.coefficient < math.inf,
                "zero or more",
            ),
            (
                "coefficient",
                self.coefficient,
                self.target_kl is None or self.coefficient > 0.0,
                "positive where a target_kl is given: zero times anything stays zero",
            ),
            (
                "target_kl",
                self.target_kl,
                self.target_kl is None or 0.0 < self.target_kl < math.inf,
                "positive, or null for a fixed coefficient",
            ),
            ("horizon", self.horizon, self.horizon >= 1, "at least 1"),
        )

    def updated(self, mean_kl: float, texts: int) -> Self:
        """Return the controller after `texts` texts whose mean KL was `mean_kl` nats."""
        if self.target_kl is None:
            return self
        # A batch larger than the horizon must not turn the price negative.
        share = min(1.0, texts / self.horizon)
        factor = 1.0 + bounded_error(mean_kl, self.target_kl) * share
        return replace(self, coefficient=self.coefficient * factor)
