"""One minibatch in compiled code: its losses and their gradient, tile by tile.

A minibatch is cut into *lanes* of whole tiles by its size alone. Every lane sums its own gradient,
so that the result does not depend on how many threads share them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ppo_marketing.ppo.fused.compiled import TILE, Array, Floats, Ints, njit
from ppo_marketing.ppo.fused.heads import HeadForm, assess
from ppo_marketing.ppo.fused.objective import Objective, Rows, add_losses
from ppo_marketing.ppo.fused.perceptron import Net, backward, forward
from ppo_marketing.ppo.losses import ADVANTAGE_EPSILON

LANE_ROWS = TILE
"""Rows that are worth a thread: a tile takes some fifty times as long as a meeting."""
LANES = 8
"""The most lanes, and so threads, of a minibatch: each costs one more gradient to add."""
BLOCKS = 8
"""Parts of the parameters, each added up and stepped by one thread."""


class Model(NamedTuple):
    """An agent as the kernels see it."""

    actor: Net
    critic: Net
    head: HeadForm


class Scratch(NamedTuple):
    """What a lane writes on the way, [LANES, ...] each."""

    inputs: Floats  # one tile of training rows
    action: Floats
    allowed: Array
    actor: Floats  # outputs of every layer of one tile
    critic: Floats
    delta: Floats  # gradients by a layer's outputs
    spare: Floats
    product: Floats  # one weight matrix
    log_prob: Floats
    entropy: Floats
    log_prob_slope: Floats
    entropy_slope: Floats
    policy_slope: Floats
    value_slope: Floats
    gradient: Floats  # [LANES, parameters]
    measured: Array  # [LANES, MEASURES] float64
    squares: Array  # [BLOCKS] float64, sums of squares of the gradient


@njit
def share_of(parts: int, thread: int, threads: int) -> tuple[int, int]:
    """Return the first of `parts` that a thread does, and the first that it no longer does."""
    return parts * thread // threads, parts * (thread + 1) // threads


@njit
def lanes_of(rows: int) -> int:
    """Return how many lanes a minibatch of `rows` has."""
    return int(min(LANES, max(1, rows // LANE_ROWS)))


@njit
def advantage_scaling(objective: Objective, advantage: Any, index: Any) -> tuple[float, float]:
    """Return mean and 1 / (sd + ε) of a minibatch's advantages; 0 and 1 where they are as is."""
    if not objective.normalise_advantages:
        return 0.0, 1.0
    count, total, square = len(index), 0.0, 0.0
    for i in range(count):
        total += advantage[index[i]]
    mean = total / count
    if count < 2:
        return mean, 1.0
    for i in range(count):
        square += (advantage[index[i]] - mean) ** 2
    return mean, 1.0 / (math.sqrt(square / (count - 1)) + ADVANTAGE_EPSILON)


@njit
def _gather(source: Any, index: Any, flat_target: Any) -> Any:
    """Return `source[index]`, written into the front of `flat_target`."""
    columns = source.shape[1]
    target = flat_target[: len(index) * columns].reshape(len(index), columns)
    for i in range(len(index)):
        row = index[i]
        for column in range(columns):
            target[i, column] = source[row, column]
    return target


@njit
def _tile(
    flat: Floats,
    model: Model,
    rows: Rows,
    objective: Objective,
    index: Any,
    scaling: Any,
    share: float,
    learn: bool,
    scratch: Scratch,
    lane: int,
) -> None:
    """One tile: log π into `log_prob_old`, or, to `learn`, its losses and its gradient."""
    head, count = model.head, len(index)
    inputs = _gather(rows.inputs, index, scratch.inputs[lane])
    action = _gather(rows.action, index, scratch.action[lane])
    allowed = rows.allowed
    if len(allowed) > 0:
        allowed = _gather(allowed, index, scratch.allowed[lane])
    output = forward(flat, model.actor, inputs, scratch.actor[lane])
    outputs = output.shape[1]
    slopes = scratch.log_prob_slope.shape[1] // TILE
    by_log_prob = scratch.log_prob_slope[lane, : count * slopes].reshape(count, slopes)
    by_entropy = scratch.entropy_slope[lane, : count * slopes].reshape(count, slopes)
    log_prob, entropy = scratch.log_prob[lane], scratch.entropy[lane]
    assess(head, flat, output, action, allowed, log_prob, entropy, by_log_prob, by_entropy)
    if not learn:
        for i in range(count):
            rows.log_prob_old[index[i]] = log_prob[i]
        return

    value = forward(flat, model.critic, inputs, scratch.critic[lane])
    policy_slope, value_slope = scratch.policy_slope[lane], scratch.value_slope[lane]
    add_losses(
        objective, rows, index, scaling, log_prob, entropy, value[:, 0], policy_slope, value_slope,
        scratch.measured[lane],
    )  # fmt: skip
    gradient, delta, spare = scratch.gradient[lane], scratch.delta[lane], scratch.spare[lane]
    for i in range(count):
        delta[i] = value_slope[i] * share
    backward(
        flat, model.critic, inputs, scratch.critic[lane], delta, spare, scratch.product[lane],
        gradient,
    )  # fmt: skip
    pull = objective.entropy_coefficient
    for i in range(count):
        for j in range(outputs):
            slope = policy_slope[i] * by_log_prob[i, j] - pull * by_entropy[i, j]
            delta[i * outputs + j] = slope * share
        for j in range(outputs, slopes):
            slope = policy_slope[i] * by_log_prob[i, j] - pull * by_entropy[i, j]
            gradient[head.log_std + j - outputs] += slope * share
    backward(
        flat, model.actor, inputs, scratch.actor[lane], delta, spare, scratch.product[lane],
        gradient,
    )  # fmt: skip


@njit
def sweep(
    flat: Floats,
    model: Model,
    rows: Rows,
    objective: Objective,
    index: Ints,
    scaling: Any,
    learn: bool,
    scratch: Scratch,
    first_lane: int,
    last_lane: int,
) -> None:
    """Do the lanes `first_lane:last_lane` of the minibatch of rows `index [m]`."""
    count = len(index)
    tiles, lanes = (count + TILE - 1) // TILE, lanes_of(count)
    for lane in range(first_lane, last_lane):
        scratch.gradient[lane, :] = 0.0
        scratch.measured[lane, :] = 0.0
        for tile in range(lane * tiles // lanes, (lane + 1) * tiles // lanes):
            part = index[tile * TILE : min(count, (tile + 1) * TILE)]
            _tile(flat, model, rows, objective, part, scaling, 1.0 / count, learn, scratch, lane)
