"""The learner of an update whose rows are texts: a language model and its critic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ppo_marketing.content.language import log_probs
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.tokens import Sequences


class LanguageAgent:
    """A policy over tokens and a critic of its own, or none where a baseline takes its place.

    Rows are `Sequences.tokens` `[n, P + T]`; actions are the response's tokens `[n, T]`.
    """

    def __init__(
        self, policy: Any, critic: ScoreModel | None, *, prompt_width: int, temperature: float
    ) -> None:
        self.policy = policy
        self.critic = critic
        self.prompt_width = prompt_width
        self.temperature = temperature

    @property
    def device(self) -> torch.device:
        """Where the policy's parameters are."""
        found: torch.device = next(self.policy.parameters()).device
        return found

    def evaluate(
        self, inputs: Tensor, stored: Tensor, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log π of every response token and the entropy where it was chosen, `[n, T]`."""
        return log_probs(self.policy, Sequences(inputs, self.prompt_width), self.temperature)

    def values(self, inputs: Tensor) -> Tensor:
        """Return V before every response token `[n, T]`; zero without a critic."""
        rows = Sequences(inputs, self.prompt_width)
        if self.critic is None:
            return torch.zeros(rows.response.shape, device=inputs.device)
        return self.critic.values(rows)

    def parameters(self) -> list[nn.Parameter]:
        """Return every trained parameter, in a fixed order."""
        critic = [] if self.critic is None else list(self.critic.parameters())
        return [*self.policy.parameters(), *critic]
