"""How far two distributions of one decision lie apart, state by state: exact, and never NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, rel_entr

Floats = NDArray[np.float64]


def categorical_kl(p: Any, q: Any) -> Floats:
    """KL(p ‖ q) = Σ_a p_a log(p_a / q_a) in nats of probabilities `[n, A]`: `[n]`.

    A term with p_a = 0 is 0; where p_a > 0 and q_a = 0 the whole is infinite. Rows are rescaled to
    sum to 1, since single precision misses that by 1e-7.

    Source: Kullback and Leibler 1951.
    """
    # Rounding alone can carry the sum of two nearly equal rows below nought.
    divergence = rel_entr(_summing_to_one(p), _summing_to_one(q)).sum(axis=-1)
    return np.asarray(np.maximum(divergence, 0.0))


def categorical_variation(p: Any, q: Any) -> Floats:
    """TV(p, q) = ½ Σ_a |p_a - q_a| of probabilities `[n, A]`: `[n]`, from 0 to 1.

    It is the least probability with which draws from p and q must differ.
    """
    return np.asarray(0.5 * np.abs(_summing_to_one(p) - _summing_to_one(q)).sum(axis=-1))


def gaussian_kl(mean_p: Any, log_std_p: Any, mean_q: Any, log_std_q: Any) -> Floats:
    """KL(p ‖ q) in nats of independent normals `[n, D]`, log-stds `[n, D]` or `[D]`: `[n]`.

        Σ_d [log(σ_q / σ_p) + (σ_p² + (μ_p - μ_q)²) / (2 σ_q²) - ½]

    A log-std of -inf stands for certainty: 0 between equal certain values, infinite between any
    certain value and something else. It is that of the raw draws: clipping them, or any mapping
    that both share, can only bring two policies closer, a one-to-one mapping not even that.
    """
    gap, log_p, log_q = _aligned(mean_p, log_std_p, mean_q, log_std_q)
    certain = np.isneginf(log_p) | np.isneginf(log_q)
    same = np.isneginf(log_p) & np.isneginf(log_q) & (gap == 0)
    log_p, log_q = np.where(certain, 0.0, log_p), np.where(certain, 0.0, log_q)
    with np.errstate(over="ignore"):  # a ratio of scales beyond 1e154 is as good as infinite
        excess = np.expm1(2.0 * (log_p - log_q)) / 2.0 - (log_p - log_q)
        shift = 0.5 * (np.abs(gap) * np.exp(np.minimum(-log_q, _WIDEST))) ** 2
    terms = np.where(certain, np.where(same, 0.0, np.inf), np.maximum(excess, 0.0) + shift)
    return np.asarray(terms.sum(axis=-1))


def gaussian_variation(mean_p: Any, log_std_p: Any, mean_q: Any, log_std_q: Any) -> Floats:
    """TV(p, q) of normals `[n, D]`, log-stds `[n, D]` or `[D]`: `[n]`, from 0 to 1.

    Exact for one control: the densities cross where

        log(σ_q / σ_p) = ½ ((x - μ_p) / σ_p)² - ½ ((x - μ_q) / σ_q)²,

    and TV is what p has more than q between the crossings; with equal σ it is
    2 Φ(|μ_p - μ_q| / (2 σ)) - 1. For several controls it is the bound 1 - Π_d (1 - TV_d) that
    drawing each control by its own best coupling gives. A log-std of -inf stands for certainty.
    """
    gap, log_p, log_q = _aligned(mean_p, log_std_p, mean_q, log_std_q)
    certain = np.isneginf(log_p) | np.isneginf(log_q)
    same = np.isneginf(log_p) & np.isneginf(log_q) & (gap == 0)
    # In units of the narrower one's σ and with it at the origin: TV knows no scale and no order.
    wide, narrow = np.maximum(log_p, log_q), np.minimum(log_p, log_q)
    wide, narrow = np.where(certain, 0.0, wide), np.where(certain, 0.0, narrow)
    with np.errstate(over="ignore"):  # as above
        distance = np.abs(gap) * np.exp(np.minimum(-narrow, _WIDEST))
    ratio = np.exp(np.minimum(wide - narrow, _WIDEST))
    apart = np.where(certain, np.where(same, 0.0, 1.0), _unit_variation(distance, ratio))
    return np.asarray(1.0 - np.prod(1.0 - apart, axis=-1))


_WIDEST = 300.0  # the log of a scale whose square is still a number
_FARTHEST = 1e8  # nothing of a unit normal is left here


def _unit_variation(distance: Floats, ratio: Floats) -> Floats:
    """TV between N(0, 1) and N(distance, ratio²), ratio >= 1."""
    m = np.minimum(distance, _FARTHEST)
    equal = ratio - 1.0 < 1e-9
    s = np.where(equal, 2.0, ratio)
    # Crossings of the densities: (s² - 1) x² + 2 m x - m² - 2 s² log s = 0, divided by s².
    a, b, c = 1.0 - s**-2.0, m / s / s, -((m / s) ** 2) - 2.0 * np.log(s)
    root = np.sqrt(b * b - a * c)
    low, high = (-b - root) / a, -c / (b + root)  # the second by the product, which loses nothing
    inside_narrow = _between(low, high)
    inside_wide = _between((low - m) / s, (high - m) / s)
    crossed = inside_narrow - inside_wide
    return np.clip(np.where(equal, 2.0 * ndtr(m / 2.0) - 1.0, crossed), 0.0, 1.0)


def _between(low: Floats, high: Floats) -> Floats:
    """Φ(high) - Φ(low), by the tail that keeps its digits."""
    flip = low > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    return np.asarray(np.exp(log_ndtr(high)) - np.exp(log_ndtr(low)))


def _summing_to_one(probability: Any) -> Floats:
    values = np.asarray(probability, np.float64)
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


def _aligned(
    mean_p: Any, log_std_p: Any, mean_q: Any, log_std_q: Any
) -> tuple[Floats, Floats, Floats]:
    gap = np.asarray(mean_p, np.float64) - np.asarray(mean_q, np.float64)
    stds = (np.asarray(log_std, np.float64) for log_std in (log_std_p, log_std_q))
    log_p, log_q = (np.broadcast_to(log_std, gap.shape) for log_std in stds)
    return gap, log_p, log_q
