"""Generalised advantage estimation that keeps terminations and truncations apart."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    ended: Tensor,
    *,
    gamma: float,
    lam: float,
) -> Tensor:
    """Return the advantage of every step, shape [T, N].

    δ_t = r_t + γ (1 - terminated_t) V(s_{t+1}) - V(s_t)
    A_t = δ_t + γ λ (1 - ended_t) A_{t+1},  A_T = 0

    `next_value` [T, N] is the value of the state that step t truly led to: of the final state
    where an episode ended, never of the state that autoreset put in its place. `ended` is
    terminated or truncated. A truncation bootstraps from `next_value` and cuts the trace; a
    termination does not bootstrap, also when it is a truncation as well.

    Source: Schulman et al. 2016, equations 11-16; Pardo et al. 2018 for the truncation.

    Raises:
        ValueError: the arrays differ in shape, or a termination is not an end.
    """
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in [
            ("reward", reward),
            ("value", value),
            ("next_value", next_value),
            ("terminated", terminated),
            ("ended", ended),
        ]
    }
    if len(set(shapes.values())) != 1 or reward.ndim != 2:
        raise ValueError(f"all five arrays must share one shape [T, N]; got {shapes}")
    terminated, ended = terminated.bool(), ended.bool()
    if bool((terminated & ~ended).any()):
        raise ValueError("`ended` must hold wherever `terminated` does: ended = terminated | cut")

    error = reward + gamma * next_value * ~terminated - value
    decay = (gamma * lam) * (~ended).to(error.dtype)
    advantage = torch.empty_like(error)
    trace = torch.zeros_like(error[0])
    for step in reversed(range(len(error))):
        trace = torch.addcmul(error[step], decay[step], trace)
        advantage[step] = trace
    return advantage
