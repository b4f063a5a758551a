"""What every token earns, and how it is scaled; all arrays time first, `[T, N]`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WHITENING_EPSILON = 1e-8


def last_tokens(valid: Array) -> Array:
    """Return where each text's last token is, bool `[T, N]`; `valid` has no gaps.

    Raises:
        ValueError: a text has no token.
    """
    length = valid.sum(axis=0)
    if (length == 0).any():
        raise ValueError("every text must have at least one token, its end token at least")
    last: Array = np.arange(len(valid))[:, None] == length - 1
    return last


def token_rewards(
    score: Array, log_prob: Array, log_prob_reference: Array, valid: Array, coefficient: float
) -> Array:
    """Return the reward of every token, `[T, N]`; zero on padding.

    r_t = -β (log π(a_t) - log π_ref(a_t)) + score · 1[t is the text's last token]

    `score [N]` is the whole text's. Summed over a text: score - β k1.

    Source: Ziegler et al. 2019, equation 2; Stiennon et al. 2020, section 3.4.
    """
    penalty = np.where(valid, coefficient * (log_prob - log_prob_reference), 0.0)
    rewards: Array = np.where(last_tokens(valid), score, 0.0) - penalty
    return rewards


def with_end_penalty(score: Array, ended: Array, penalty: float) -> Array:
    """Return the scores `[N]`, less `penalty` where a text was cut before its end token.

    Source: Huang et al. 2024 (The N+ implementation details), section 4: a reward model that never
    saw texts without an end says nothing about them.
    """
    adjusted: Array = score - penalty * ~ended
    return adjusted


def whitened(values: Array, valid: Array, *, shift_mean: bool = True) -> Array:
    """Return (x - m) / sqrt(v + ε) over valid elements, zero elsewhere.

    m and v are the mean and the population variance (divisor n, as TensorFlow's moments) of the
    valid elements; without `shift_mean` the mean is put back, as for rewards.

    Source: Huang et al. 2023 (The N implementation details of RLHF with PPO), "whitening".
    """
    known = values[valid].astype(np.float64)
    mean = known.mean()
    scaled = (values - mean) / np.sqrt(known.var() + WHITENING_EPSILON)
    if not shift_mean:
        scaled = scaled + mean
    white: Array = np.where(valid, scaled, 0.0)
    return white


def leave_one_out(total: Array) -> Array:
    """Return for each of k texts of a prompt the mean of the other k - 1; `[prompts, k]`, k > 1.

    The baseline of RLOO: A_i = R_i - (Σ_{j≠i} R_j) / (k - 1), unbiased since R_i is not in it.

    Source: Kool et al. 2019; Ahmadian et al. 2024, equation 6.
    """
    k = total.shape[1]
    if k < 2:
        raise ValueError("leaving one out needs at least two texts a prompt")
    baseline: Array = (total.sum(axis=1, keepdims=True) - total) / (k - 1)
    return baseline
