"""Gaussian heads: amounts, bounded by clipping or by tanh."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ppo_marketing.ppo.head import Array, Head

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# tanh of 7.25 is one minus 1e-6: an action nearer to its bound has no usable inverse in float32.
SQUASH_MARGIN = 1e-6
QUADRATURE_POINTS = 16  # entropy of a squashed Gaussian to about 1e-3 nats up to sd 2


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


def squash_correction(u: Tensor) -> Tensor:
    """Return log(1 - tanh²u) = 2 (log 2 - u - softplus(-2u)), exact where 1 - tanh²u underflows."""
    return 2.0 * (math.log(2.0) - u - functional.softplus(-2.0 * u))


def _bounds(values: Array) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in cast("list[float]", values.tolist())]
