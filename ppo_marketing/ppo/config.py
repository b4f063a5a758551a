"""Every setting of PPO, its default and the reason for it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.trust_region import (
    AdaptiveClip,
    Clip,
    KLPenalty,
    SteeredClip,
    Unbounded,
)

Region = Annotated[
    Clip | SteeredClip | KLPenalty | AdaptiveClip | Unbounded, Field(discriminator="kind")
]


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """How to learn; what to learn on, for how long and from which seed are arguments of `train`.

    Raises:
        UserError: some settings are out of range or contradict each other; all are listed.
    """

    rollout_steps: int = 32
    """Steps of every copy between updates. 32 x 64 copies x minibatches of 256 reached the same
    return in a fiftieth of the time of the customary few, huge batches."""

    minibatch_size: int = 256
    """Rows of one gradient step. Fixed as a size, not as a count: huge ones learn slowly."""

    epochs: int = 4
    """Passes over each rollout; more re-use gains little before the clip stops it."""

    learning_rate: float = 1e-3
    """Adam's step size at the start."""

    anneal_learning_rate: bool | None = None
    """Lower the learning rate linearly to zero, so that the last policy is a settled one. null:
    unless the trust region follows a KL, which steps of length zero would never reach."""

    trust_region: Region = field(default_factory=Clip)
    """How far an update may move the policy, chosen by `kind`: clip, steered_clip, kl_penalty,
    adaptive_clip or none (`trust_region.py`)."""

    anchor: KLAnchor | None = None
    """A price on drifting from a reference policy over the whole training; the reference is the
    policy that training starts from, unless `training.anchor_to` names another. Off by default:
    the start is already what the best rule does, and the best update is chosen on fresh
    episodes."""

    value_clip: float | None = None
    """Clip of the critic's move. Off: its right size depends on the scale of the reward."""

    value_coefficient: float = 0.5
    """Weight of mean (V - R)², which carries no factor 1/2 of its own."""

    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus at the start: enough to keep exploring normalised advantages."""

    anneal_entropy: bool = True
    """Lower the entropy bonus linearly to zero: exploring is not what the policy is judged on."""

    gamma: float = 0.99
    """Discount per step. Use 1 where an episode is a whole budget period."""

    gae_lambda: float = 0.95
    """λ of the advantage estimate (Schulman et al. 2016 found .92-.98 best)."""

    normalise_advantages: bool = True
    """Centre and scale advantages in each minibatch, so that ε and the bonus are scale-free."""

    max_grad_norm: float = 0.5
    """Largest Euclidean norm of the whole gradient, as in the reference implementations."""

    target_kl: float | None = None
    """End an update's epochs once k3 exceeds 1.5 times this. Off: the clip usually suffices."""

    normalise_observations: bool = True
    """Scale observations by their running mean and deviation; masks are never touched."""

    reward_scale: float | Literal["running"] = 1.0
    """What rewards are multiplied by, or "running": divided by the deviation of the return.
    1, since decisions state their rewards relative to a reference value already."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of the actor and, separately, of the critic."""

    log_std_initial: float = -0.5
    """Log deviation of a Gaussian action at the start, in the action's units: .61, so that nine
    of ten first actions around zero fall inside [-1, 1]."""

    squash_actions: bool = False
    """Map a Gaussian into its Box by tanh instead of clipping. Off: clipping keeps zero at zero
    and the entropy exact."""

    start: Literal["rule", "random"] = "rule"
    """"rule": the actor's last layer has zero weights, so the untrained policy is `start_bias`
    whatever it observes: the rule itself where actions are residuals. "random": small weights."""

    start_bias: tuple[float, ...] = ()
    """The mean action, or the logits, that start="rule" starts from; empty: all zero."""

    engine: Literal["auto", "torch", "fused"] = "auto"
    """What does an update: "fused", one compiled function for perceptrons on a CPU, or "torch", its
    reference, for anything. "auto": fused wherever it serves, since it is several times faster."""

    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where networks and data of the update are. On a graphics card networks this small are slower,
    so "auto", which takes one where it finds one, is not the default."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)!r}; it must be {allowed}"
            for name, holds, allowed in self._requirements()
            if not holds
        ]
        if problems:
            listed = "\n  ".join(problems)
            raise UserError(f"the PPO configuration cannot be used:\n  {listed}")

    def _requirements(self) -> list[tuple[str, bool, str]]:
        smallest_minibatch = 2 if self.normalise_advantages else 1
        return [
            ("rollout_steps", self.rollout_steps >= 1, "at least 1"),
            (
                "minibatch_size",
                self.minibatch_size >= smallest_minibatch,
                f"at least {smallest_minibatch} when normalise_advantages is "
                f"{self.normalise_advantages}",
            ),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("learning_rate", 0.0 < self.learning_rate < 1.0, "between 0 and 1, both excluded"),
            (
                "anneal_learning_rate",
                not (self.anneal_learning_rate and self.trust_region.follows_kl),
                f"false or null with the trust region {self.trust_region.kind!r}, whose target KL "
                "steps of length zero would never reach",
            ),
            ("value_clip", _absent_or_positive(self.value_clip), "positive, or null for off"),
            ("value_coefficient", _not_negative(self.value_coefficient), "zero or more"),
            ("entropy_coefficient", _not_negative(self.entropy_coefficient), "zero or more"),
            ("gamma", 0.0 <= self.gamma <= 1.0, "between 0 and 1"),
            ("gae_lambda", 0.0 <= self.gae_lambda <= 1.0, "between 0 and 1"),
            ("max_grad_norm", self.max_grad_norm > 0.0, "positive"),
            ("target_kl", _absent_or_positive(self.target_kl), "positive, or null for off"),
            (
                "reward_scale",
                self.reward_scale == "running" or 0.0 < self.reward_scale < math.inf,
                'a positive number or "running"',
            ),
            (
                "hidden",
                all(width >= 1 for width in self.hidden),
                "widths of at least 1 (none at all makes linear networks)",
            ),
            ("log_std_initial", abs(self.log_std_initial) <= 10.0, "between -10 and 10"),
            ("start", self.start in ("rule", "random"), '"rule" or "random"'),
            (
                "start_bias",
                self.start == "rule" or not self.start_bias,
                'empty when start is "random", which ignores it',
            ),
            (
                "start_bias",
                all(math.isfinite(bias) for bias in self.start_bias),
                "made of finite numbers",
            ),
            ("engine", self.engine in ("auto", "torch", "fused"), '"auto", "torch" or "fused"'),
            ("device", self.device in ("cpu", "cuda", "auto"), '"cpu", "cuda" or "auto"'),
            (
                "engine",
                self.engine != "fused" or self.device != "cuda",
                'auto or torch when device is "cuda": the fused engine is for the CPU',
            ),
        ]

    @property
    def anneals(self) -> bool:
        """Whether the learning rate goes to zero."""
        if self.anneal_learning_rate is None:
            return not self.trust_region.follows_kl
        return self.anneal_learning_rate

    def at(self, progress: float) -> Self:
        """Return the settings in force when the share `progress` in [0, 1] of training is done."""
        left = 1.0 - progress
        return replace(
            self,
            # An exact zero is not a learning rate; after the last update nothing reads it.
            learning_rate=max(self.learning_rate * left, 1e-12)
            if self.anneals
            else self.learning_rate,
            entropy_coefficient=self.entropy_coefficient * left
            if self.anneal_entropy
            else self.entropy_coefficient,
        )

    def as_values(self) -> dict[str, Any]:
        """Return the settings as plain values: what a checkpoint and a run's record hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def require_fitting_minibatch(config: PPOConfig, copies: int) -> None:
    """Refuse a minibatch that a rollout of so many copies cannot fill.

    Raises:
        UserError: it is larger.
    """
    for problem in unfilled_minibatch(config, copies):
        raise UserError(problem)


def unfilled_minibatch(config: PPOConfig, copies: int) -> list[str]:
    """What to say of a minibatch that a rollout of so many copies cannot fill; else nothing."""
    rows = config.rollout_steps * copies
    if config.minibatch_size <= rows:
        return []
    return [
        f"minibatch_size is {config.minibatch_size} and one rollout has only {rows} rows "
        f"({config.rollout_steps} steps of {copies} copies); lower it or gather more"
    ]


def _absent_or_positive(value: float | None) -> bool:
    return value is None or 0.0 < value < math.inf


def _not_negative(value: float) -> bool:
    return 0.0 <= value < math.inf
