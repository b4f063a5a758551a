"""Texts as rows of token ids: `[prompt, left-padded | response, right-padded]`.

Padding is -1, which no tokenizer has: so the end token, or any other, is never taken for padding,
and models without a padding token need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PAD = -1


@dataclass(frozen=True)
class Sequences:
    """Prompts and their responses; the response, end token included, begins at `prompt_width`."""

    tokens: Tensor  # [N, L] int64, PAD where there is none
    prompt_width: int  # P

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def response(self) -> Tensor:
        """The responses, `[N, L - P]`."""
        return self.tokens[:, self.prompt_width :]

    @property
    def valid(self) -> Tensor:
        """Where a response has a token, bool `[N, L - P]`."""
        return self.response != PAD

    @property
    def lengths(self) -> Tensor:
        """Tokens of each response, the end token included, `[N]`."""
        return self.valid.sum(dim=1)

    def take(self, index: Any) -> Sequences:
        """Return some rows."""
        return Sequences(self.tokens[index], self.prompt_width)


def sequences(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> Sequences:
    """Return rows of prompts and responses, padded to the widest of each."""
    width = max(map(len, prompts))
    room = max(map(len, responses))
    rows = [
        [PAD] * (width - len(prompt)) + [*prompt, *response] + [PAD] * (room - len(response))
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    return Sequences(torch.tensor(rows, dtype=torch.int64), width)


def left_padded(prompts: Sequence[Sequence[int]], width: int | None = None) -> Tensor:
    """Return prompts `[N, P]` as models continue them: padding first."""
    width = max(map(len, prompts)) if width is None else width
    return torch.tensor([[PAD] * (width - len(p)) + list(p) for p in prompts], dtype=torch.int64)


def attended(tokens: Tensor) -> dict[str, Tensor]:
    """Return a model's inputs: ids, which of them count, and each one's place in its own text.

    Places are counted from a text's first token, so that padding before it moves nothing.
    """
    mask = tokens != PAD
    return {
        "input_ids": tokens.clamp(min=0),
        "attention_mask": mask.long(),
        "position_ids": (mask.long().cumsum(dim=1) - 1).clamp(min=0),
    }
