"""Models brought to the same distance from their reference, so that their gold can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppo_marketing.content import brand_world
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.drawing import draw
from ppo_marketing.content.language import measured
from ppo_marketing.content.models import LanguageModel

NEAR_NATS = 0.02
"""A tenth of what the comparison allows: the rest is for the error of measuring."""
MOST_HALVINGS = 12


def kl_of_texts(
    own: LanguageModel,
    reference: LanguageModel,
    config: AlignmentConfig,
    texts: int,
    rng: np.random.Generator,
) -> float:
    """Return the KL of a model from its reference by k1 over so many fresh texts, nats a text."""
    rows = draw(own, own.model, brand_world.prompts(texts, rng), config, rng)
    policy, _ = measured(own.model, rows)
    anchor, _ = measured(reference.model, rows)
    return float((policy - anchor).sum(dim=1).mean())


def weights_of(model: Any) -> list[Tensor]:
    """Return copies of a model's parameters."""
    return [parameter.detach().clone() for parameter in model.parameters()]


def stop_between(
    own: LanguageModel,
    reference: LanguageModel,
    nearer: Sequence[Tensor],
    farther: Sequence[Tensor],
    kl: float,
    config: AlignmentConfig,
    texts: int,
    seed: int,
) -> float:
    """Put a model where the straight line between two weights is `kl` nats away; return the KL.

    By halving, with the same draws at every look, so that the KL of equal weights is equal.
    """
    low, high = 0.0, 1.0
    found = 0.0
    for _ in range(MOST_HALVINGS):
        share = (low + high) / 2
        _place(own.model, nearer, farther, share)
        found = kl_of_texts(own, reference, config, texts, np.random.default_rng([seed, 10]))
        if abs(found - kl) <= NEAR_NATS:
            break
        low, high = (share, high) if found < kl else (low, share)
    return found


def at_equal_kl(
    one: LanguageModel,
    other: LanguageModel,
    reference: LanguageModel,
    config: AlignmentConfig,
    texts: int,
    seed: int,
) -> None:
    """Move the farther one of two models back towards the reference, to the other's KL.

    Along the straight line of the weights; where both are as far, none is moved.
    """
    first, second = (
        kl_of_texts(own, reference, config, texts, np.random.default_rng([seed, 10]))
        for own in (one, other)
    )
    if abs(first - second) <= NEAR_NATS:
        return
    farther = one if first > second else other
    start, end = weights_of(reference.model), weights_of(farther.model)
    stop_between(farther, reference, start, end, min(first, second), config, texts, seed)


@torch.no_grad()
def _place(model: Any, nearer: Sequence[Tensor], farther: Sequence[Tensor], share: float) -> None:
    for parameter, start, end in zip(model.parameters(), nearer, farther, strict=True):
        parameter.copy_(torch.lerp(start, end, share))
