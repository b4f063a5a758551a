"""How far one update may move the policy: elementwise losses that adapt by a new value.

Every region is a frozen value, chosen in configuration by its `kind`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor

from ppo_marketing.ppo.checked import Checked, require

SMALLEST_COEFFICIENT, LARGEST_COEFFICIENT = 1e-4, 1e4
SMALLEST_EPSILON, LARGEST_EPSILON = 1e-3, 0.9
BAND = 1.5
"""A KL within [target / 1.5, 1.5 target] leaves things as they are (Schulman et al. 2017)."""
MEMORY = 0.1
"""Weight of the newest update in the KL that a proportional schedule follows. KLs of single updates
are skewed: following each of them holds their median at the target, and their mean half above."""

_BISECTIONS = 40  # of an interval of log ratios at most 60 long: to the last bits of a float32


class TrustRegion(Protocol):
    """A frozen dataclass whose loss holds the new policy near the one that gathered the data.

    | symbol         | shape | meaning                                                  |
    |----------------|-------|----------------------------------------------------------|
    | `log_ratio`    | any   | log π_new(a|s) - log π_old(a|s)                          |
    | `kl`           | same  | non-negative estimate of KL(π_old, π_new) at the element |
    | `advantage`    | same  | of the action taken, constant in the gradient            |
    | `log_prob_old` | same  | log π_old(a|s)                                           |
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def discrete_only(self) -> bool:
        """Whether `log_prob_old` must be of probabilities, not of densities."""
        ...

    @property
    def follows_kl(self) -> bool:
        """Whether the region is steered so that updates have a given KL."""
        ...

    def loss(
        self, log_ratio: Tensor, kl: Tensor, advantage: Tensor, log_prob_old: Tensor
    ) -> Tensor:
        """Return the loss to minimise, element by element."""
        ...

    def outside(self, log_ratio: Tensor, log_prob_old: Tensor) -> Tensor:
        """Return where the ratio has left the region's interval, if it has one."""
        ...

    def updated(self, mean_kl: float) -> Self:
        """Return the region for the next update, given the KL that this one reached."""
        ...


class _Region(Checked):
    """What most regions share: no interval, any action space, no adaptation."""

    @property
    def discrete_only(self) -> bool:
        """False: densities will do."""
        return False

    @property
    def follows_kl(self) -> bool:
        """False: no KL is aimed at."""
        return False

    def outside(self, log_ratio: Tensor, log_prob_old: Tensor) -> Tensor:
        """Return False everywhere: there is no interval."""
        return torch.zeros_like(log_ratio, dtype=torch.bool)

    def updated(self, mean_kl: float) -> Self:
        """Return the same region."""
        return self


def _clipped(log_ratio: Tensor, advantage: Tensor, low: Any, high: Any) -> Tensor:
    """Return min(ρ A, clip(ρ, low, high) A); the bounds are numbers or tensors."""
    ratio = log_ratio.exp()
    return torch.minimum(ratio * advantage, torch.clamp(ratio, low, high) * advantage)


@dataclass(frozen=True, kw_only=True)
class Unbounded(_Region):
    """No region at all: loss = -ρ A, whose gradient at ρ = 1 is that of -log π A.

    With one pass over every rollout PPO is then the policy gradient that it improves on.

    Source: Williams 1992; Sutton et al. 2000, theorem 1.
    """

    kind: Literal["none"] = "none"

    def loss(
        self, log_ratio: Tensor, kl: Tensor, advantage: Tensor, log_prob_old: Tensor
    ) -> Tensor:
        """Return the surrogate's loss, nothing held back."""
        return -log_ratio.exp() * advantage


@dataclass(frozen=True, kw_only=True)
class Clip(_Region):
    """The clipped surrogate: outside [1 - ε_low, 1 + ε_high] a ratio earns nothing more.

    surrogate = min(ρ A, clip(ρ, 1 - ε_low, 1 + ε_high) A),  ρ = exp(log_ratio);  loss = -surrogate
    dual:       max(surrogate, c A) where A < 0, so that one bad action cannot pull without bound

    Source: Schulman et al. 2017, equation 7; the dual clip Ye et al. 2020, equation 5; two
    epsilons Yu et al. 2025 (DAPO).

    Raises:
        UserError: a setting is out of range.
    """

    kind: Literal["clip"] = "clip"
    low: float = 0.2
    """ε below 1 (Schulman et al. 2017, table 3)."""
    high: float = 0.2
    """ε above 1."""
    dual: float | None = None
    """c of the dual clip, above 1; off by default."""

    def __post_init__(self) -> None:
        require(
            ("low", self.low, 0.0 < self.low < 1.0, "between 0 and 1, both excluded"),
            ("high", self.high, 0.0 < self.high < math.inf, "positive"),
            ("dual", self.dual, self.dual is None or self.dual > 1.0, "above 1, or null for off"),
        )

    def loss(
        self, log_ratio: Tensor, kl: Tensor, advantage: Tensor, log_prob_old: Tensor
    ) -> Tensor:
        """Return the clipped surrogate's loss."""
        surrogate = _clipped(log_ratio, advantage, 1.0 - self.low, 1.0 + self.high)
        if self.dual is not None:
            floor = self.dual * advantage
            surrogate = torch.where(advantage < 0, torch.maximum(surrogate, floor), surrogate)
        return -surrogate

    def outside(self, log_ratio: Tensor, log_prob_old: Tensor) -> Tensor:
        """Return where ρ < 1 - ε_low or ρ > 1 + ε_high."""
        moved = torch.expm1(log_ratio)
        return (moved > self.high) | (moved < -self.low)


@dataclass(frozen=True, kw_only=True)
class SteeredClip(_Region):
    """A clip whose ε is steered to a KL: wider after timid updates, narrower after bold ones.

    ε ← ε (1 - clip(d / target - 1, ±.2) gain), within [.001, .9]; d the recent mean KL (`MEMORY`)

    Source: the proportional rule of Ziegler et al. 2019, section 2.2, for β, turned to ε.

    Raises:
        UserError: a setting is out of range.
    """

    kind: Literal["steered_clip"] = "steered_clip"
    epsilon: float = 0.2
    target_kl: float = 0.01
    gain: float = 1.0
    """How much of the bounded error one update corrects."""
    recent_kl: float | None = None
    """nats; kept by `updated`, not set by hand."""

    def __post_init__(self) -> None:
        require(
            ("epsilon", self.epsilon, 0.0 < self.epsilon < 1.0, "between 0 and 1, both excluded"),
            ("target_kl", self.target_kl, 0.0 < self.target_kl < math.inf, "positive"),
            ("gain", self.gain, 0.0 < self.gain <= 1.0, "above 0 and at most 1"),
        )

    @property
    def follows_kl(self) -> bool:
        """True: ε is steered to `target_kl`."""
        return True

    def loss(
        self, log_ratio: Tensor, kl: Tensor, advantage: Tensor, log_prob_old: Tensor
    ) -> Tensor:
        """Return the clipped surrogate's loss."""
        return -_clipped(log_ratio, advantage, 1.0 - self.epsilon, 1.0 + self.epsilon)

    def outside(self, log_ratio: Tensor, log_prob_old: Tensor) -> Tensor:
        """Return where |ρ - 1| > ε."""
        return torch.expm1(log_ratio).abs() > self.epsilon

    def updated(self, mean_kl: float) -> Self:
        """Return the region with its ε moved towards the target."""
        recent = remembered(self.recent_kl, mean_kl)
        epsilon = self.epsilon * (1.0 - self.gain * bounded_error(recent, self.target_kl))
        epsilon = min(max(epsilon, SMALLEST_EPSILON), LARGEST_EPSILON)
        return replace(self, epsilon=epsilon, recent_kl=recent)


@dataclass(frozen=True, kw_only=True)
class KLPenalty(_Region):
    """A price on moving: loss = -ρ A + β KL, with β fixed or steered to a KL.

    | schedule       | β after an update whose mean KL was d                               |
    |----------------|---------------------------------------------------------------------|
    | "fixed"        | β                                                                   |
    | "doubling"     | 2 β where d > 1.5 target, β / 2 where d < target / 1.5              |
    | "proportional" | β (1 + clip(d / target - 1, ±.2) gain), d over recent updates (`MEMORY`) |

    "doubling" leaves the mean KL anywhere in its band, and on skewed updates above it; the default
    holds it within a quarter of the target (benchmarks/kl_target.py).

    Source: Schulman et al. 2017, equation 8 and section 4; Ziegler et al. 2019, section 2.2, where
    gain is samples an update / horizon.

    Raises:
        UserError: a setting is out of range, or a target is given where nothing follows it.
    """

    kind: Literal["kl_penalty"] = "kl_penalty"
    coefficient: float = 1.0
    """β at the start; the paper found that it hardly matters when it adapts."""
    schedule: Literal["fixed", "doubling", "proportional"] = "proportional"
    target_kl: float | None = 0.01
    """nats an update; .01 and .03 were the paper's best."""
    gain: float = 1.0
    """How much of the bounded error one update of the proportional schedule corrects."""
    recent_kl: float | None = None
    """nats; kept by `updated`, not set by hand."""

    def __post_init__(self) -> None:
        steered = self.schedule != "fixed"
        require(
            ("coefficient", self.coefficient, 0.0 < self.coefficient < math.inf, "positive"),
            (
                "target_kl",
                self.target_kl,
                self.target_kl is None or 0.0 < self.target_kl < math.inf,
                "positive",
            ),
            (
                "target_kl",
                self.target_kl,
                not steered or self.target_kl is not None,
                f"given where the schedule is {self.schedule!r}, or the schedule be 'fixed'",
            ),
            (
                "target_kl",
                self.target_kl,
                steered or self.target_kl is None,
                "null where the schedule is 'fixed', since nothing would follow it; "
                "choose 'doubling' or 'proportional' to follow a target",
            ),
            ("gain", self.gain, 0.0 < self.gain <= 1.0, "above 0 and at most 1"),
        )

    @property
    def follows_kl(self) -> bool:
        """Whether a schedule steers β."""
        return self.schedule != "fixed"

    def loss(
        self, log_ratio: Tensor, kl: Tensor, advantage: Tensor, log_prob_old: Tensor
    ) -> Tensor:
        """Return the penalised surrogate's loss."""
        return self.coefficient * kl - log_ratio.exp() * advantage

    def updated(self, mean_kl: float) -> Self:
        """Return the region with its β moved by the schedule."""
        if self.target_kl is None:
            return self
        recent = remembered(self.recent_kl, mean_kl)
        if self.schedule == "doubling":
            factor = correction(mean_kl, self.target_kl, 2.0)
        else:
            factor = 1.0 + self.gain * bounded_error(recent, self.target_kl)
        coefficient = min(max(self.coefficient * factor, SMALLEST_COEFFICIENT), LARGEST_COEFFICIENT)
        return replace(self, coefficient=coefficient, recent_kl=recent)


@dataclass(frozen=True, kw_only=True)
class AdaptiveClip(_Region):
    """A clip as wide as a KL allows: rare actions may move further than common ones.

    The ratios l < 1 < u that put a binary choice of probability p at the KL δ solve

        -p log X - (1 - p) log((1 - p X) / (1 - p)) = δ,

    and the interval is [min(l, 1 - ε), max(u, 1 + ε)].

    The fused engine solves this once an update. The torch engine does so twice a minibatch (`loss`
    and `outside` are told log π_old alone), which takes longer than the rest of the step: about
    three times as long as with `Clip`, at minibatches of 256 rows and 64 wide layers.

    Source: Wang et al. 2019 (TRGPPO), equation 9 and section 4.

    Raises:
        UserError: a setting is out of range.
    """

    kind: Literal["adaptive_clip"] = "adaptive_clip"
    epsilon: float = 0.2
    delta: float = 0.01

    def __post_init__(self) -> None:
        require(
            ("epsilon", self.epsilon, 0.0 < self.epsilon < 1.0, "between 0 and 1, both excluded"),
            ("delta", self.delta, 0.0 < self.delta < math.inf, "positive"),
        )

    @property
    def discrete_only(self) -> bool:
        """True: the bounds are those of a probability."""
        return True

    def interval(self, log_prob_old: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest ratio allowed at every element."""
        low, high = ratio_bounds(log_prob_old, self.delta)
        return low.clamp(max=1.0 - self.epsilon), high.clamp(min=1.0 + self.epsilon)

    def loss(
        self, log_ratio: Tensor, kl: Tensor, advantage: Tensor, log_prob_old: Tensor
    ) -> Tensor:
        """Return the clipped surrogate's loss, every element with its own interval."""
        low, high = self.interval(log_prob_old)
        return -_clipped(log_ratio, advantage, low, high)

    def outside(self, log_ratio: Tensor, log_prob_old: Tensor) -> Tensor:
        """Return where the ratio has left its own interval."""
        low, high = self.interval(log_prob_old)
        ratio = log_ratio.exp()
        return (ratio < low) | (ratio > high)


def ratio_bounds(log_prob: Tensor, delta: float) -> tuple[Tensor, Tensor]:
    """Return l < 1 < u, of the shape of `log_prob`, as `AdaptiveClip` defines them.

    By bisection of log X; u is 1 / p where even certainty stays within δ.
    """
    p = log_prob.double().exp().clamp(1e-12, 1.0 - 1e-9)
    # -p log X alone exceeds δ below exp(-(δ + log 2) / p), and (1 - p) log(1 - p) >= -log 2.
    farthest = ((delta + math.log(2.0)) / p).clamp(max=60.0)
    # Both in one bisection: on a minibatch, starting an operation costs more than its arithmetic.
    low, high = _root(p, delta, torch.stack((-farthest, -p.log()))).exp().to(log_prob.dtype)
    return low, high


def _root(p: Tensor, delta: float, beyond: Tensor) -> Tensor:
    """Bisect log X between 0 and points `beyond` the KL δ (or at the end of the range)."""
    within = torch.zeros_like(beyond)
    log_p, other, log_other = p.log(), 1 - p, torch.log1p(-p)
    for _ in range(_BISECTIONS):
        middle = (beyond + within) / 2
        rest = (-torch.expm1(middle + log_p)).clamp(min=1e-300)  # 1 - p X
        kl = -p * middle - other * (rest.log() - log_other)
        inside = kl < delta
        within = torch.where(inside, middle, within)
        beyond = torch.where(inside, beyond, middle)
    return within


def remembered(recent: float | None, mean_kl: float) -> float:
    """Return the running mean of the updates' KLs; the first one starts it."""
    return mean_kl if recent is None else recent + MEMORY * (mean_kl - recent)


def bounded_error(kl: float, target: float) -> float:
    """Return clip(kl / target - 1, ±.2)."""
    return min(max(kl / target - 1.0, -0.2), 0.2)


def correction(mean_kl: float, target: float, factor: float) -> float:
    """Return `factor` above 1.5 target, 1 / `factor` below target / 1.5, otherwise 1."""
    if mean_kl > BAND * target:
        return factor
    return 1.0 / factor if mean_kl < target / BAND else 1.0
