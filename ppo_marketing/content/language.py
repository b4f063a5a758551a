"""What a causal language model says of texts, and texts drawn from it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppo_marketing.content.tokens import PAD, Sequences, attended

ROWS_AT_ONCE = 512
"""Rows of one pass without gradients, at most."""
MOST_NUMBERS = 1 << 27
"""Numbers of one pass's largest array, half a GB: logits of 50,000 tokens allow for few rows."""


def rows_at_once(width_of_a_row: int) -> int:
    """Return the rows of one pass whose largest array has so many numbers a row.

    It depends on shapes alone, so that it is the same for policy and reference, and equal models
    give equal numbers to the last bit.
    """
    return max(1, min(ROWS_AT_ONCE, MOST_NUMBERS // max(1, width_of_a_row)))


def forward(model: Any, tokens: Tensor, **more: Any) -> Any:
    """Run a model on rows of tokens; places are left out where it takes none."""
    inputs = attended(tokens)
    if "position_ids" not in inspect.signature(model.forward).parameters:
        del inputs["position_ids"]
    return model(**inputs, **more)


def log_probs(model: Any, rows: Sequences, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return log π of every response token and the entropy where it was chosen, `[N, T]`, nats.

    π is the model's distribution at `temperature`: softmax of logits / temperature. Zero on
    padding; what stands around a text, and how wide, does not change its numbers.
    """
    logits = forward(model, rows.tokens).logits[:, rows.prompt_width - 1 : -1] / temperature
    every = torch.log_softmax(logits.float(), dim=-1)
    chosen = every.gather(-1, rows.response.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    entropy = -(every.exp() * every).sum(dim=-1)
    nothing = torch.zeros((), dtype=chosen.dtype, device=chosen.device)
    return torch.where(rows.valid, chosen, nothing), torch.where(rows.valid, entropy, nothing)


@torch.no_grad()
def measured(model: Any, rows: Sequences, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return what `log_probs` does, without gradients and in parts."""
    size = rows_at_once(rows.tokens.shape[1] * int(model.config.vocab_size))
    parts = [
        log_probs(model, rows.take(slice(start, start + size)), temperature)
        for start in range(0, len(rows), size)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@torch.no_grad()
def sample(
    model: Any,
    prompts: Tensor,
    *,
    end_token: int,
    most_tokens: int,
    temperature: float,
    rng: np.random.Generator,
) -> Sequences:
    """Draw a response to every prompt `[N, P]`, token by token, until its end token or the limit.

    Exactly from softmax(logits / temperature): no top-k, no nucleus, since training needs the
    probabilities of what was drawn. One uniform number a row and step comes from `rng`, whether the
    row has ended or not, so that a row's draws do not depend on the others' lengths.
    """
    tokens = prompts
    going = torch.ones(len(prompts), dtype=torch.bool)
    past: Any = None
    inputs = attended(prompts)
    place = inputs["position_ids"][:, -1:]
    takes_places = "position_ids" in inspect.signature(model.forward).parameters
    mask, step = inputs["attention_mask"], inputs["input_ids"]
    places = inputs["position_ids"]
    for _ in range(most_tokens):
        more = {"position_ids": places} if takes_places else {}
        out = model(
            input_ids=step, attention_mask=mask, past_key_values=past, use_cache=True, **more
        )
        past = out.past_key_values
        chance = torch.softmax(out.logits[:, -1].double() / temperature, dim=-1)
        drawn = torch.from_numpy(rng.random((len(prompts), 1)))
        reached = chance.cumsum(dim=-1)
        # Of the last cumulative sum, not of 1: rounding must not draw beyond the vocabulary.
        chosen = torch.searchsorted(reached, drawn * reached[:, -1:], right=True).squeeze(1)
        chosen = chosen.clamp(max=chance.shape[-1] - 1)
        tokens = torch.cat([tokens, torch.where(going, chosen, PAD)[:, None]], dim=1)
        going = going & (chosen != end_token)
        if not bool(going.any()):
            break
        step, place = chosen[:, None], place + 1
        places = place
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    return Sequences(tokens, prompts.shape[1])
