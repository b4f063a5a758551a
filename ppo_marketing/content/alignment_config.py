"""Every setting of an alignment, its default and the reason for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ppo_marketing.content.kl import AdaptiveKL
from ppo_marketing.ppo.checked import Checked, require
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.trust_region import Clip


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig(Checked):
    """How to align, every default with its reason.

    Raises:
        UserError: a setting is out of range, or some contradict each other.
    """

    updates: int = 100
    texts: int = 512
    """Texts an update: their mean KL is what the controller sees."""
    per_prompt: int = 1
    """Texts of one prompt in an update; "rloo" compares them, so it needs at least two."""
    most_tokens: int = 24
    temperature: float = 1.0
    """Of policy and reference alike: the KL between two temperatures is never zero."""
    end_penalty: float = 1.0
    """Taken off a text that was cut before its end token."""
    advantage: Literal["gae", "rloo", "reinforce"] = "gae"
    """"gae": a critic and λ; "rloo": no critic, the other texts of the prompt are the baseline;
    "reinforce": no critic, and the mean that whitening takes off is all the baseline there is."""
    kl: AdaptiveKL = field(default_factory=AdaptiveKL)
    epochs: int = 4
    """Passes over each update's texts (Ziegler et al. 2019)."""
    minibatch: int = 128
    """Texts of one gradient step."""
    learning_rate: float = 1e-3
    """For small models; pretrained ones want about 1e-5."""
    gae_lambda: float = 0.95
    value_coefficient: float = 0.1
    """The published .1: critic and policy share no weights, so it only scales a step that Adam
    normalises, and bounds what the critic takes of the clipped gradient."""
    value_clip: float | None = 0.2
    clip: float = 0.2
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require(
            ("updates", self.updates, self.updates >= 1, "at least 1"),
            ("texts", self.texts, self.texts >= 2, "at least 2"),
            ("most_tokens", self.most_tokens, self.most_tokens >= 1, "at least 1"),
            (
                "temperature",
                self.temperature,
                0.0 < self.temperature < math.inf,
                "positive",
            ),
            ("end_penalty", self.end_penalty, self.end_penalty >= 0.0, "zero or more"),
            (
                "per_prompt",
                self.per_prompt,
                self.per_prompt >= (2 if self.advantage == "rloo" else 1)
                and self.texts % self.per_prompt == 0,
                "a divisor of texts, and at least 2 with rloo",
            ),
            ("minibatch", self.minibatch, 1 <= self.minibatch <= self.texts, "from 1 to texts"),
        )
        self.ppo()  # refuses the rest

    def ppo(self) -> PPOConfig:
        """Return the core's settings; rows are texts, γ is 1: an episode is one text."""
        with_critic = self.advantage == "gae"
        return PPOConfig(
            rollout_steps=1,
            minibatch_size=self.minibatch,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            trust_region=Clip(low=self.clip, high=self.clip),
            value_clip=self.value_clip if with_critic else None,
            value_coefficient=self.value_coefficient if with_critic else 0.0,
            entropy_coefficient=0.0,
            gamma=1.0,
            gae_lambda=self.gae_lambda if with_critic else 1.0,
            normalise_advantages=False,  # whitened over the whole update, with padding left out
            max_grad_norm=self.max_grad_norm,
            engine="torch",
        )
