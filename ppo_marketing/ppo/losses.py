"""The terms of the PPO objective and the statistics that say whether it is healthy."""

from __future__ import annotations

import torch
from torch import Tensor

ADVANTAGE_EPSILON = 1e-8  # only keeps equal advantages from being divided by zero


def k3(log_ratio: Tensor) -> Tensor:
    """Return the non-negative estimate of KL(π_old, π_new) from samples of π_old, elementwise.

    k3 = e^l - 1 - l,  l = log π_new(a|s) - log π_old(a|s)

    Source: Schulman 2020, "Approximating KL divergence".
    """
    return torch.expm1(log_ratio) - log_ratio


def normalised_advantage(advantage: Tensor) -> Tensor:
    """Return (A - mean A) / (sd A + ε) over all elements; a single one is returned as zero."""
    centred = advantage - advantage.mean()
    if advantage.numel() < 2:
        return centred
    return centred / (advantage.std() + ADVANTAGE_EPSILON)


def value_loss(
    value: Tensor, target: Tensor, value_old: Tensor, *, clip: float | None = None
) -> Tensor:
    """Return the mean squared error of the critic (no factor 1/2; the coefficient carries it).

    clip is None:  mean (V - R)²
    otherwise:     mean max((V - R)², (V_old + clip(V - V_old, ±clip) - R)²)

    `clip` is in units of the scaled reward, so it only suits rewards of known scale.
    """
    error = (value - target).square()
    if clip is None:
        return error.mean()
    held = value_old + (value - value_old).clamp(-clip, clip)
    return torch.maximum(error, (held - target).square()).mean()


def explained_variance(value: Tensor, target: Tensor) -> float:
    """Return 1 - Var(R - V) / Var(R): 1 is a perfect critic, 0 one no better than a constant.

    It is 0 where the targets do not vary, since there is then nothing to explain.
    """
    variance = _variance(target)
    if variance == 0.0:
        return 0.0
    return 1.0 - _variance(target - value) / variance


def _variance(values: Tensor) -> float:
    """Over the population, as a mean of squares: `Tensor.var` takes five times as long."""
    return float((values - values.mean()).square().mean())
