"""The whole update in compiled code: minibatches of tiles, and Adam, on the flat parameters.

A minibatch is cut into *lanes* of whole tiles by its size alone. Every lane sums its own gradient
and the lanes are added in order, so that the result does not depend on how many threads share them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ppo_marketing.ppo.adam import BETA_MEAN, BETA_SQUARE, EPSILON
from ppo_marketing.ppo.fused.compiled import TILE, Array, Floats, Ints, njit
from ppo_marketing.ppo.fused.heads import HeadForm, assess
from ppo_marketing.ppo.fused.objective import (
    KL,
    MEASURES,
    RATIO_DEVIATION,
    Objective,
    Rows,
    add_losses,
)
from ppo_marketing.ppo.fused.perceptron import Net, backward, forward
from ppo_marketing.ppo.losses import ADVANTAGE_EPSILON

LANE_ROWS = 512
"""Rows that are worth a thread: with two threads from 1,024 rows a minibatch on, two are faster."""
LANES = 8
"""The most lanes, and so threads, of a minibatch: each costs one more gradient to add."""

NORM = MEASURES  # the place of the gradient's norm in a row of measurements


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


@njit
def finish(
    objective: Objective, count: int, scratch: Scratch, gradient: Floats, measured: Any
) -> bool:
    """Add the lanes up, clip the gradient; fill `measured [MEASURES + 1]`; return if all is finite.

    The norm is measured before clipping.
    """
    lanes = lanes_of(count)
    gradient[:] = scratch.gradient[0]
    for lane in range(1, lanes):
        for i in range(len(gradient)):
            gradient[i] += scratch.gradient[lane, i]
    square = 0.0
    for i in range(len(gradient)):
        square += float(gradient[i]) ** 2
    norm = math.sqrt(square)
    if norm > objective.max_grad_norm:
        factor = np.float32(objective.max_grad_norm / norm)
        for i in range(len(gradient)):
            gradient[i] *= factor
    for which in range(RATIO_DEVIATION):
        total = 0.0
        for lane in range(lanes):
            total += scratch.measured[lane, which]
        measured[which] = total / count
    measured[RATIO_DEVIATION] = np.max(scratch.measured[:lanes, RATIO_DEVIATION])
    measured[NORM] = norm
    return bool(np.all(np.isfinite(measured)))


@njit
def adam_step(
    flat: Floats, gradient: Floats, mean: Floats, square: Floats, steps: int, learning_rate: float
) -> None:
    """Take step number `steps`, counted from 1, as `ppo_marketing.ppo.adam.Adam` does."""
    rate = np.float32(learning_rate / (1.0 - BETA_MEAN**steps))
    correction = np.float32(1.0 / math.sqrt(1.0 - BETA_SQUARE**steps))
    new, squared = np.float32(1.0 - BETA_MEAN), np.float32(1.0 - BETA_SQUARE)
    kept, epsilon = np.float32(BETA_SQUARE), np.float32(EPSILON)
    for i in range(len(flat)):
        g = gradient[i]
        mean[i] += (g - mean[i]) * new
        square[i] = square[i] * kept + squared * g * g
        flat[i] -= rate * mean[i] / (np.sqrt(square[i]) * correction + epsilon)


@njit
def run_epochs(
    flat: Floats,
    model: Model,
    rows: Rows,
    objective: Objective,
    order: Ints,
    edges: Ints,
    scratch: Scratch,
    gradient: Floats,
    mean: Floats,
    square: Floats,
    steps: int,
    measured: Array,
) -> tuple[int, int, int]:
    """Run every epoch of the update on one thread; `order [epochs, n]`, `edges [minibatches + 1]`.

    Fills `measured [minibatches + 1, MEASURES + 1]` with the last epoch's minibatches, its last row
    with the very first minibatch. Returns the epochs begun, the minibatches measured in the last of
    them, and the steps taken; the measurements say whether it ended by diverging.
    """
    batches, done, epoch = len(edges) - 1, 0, 0
    scaling = np.empty(2)
    # True and 0, but not as constants: for those numba would compile `sweep` and all below it anew.
    learn, first_lane = batches > 0, 0 * batches
    for epoch in range(len(order)):
        for done in range(1, batches + 1):
            index = order[epoch, edges[done - 1] : edges[done]]
            scaling[0], scaling[1] = advantage_scaling(objective, rows.advantage, index)
            lanes = lanes_of(len(index))
            sweep(
                flat, model, rows, objective, index, scaling, learn, scratch, first_lane, lanes
            )  # fmt: skip
            finite = finish(objective, len(index), scratch, gradient, measured[done - 1])
            if epoch == 0 and done == 1:
                measured[batches] = measured[0]
            if not finite or measured[done - 1, KL] > objective.kl_limit:
                return epoch + 1, done, steps
            steps += 1
            adam_step(flat, gradient, mean, square, steps, objective.learning_rate)
    return epoch + 1, done, steps
