"""The log's own policy as something that training can be held to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.core.decision import Choosing
from envs.core.world import Array

SMALLEST_CHANCE = 1e-6
"""What a choice that the log never shows counts as: 13.8 nats, so that its price stays finite."""

CHUNK_ROWS = 4096  # probabilities of a large catalogue would not fit at once


@dataclass(frozen=True)
class LoggingReference:
    """A reference that knows its choices by their probabilities; `identity` is its hash."""

    choosing: Choosing
    identity: str

    def log_prob_stored(self, observation: Array, stored: Tensor, allowed: Tensor | None) -> Tensor:
        """Return log max(pi(a|s), `SMALLEST_CHANCE`) [n] of choices counted from zero."""
        choice = stored.cpu().numpy().reshape(len(observation), 1)
        mask = None if allowed is None else allowed.cpu().numpy()
        parts = []
        for start in range(0, len(observation), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            chance = self.choosing(observation[rows], None if mask is None else mask[rows])
            parts.append(np.take_along_axis(chance, choice[rows], axis=1)[:, 0])
        log_prob = np.log(np.maximum(np.concatenate(parts), SMALLEST_CHANCE))
        return torch.from_numpy(log_prob.astype(np.float32)).to(stored.device)

    def sha256(self) -> str:
        """Return the hash of what it does in some situations of history."""
        return self.identity
