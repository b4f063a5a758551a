"""Action distributions: what a network's outputs mean, how to sample them, what they weigh.

A head works on *stored* actions, the ones whose probability is exact: the Gaussian draw before
it is bounded, the index of a discrete choice. `to_environment` turns them into what the
environment takes. Noise is drawn outside, from a numpy Generator, so that one call serves a
whole rollout.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from ppo_marketing.errors import UserError

Array = npt.NDArray[Any]

MASKED_LOGIT = -1e8  # far below any trained logit plus Gumbel noise, yet finite in float32
SMALLEST_DRAW = np.float32(1e-30)  # a Gumbel draw of 69
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# tanh of 7.25 is one minus 1e-6: an action nearer to its bound has no usable inverse in float32.
SQUASH_MARGIN = 1e-6
QUADRATURE_POINTS = 16  # entropy of a squashed Gaussian to about 1e-3 nats up to sd 2


class Head(nn.Module, ABC):
    """The distribution of one action given the outputs [n, outputs] of the actor.

    | symbol   | shape            | meaning                                                |
    |----------|------------------|--------------------------------------------------------|
    | `output` | [n, outputs]     | the actor's last layer                                 |
    | `noise`  | [n, noises]      | standard noise of the head's own kind                  |
    | `mask`   | [n, outputs]     | True where a discrete choice is allowed; None: all are |
    | `action` | [n] or [n, dims] | a stored action                                        |
    """

    outputs: int
    noises: int  # numbers of noise that one action needs
    stored_shape: tuple[int, ...]  # of one action: () or (dims,)
    stored_type: type

    @abstractmethod
    def noise_into(self, rng: np.random.Generator, out: Array) -> Array:
        """Fill `out [..., noises]`, float32, with standard noise, and return it."""

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return standard noise [*shape, noises], float32."""
        return self.noise_into(rng, np.empty((*shape, self.noises), np.float32))

    @abstractmethod
    def sample(self, output: Tensor, noise: Tensor, mask: Tensor | None) -> Tensor:
        """Return the stored action that the noise selects."""

    @abstractmethod
    def mode(self, output: Tensor, mask: Tensor | None) -> Tensor:
        """Return the most likely stored action."""

    @abstractmethod
    def evaluate(
        self, output: Tensor, action: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log π(a|s) [n] in nats and the entropy [n] in nats."""

    @abstractmethod
    def to_environment(self, action: Array) -> Array:
        """Return what the environment takes for a stored action."""

    @abstractmethod
    def from_environment(self, action: Array) -> Array:
        """Return the stored action of an environment's action."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return plain values from which `head_from` builds the same head."""


class GaussianHead(Head):
    """Independent normals around the actor's unbounded mean; the environment gets a ~ clipped.

    log π = Σ_d [-(a_d - μ_d)² / (2 σ_d²) - log σ_d - ½ log 2π],  H = Σ_d [log σ_d + ½ log 2πe]

    Both are of the raw draw, in the action's own units: clipping belongs to the environment.
    σ does not depend on the state.
    """

    def __init__(self, low: Array, high: Array, log_std: float) -> None:
        super().__init__()
        self.low = np.asarray(low, np.float32)
        self.high = np.asarray(high, np.float32)
        self.outputs = self.noises = len(self.low)
        self.stored_shape, self.stored_type = (self.outputs,), np.float32
        self.log_std = nn.Parameter(torch.full((self.outputs,), log_std))

    def noise_into(self, rng: np.random.Generator, out: Array) -> Array:
        """Fill with standard normal draws."""
        rng.standard_normal(dtype=np.float32, out=out)
        return out

    def sample(self, output: Tensor, noise: Tensor, mask: Tensor | None) -> Tensor:
        """Return μ + σ z, not yet bounded."""
        return output + self.log_std.exp() * noise

    def mode(self, output: Tensor, mask: Tensor | None) -> Tensor:
        """Return μ."""
        return output

    def evaluate(
        self, output: Tensor, action: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the raw draw's log-density and the Gaussian's entropy, each [n]."""
        score = (action - output) * torch.exp(-self.log_std)
        scale = self.log_std.sum()
        log_prob = -0.5 * score.square().sum(-1) - scale - self.outputs * HALF_LOG_2PI
        entropy = scale + self.outputs * (0.5 + HALF_LOG_2PI)
        return log_prob, entropy.expand(len(output))

    def to_environment(self, action: Array) -> Array:
        """Return the action clipped to the Box."""
        clipped: Array = np.clip(action, self.low, self.high)
        return clipped

    def from_environment(self, action: Array) -> Array:
        """Return the action itself: a clipped one is taken as the draw that it shows."""
        return np.asarray(action, np.float32)

    def describe(self) -> dict[str, Any]:
        """Return the kind and the Box's bounds; an absent bound is None."""
        return {"kind": "gaussian", "low": _bounds(self.low), "high": _bounds(self.high)}


class SquashedGaussianHead(GaussianHead):
    """A Gaussian u mapped into the Box by a = centre + radius · tanh(u); stored before tanh.

    log π(a) = log N(u; μ, σ) - Σ_d [2 (log 2 - u_d - softplus(-2 u_d)) + log radius_d]

    The entropy has no closed form: E[log |da/du|] is taken by Gauss-Hermite quadrature.

    Source: Haarnoja et al. 2018, appendix C, in the form that stays exact for large u.
    """

    def __init__(self, low: Array, high: Array, log_std: float) -> None:
        super().__init__(low, high, log_std)
        self.centre = 0.5 * (self.low + self.high)
        self.radius = 0.5 * (self.high - self.low)
        self.log_radius = float(np.log(self.radius).sum())
        points, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_POINTS)
        self.points = points.astype(np.float32)
        self.weights = (weights / weights.sum()).astype(np.float32)

    def evaluate(
        self, output: Tensor, action: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log-density and entropy of the bounded action, from its value before tanh."""
        log_prob, entropy = super().evaluate(output, action, mask)
        standard = torch.from_numpy(self.points).to(output.device)
        weights = torch.from_numpy(self.weights).to(output.device)
        points = output + self.log_std.exp() * standard[:, None, None]
        stretch = torch.tensordot(weights, squash_correction(points).sum(-1), dims=1)
        correction = squash_correction(action).sum(-1) + self.log_radius
        return log_prob - correction, entropy + stretch + self.log_radius

    def to_environment(self, action: Array) -> Array:
        """Return centre + radius · tanh(u), inside the Box."""
        squashed = self.centre + self.radius * np.tanh(action)
        # Rounding alone can carry centre ± radius past a bound.
        clipped: Array = np.clip(squashed, self.low, self.high)
        return clipped

    def from_environment(self, action: Array) -> Array:
        """Return u = atanh((a - centre) / radius); an action on its bound is taken just inside."""
        unit = (np.asarray(action, np.float64) - self.centre) / self.radius
        inside = np.clip(unit, -1.0 + SQUASH_MARGIN, 1.0 - SQUASH_MARGIN)
        raw: Array = np.arctanh(inside).astype(np.float32)
        return raw

    def describe(self) -> dict[str, Any]:
        """Return the kind and the Box's bounds."""
        return super().describe() | {"kind": "squashed gaussian"}


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


def squash_correction(u: Tensor) -> Tensor:
    """Return log(1 - tanh²u) = 2 (log 2 - u - softplus(-2u)), exact where 1 - tanh²u underflows."""
    return 2.0 * (math.log(2.0) - u - functional.softplus(-2.0 * u))


def head_for(space: spaces.Space[Any], *, squash: bool, log_std: float) -> Head:
    """Return the head of an action space: Box, Discrete or MultiDiscrete.

    A Discrete that carries `item_features` [n, F] is chosen from by scoring those features.

    Raises:
        UserError: the space is of another kind, cannot be squashed, or its features do not fit.
    """
    if isinstance(space, spaces.Discrete):
        features = getattr(space, "item_features", None)
        if features is not None:
            return _item_head(space, np.asarray(features))
        return CategoricalHead((int(space.n),), (int(space.start),), scalar=True)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        counts, starts = tuple(space.nvec.tolist()), tuple(space.start.tolist())
        return CategoricalHead(counts, starts, scalar=False)
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        if not squash:
            return GaussianHead(space.low, space.high, log_std)
        if space.is_bounded():
            return SquashedGaussianHead(space.low, space.high, log_std)
        raise UserError(
            f"squashed actions need finite bounds, and the action space is {space}; "
            "give it bounds or set squash_actions to false"
        )
    raise UserError(
        f"the action space {space} is not supported: use a Box of shape (d,), a Discrete or a "
        "MultiDiscrete with one row of counts"
    )


def _item_head(space: spaces.Discrete[Any], features: Array) -> ItemHead:
    if features.ndim != 2 or len(features) != space.n or space.start != 0:
        raise UserError(
            f"item_features of shape {features.shape} do not fit {space}: give one row of features "
            "an item, and count items from 0"
        )
    if not np.isfinite(features).all():
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise UserError(
            f"item_features are not finite for {len(bad)} of {len(features)} items (first: "
            f"{', '.join(map(str, bad[:5]))}); every item needs numbers to be scored by"
        )
    return ItemHead(features)


def head_from(description: Mapping[str, Any]) -> Head:
    """Return the head that `Head.describe` described; its σ is then set from the saved tensors.

    Raises:
        UserError: the kind is unknown.
    """
    kind = description["kind"]
    if kind == "categorical":
        counts, starts = tuple(description["counts"]), tuple(description["starts"])
        return CategoricalHead(counts, starts, scalar=description["scalar"])
    if kind == "items":
        return ItemHead(np.zeros((description["items"], description["features"]), np.float32))
    gaussians = {"gaussian": GaussianHead, "squashed gaussian": SquashedGaussianHead}
    if kind in gaussians:
        low = np.array([-np.inf if bound is None else bound for bound in description["low"]])
        high = np.array([np.inf if bound is None else bound for bound in description["high"]])
        return gaussians[kind](low, high, 0.0)
    raise UserError(
        f"unknown action head {kind!r}; known: categorical, {', '.join(gaussians)}, items"
    )


def _masked(output: Tensor, mask: Tensor | None) -> Tensor:
    return output if mask is None else output.masked_fill(~mask, MASKED_LOGIT)


def _categorical(logits: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    log_probs = functional.log_softmax(logits, dim=-1)
    # A masked choice contributes e^{-1e8} · -1e8 = 0, so the sum is over allowed choices only.
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    return log_probs.gather(-1, choice.unsqueeze(-1)).squeeze(-1), entropy


def _bounds(values: Array) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in cast("list[float]", values.tolist())]
