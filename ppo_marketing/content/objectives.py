"""What is fitted to texts: the next token, a preference, a preference without a reward model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ppo_marketing.content.language import log_probs, measured
from ppo_marketing.content.preferences import bradley_terry_loss, dpo_loss
from ppo_marketing.content.score_model import ScoreModel
from ppo_marketing.content.tokens import Sequences

Objective = Callable[[Tensor], Tensor]


def next_token(model: Any, rows: Sequences) -> Objective:
    """Return the mean -log π of response tokens, the prompt given; nats a token."""

    def loss(index: Tensor) -> Tensor:
        batch = rows.take(index)
        chosen, _ = log_probs(model, batch)
        return -chosen.sum() / batch.valid.sum()

    return loss


def preference(model: ScoreModel, chosen: Sequences, rejected: Sequences) -> Objective:
    """Return the Bradley-Terry loss of pairs; both texts go through the model in one pass."""
    both = joined(chosen, rejected)
    pairs = len(chosen)

    def loss(index: Tensor) -> Tensor:
        scores = model.score(both.take(torch.cat([index, index + pairs])))
        return bradley_terry_loss(scores[: len(index)], scores[len(index) :])

    return loss


def direct_preference(
    model: Any, reference: Any, chosen: Sequences, rejected: Sequences, beta: float
) -> Objective:
    """Return DPO's loss; the reference's numbers are worked out once, before the first step."""
    both = joined(chosen, rejected)
    pairs = len(chosen)
    anchor = measured(reference, both)[0].sum(dim=1)

    def loss(index: Tensor) -> Tensor:
        rows = torch.cat([index, index + pairs])
        policy = log_probs(model, both.take(rows))[0].sum(dim=1)
        n = len(index)
        held = anchor[rows]
        return dpo_loss(policy[:n], policy[n:], held[:n], held[n:], beta)

    return loss


def joined(first: Sequences, second: Sequences) -> Sequences:
    """Return the rows of both, the second after the first, padded alike."""
    width = max(first.prompt_width, second.prompt_width)
    room = max(first.response.shape[1], second.response.shape[1])
    parts = [
        torch.nn.functional.pad(
            rows.tokens, (width - rows.prompt_width, room - rows.response.shape[1]), value=-1
        )
        for rows in (first, second)
    ]
    return Sequences(torch.cat(parts), width)
