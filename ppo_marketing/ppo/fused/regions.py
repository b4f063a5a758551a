"""Every trust region as one case of the kernel's objective."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ppo_marketing.ppo.fused.compiled import Array
from ppo_marketing.ppo.trust_region import (
    AdaptiveClip,
    Clip,
    KLPenalty,
    SteeredClip,
    TrustRegion,
    Unbounded,
)


@dataclass(frozen=True)
class Interval:
    """loss = -max(min(ρ A, clip(ρ, low, high) A), dual A where A < 0) + penalty · KL.

    The defaults bound nothing and cost nothing.
    """

    low: float | Array = 0.0  # smallest ratio, of all rows or of each
    high: float | Array = math.inf
    dual: float = math.inf
    penalty: float = 0.0


def interval_of(region: TrustRegion, log_prob_old: Tensor) -> Interval | None:
    """Return the region as the kernel takes it; None for one that is no case of it."""
    match region:
        case Clip() if type(region) is Clip:
            dual = math.inf if region.dual is None else float(region.dual)
            return Interval(1.0 - region.low, 1.0 + region.high, dual)
        case SteeredClip() if type(region) is SteeredClip:
            return Interval(1.0 - region.epsilon, 1.0 + region.epsilon)
        case KLPenalty() if type(region) is KLPenalty:
            return Interval(penalty=float(region.coefficient))
        case AdaptiveClip() if type(region) is AdaptiveClip:
            low, high = region.interval(log_prob_old)
            return Interval(low.numpy(), high.numpy())
        case Unbounded() if type(region) is Unbounded:
            return Interval()
    return None
