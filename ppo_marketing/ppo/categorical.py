"""Categorical heads: choices, one or several at once, or items scored by their features."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.head import Array, Head

MASKED_LOGIT = -1e8  # far below any trained logit plus Gumbel noise, yet finite in float32
SMALLEST_DRAW = np.float32(1e-30)  # a Gumbel draw of 69


class CategoricalHead(Head):
    """One choice, or several independent ones, from the actor's logits, some of them masked.

    π(i|s) = e^{l_i} / Σ_{j allowed} e^{l_j};  H sums over allowed choices only.

    `counts` holds the choices of each component; logits and masks of all components lie side
    by side. `starts` is what the environment calls each first choice. A `scalar` head gives
    the environment one number a copy (Discrete), otherwise a row of them (MultiDiscrete).
    """

    def __init__(self, counts: tuple[int, ...], starts: tuple[int, ...], *, scalar: bool) -> None:
        super().__init__()
        self.counts = counts
        self.starts = starts
        self.scalar = scalar
        self.choices = sum(counts)
        self.outputs = self.noises = self.choices
        self.stored_shape = () if scalar else (len(counts),)
        self.stored_type = np.int64

    def noise_into(self, rng: np.random.Generator, out: Array) -> Array:
        """Fill with Gumbel draws, so that argmax(logits + noise) ~ softmax(logits)."""
        rng.standard_exponential(dtype=np.float32, out=out)  # E; -log E is Gumbel
        # A draw of 0 would become infinite and win over the mask.
        np.maximum(out, SMALLEST_DRAW, out=out)
        np.log(out, out=out)
        return np.negative(out, out=out)

    def sample(self, output: Tensor, noise: Tensor, mask: Tensor | None) -> Tensor:
        """Return the index, or row of indices, that the Gumbel noise selects."""
        return self._largest(_masked(output, mask) + noise)

    def mode(self, output: Tensor, mask: Tensor | None) -> Tensor:
        """Return the most likely allowed index of every component."""
        return self._largest(_masked(output, mask))

    def evaluate(
        self, output: Tensor, action: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the log-probability of the joint choice and its entropy, each [n]."""
        logits = _masked(output, mask)
        choices = action.view(len(output), len(self.counts))
        terms = [
            _categorical(part, choice)
            for part, choice in zip(
                torch.split(logits, list(self.counts), dim=-1), choices.unbind(-1), strict=True
            )
        ]
        log_prob, entropy = terms[0]
        for further_log_prob, further_entropy in terms[1:]:
            log_prob, entropy = log_prob + further_log_prob, entropy + further_entropy
        return log_prob, entropy

    def to_environment(self, action: Array) -> Array:
        """Return the environment's own numbers of the choices."""
        return action + (self.starts[0] if self.scalar else np.asarray(self.starts))

    def from_environment(self, action: Array) -> Array:
        """Return the indices, counted from zero, of the environment's choices."""
        start = self.starts[0] if self.scalar else np.asarray(self.starts)
        return np.asarray(action, np.int64) - start

    def describe(self) -> dict[str, Any]:
        """Return the kind, the choices of each component and their first numbers."""
        return {
            "kind": "categorical",
            "counts": list(self.counts),
            "starts": list(self.starts),
            "scalar": self.scalar,
        }

    def check_mask(self, mask: Array) -> None:
        """Refuse a mask that leaves some component without a choice.

        Raises:
            UserError: saying in how many rows, and of which component.
        """
        edges = np.cumsum((0, *self.counts))
        for component, (first, last) in enumerate(pairwise(edges)):
            empty = int((~mask[:, first:last].any(axis=1)).sum())
            if empty:
                raise UserError(
                    f"the action mask forbids every choice of component {component} in {empty} of "
                    f"{len(mask)} rows; an environment must always allow at least one action"
                )

    def _largest(self, scores: Tensor) -> Tensor:
        if self.scalar:
            return scores.argmax(-1)
        return torch.stack(
            [part.argmax(-1) for part in torch.split(scores, list(self.counts), dim=-1)], -1
        )


class ItemHead(CategoricalHead):
    """One choice among items that are scored by their features: logits l = E u.

    u [n, F] is the actor's output and E [items, F] fixed, so that the actor's size does not grow
    with the catalogue, what is learnt of one item serves the ones that resemble it, and an item
    that training never saw has a score.

    Source: Dulac-Arnold et al. 2015 for embedded actions; here every item is scored exactly.
    """

    def __init__(self, features: Array) -> None:
        super().__init__((len(features),), (0,), scalar=True)
        self.outputs = features.shape[1]
        self.features: Tensor
        self.register_buffer("features", torch.from_numpy(np.array(features, np.float32)))

    def sample(self, output: Tensor, noise: Tensor, mask: Tensor | None) -> Tensor:
        """Return the item that the Gumbel noise selects."""
        return super().sample(output @ self.features.T, noise, mask)

    def mode(self, output: Tensor, mask: Tensor | None) -> Tensor:
        """Return the allowed item with the highest score."""
        return super().mode(output @ self.features.T, mask)

    def evaluate(
        self, output: Tensor, action: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the log-probability of the item and the entropy over all allowed ones."""
        return super().evaluate(output @ self.features.T, action, mask)

    def describe(self) -> dict[str, Any]:
        """Return the kind and the size; the features are saved with the parameters."""
        return {"kind": "items", "items": self.choices, "features": self.outputs}


def _masked(output: Tensor, mask: Tensor | None) -> Tensor:
    return output if mask is None else output.masked_fill(~mask, MASKED_LOGIT)


def _categorical(logits: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    log_probs = functional.log_softmax(logits, dim=-1)
    # A masked choice contributes e^{-1e8} · -1e8 = 0, so the sum is over allowed choices only.
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    return log_probs.gather(-1, choice.unsqueeze(-1)).squeeze(-1), entropy
