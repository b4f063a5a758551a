"""The loss of a tile of rows and its derivatives by log π and by V: the clipped objective."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ppo_marketing.ppo.fused.compiled import Array, Floats, njit

# Places in a row of measurements, in the order of `minibatches.Measured`: sums over rows, and last
# a maximum.
POLICY_LOSS, VALUE_LOSS, ENTROPY, KL, ANCHOR_KL, OUTSIDE, RATIO_DEVIATION = range(7)
MEASURES = RATIO_DEVIATION + 1
"""What `add_losses` measures."""


class Objective(NamedTuple):
    """The settings of one update, plain numbers; an absent one is infinite, or 0 for a weight.

    loss = mean [-s + β k3(l) + c_v value loss - c_e H + c_a anchor KL],  ρ = exp l
    s = min(ρ A, clip(ρ, low, high) A), and at least `dual` A where A < 0

    Every trust region is a case of it; `low` and `high` are kept row by row (`Rows`).
    """

    dual: float
    penalty: float  # β
    value_coefficient: float
    value_clip: float
    entropy_coefficient: float
    anchor_coefficient: float
    normalise_advantages: bool
    max_grad_norm: float
    kl_limit: float  # nats; a minibatch beyond it ends the update
    learning_rate: float


class Rows(NamedTuple):
    """A rollout as n rows ready for training; an optional array that is absent has no rows."""

    inputs: Floats  # [n, observations], normalised
    action: Floats  # [n, dims]; a choice as its number, exact up to 2^24 of them
    allowed: Array  # [n, choices] bool, or [0, 0]
    log_prob_old: Floats  # [n]
    log_prob_reference: Floats  # [n], or [0] without an anchor
    low: Floats  # [n] smallest ratio of the trust region
    high: Floats  # [n] largest
    advantage: Floats  # [n]
    target: Floats  # [n]
    value_old: Floats  # [n]


@njit
def _policy_term(
    objective: Objective, log_ratio: float, advantage: float, low: float, high: float
) -> tuple[float, float, bool]:
    """Return the policy's loss, its derivative by log π, and whether the ratio left [low, high]."""
    ratio = math.exp(log_ratio)
    outside = ratio < low or ratio > high
    surrogate, slope = ratio * advantage, ratio * advantage
    held = min(max(ratio, low), high) * advantage
    if held < surrogate:
        surrogate, slope = held, 0.0
    if advantage < 0.0 and surrogate < objective.dual * advantage:
        surrogate, slope = objective.dual * advantage, 0.0
    loss, slope = -surrogate, -slope
    if objective.penalty > 0.0:
        moved = math.expm1(log_ratio)
        loss += objective.penalty * (moved - log_ratio)
        slope += objective.penalty * moved
    return loss, slope, outside


@njit
def _value_term(
    objective: Objective, value: float, target: float, value_old: float
) -> tuple[float, float]:
    """Return the critic's loss of one row and its derivative by V."""
    error = value - target
    loss, slope = error * error, 2.0 * error
    clip = objective.value_clip
    if clip < np.inf:
        held = value_old + min(max(value - value_old, -clip), clip) - target
        if held * held > loss:
            loss = held * held
            slope = 2.0 * held if abs(value - value_old) <= clip else 0.0
    return loss, slope


@njit
def add_losses(
    objective: Objective,
    rows: Rows,
    index: Any,
    scaling: Any,
    log_prob: Any,
    entropy: Any,
    value: Any,
    policy_slope: Any,
    value_slope: Any,
    measured: Any,
) -> None:
    """Add a tile's losses to `measured [MEASURES]`; write each row's derivatives, not yet / n.

    `index [count]` are the tile's rows, `scaling` the mean and 1 / deviation of the advantages.
    """
    for i in range(len(index)):
        row = index[i]
        log_ratio = float(log_prob[i] - rows.log_prob_old[row])
        advantage = (rows.advantage[row] - scaling[0]) * scaling[1]
        loss, slope, outside = _policy_term(
            objective, log_ratio, advantage, rows.low[row], rows.high[row]
        )
        moved = math.expm1(log_ratio)
        measured[POLICY_LOSS] += loss
        measured[ENTROPY] += entropy[i]
        measured[KL] += moved - log_ratio
        measured[OUTSIDE] += 1.0 if outside else 0.0
        # Written so that NaN is kept: it must reach the test for divergence.
        if not abs(moved) <= measured[RATIO_DEVIATION]:
            measured[RATIO_DEVIATION] = abs(moved)
        if objective.anchor_coefficient > 0.0:
            difference = float(rows.log_prob_reference[row] - log_prob[i])
            ratio = 1.0 + moved
            measured[ANCHOR_KL] += ratio * (math.expm1(difference) - difference)
            slope -= objective.anchor_coefficient * ratio * difference
        policy_slope[i] = slope
        loss, slope = _value_term(objective, value[i], rows.target[row], rows.value_old[row])
        measured[VALUE_LOSS] += loss
        value_slope[i] = objective.value_coefficient * slope
