"""Generalised advantage estimation that keeps terminations and truncations apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ppo_marketing.ppo.fused.compiled import njit

Array = npt.NDArray[Any]


def gae(
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    ended: Array,
    *,
    gamma: float,
    lam: float,
    reward_factor: float = 1.0,
) -> Array:
    """Return the advantage of every step, shape [T, N], of `value`'s type.

    δ_t = c r_t + γ (1 - terminated_t) V(s_{t+1}) - V(s_t)
    A_t = δ_t + γ λ (1 - ended_t) A_{t+1},  A_T = 0

    `next_value` [T, N] is the value of the state that step t truly led to: of the final state
    where an episode ended, never of the state that autoreset put in its place. `ended` is
    terminated or truncated. A truncation bootstraps from `next_value` and cuts the trace; a
    termination does not bootstrap, also when it is a truncation as well. `reward_factor` is c.

    Source: Schulman et al. 2016, equations 11-16; Pardo et al. 2018 for the truncation.

    Raises:
        ValueError: the arrays differ in shape, or a termination is not an end.
    """
    shapes = {
        name: array.shape
        for name, array in [
            ("reward", reward),
            ("value", value),
            ("next_value", next_value),
            ("terminated", terminated),
            ("ended", ended),
        ]
    }
    if len(set(shapes.values())) != 1 or reward.ndim != 2:
        raise ValueError(f"all five arrays must share one shape [T, N]; got {shapes}")
    if (terminated & ~ended).any():
        raise ValueError("`ended` must hold wherever `terminated` does: ended = terminated | cut")
    advantage = np.empty_like(value)
    trace = np.zeros(value.shape[1])
    _sum_backwards(
        reward, value, next_value, terminated, ended, gamma, gamma * lam, reward_factor, trace,
        advantage,
    )  # fmt: skip
    return advantage


@njit
def _sum_backwards(
    reward: Any,
    value: Any,
    next_value: Any,
    terminated: Any,
    ended: Any,
    gamma: float,
    decay: float,
    factor: float,
    trace: Any,
    advantage: Any,
) -> None:
    for step in range(len(reward) - 1, -1, -1):
        for copy in range(len(trace)):
            error = factor * reward[step, copy] - value[step, copy]
            if not terminated[step, copy]:
                error += gamma * next_value[step, copy]
            if not ended[step, copy]:
                error += decay * trace[copy]
            trace[copy] = error
            advantage[step, copy] = error
