"""Texts drawn from a model for prompts, in the settings of an alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.language import rows_at_once, sample
from ppo_marketing.content.models import LanguageModel
from ppo_marketing.content.tokens import Sequences, left_padded


def draw(
    language: LanguageModel,
    model: Any,
    prompts: Sequence[str],
    config: AlignmentConfig,
    rng: np.random.Generator,
    prompt_width: int | None = None,
) -> Sequences:
    """Return a response of `model` to every prompt, in the settings of a training."""
    parts = []
    ids = left_padded(language.prompts(prompts), prompt_width)
    # The largest array is the cache of keys and values, over all layers.
    layers, width = model.config.num_hidden_layers, model.config.hidden_size
    size = rows_at_once(2 * layers * width * (ids.shape[1] + config.most_tokens))
    for start in range(0, len(ids), size):
        part = sample(
            model,
            ids[start : start + size],
            end_token=language.end_token,
            most_tokens=config.most_tokens,
            temperature=config.temperature,
            rng=rng,
        ).tokens
        room = ids.shape[1] + config.most_tokens - part.shape[1]
        parts.append(torch.nn.functional.pad(part, (0, room), value=-1))
    whole = torch.cat(parts)
    longest = int((whole != -1).any(dim=0).nonzero().max()) + 1
    return Sequences(whole[:, :longest], ids.shape[1])
