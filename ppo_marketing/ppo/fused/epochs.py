"""The whole update in compiled code: every epoch's minibatches, each with a step of Adam.

The parameters are cut into *blocks*. Block by block the lanes' gradients are added in order and
Adam takes its step, so that the result does not depend on how many threads share lanes and blocks.
They meet three times a minibatch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppo_marketing.ppo.adam import BETA_MEAN, BETA_SQUARE, EPSILON
from ppo_marketing.ppo.fused.barrier import meet
from ppo_marketing.ppo.fused.compiled import Array, Floats, Ints, njit
from ppo_marketing.ppo.fused.kernel import (
    BLOCKS,
    Model,
    Scratch,
    advantage_scaling,
    lanes_of,
    share_of,
    sweep,
)
from ppo_marketing.ppo.fused.objective import KL, MEASURES, RATIO_DEVIATION, Objective, Rows
from ppo_marketing.ppo.fused.perceptron import add

NORM = MEASURES  # the place of the gradient's norm in a row of measurements


@njit
def add_lanes(count: int, scratch: Scratch, gradient: Floats, block: int) -> None:
    """Add one block of the gradient up over the lanes of a minibatch of `count` rows."""
    first, last = share_of(len(gradient), block, BLOCKS)
    target = gradient[first:last]
    target[:] = scratch.gradient[0, first:last]
    for lane in range(1, lanes_of(count)):
        add(target, scratch.gradient[lane, first:last])
    scratch.squares[block] = _sum_of_squares(target)


@njit
def _sum_of_squares(values: Any) -> float:
    total = 0.0
    for i in range(len(values)):
        total += float(values[i]) ** 2
    return total


@njit
def summarise(count: int, scratch: Scratch, measured: Any) -> bool:
    """Fill `measured [MEASURES + 1]` from lanes and blocks; return whether all of it is finite.

    The gradient's norm is that before clipping.
    """
    lanes = lanes_of(count)
    for which in range(RATIO_DEVIATION):
        total = 0.0
        for lane in range(lanes):
            total += scratch.measured[lane, which]
        measured[which] = total / count
    measured[RATIO_DEVIATION] = np.max(scratch.measured[:lanes, RATIO_DEVIATION])
    measured[NORM] = math.sqrt(np.sum(scratch.squares))
    return bool(np.all(np.isfinite(measured)))


@njit
def adam_step(
    flat: Floats,
    gradient: Floats,
    mean: Floats,
    square: Floats,
    steps: int,
    learning_rate: float,
    factor: float,
    block: int,
) -> None:
    """Clip one block's gradient by `factor` and take step number `steps`, counted from 1.

    As `ppo_marketing.ppo.adam.Adam` does.
    """
    first, last = share_of(len(flat), block, BLOCKS)
    _adam(
        flat[first:last], gradient[first:last], mean[first:last], square[first:last],
        np.float32(learning_rate / (1.0 - BETA_MEAN**steps)),
        np.float32(1.0 / math.sqrt(1.0 - BETA_SQUARE**steps)),
        np.float32(factor),
    )  # fmt: skip


@njit
def _adam(
    flat: Any, gradient: Any, mean: Any, square: Any, rate: Any, correction: Any, factor: Any
) -> None:
    new, squared = np.float32(1.0 - BETA_MEAN), np.float32(1.0 - BETA_SQUARE)
    kept, epsilon = np.float32(BETA_SQUARE), np.float32(EPSILON)
    for i in range(len(flat)):
        gradient[i] *= factor
    for i in range(len(flat)):
        mean[i] += (gradient[i] - mean[i]) * new
    for i in range(len(flat)):
        square[i] = square[i] * kept + squared * gradient[i] * gradient[i]
    for i in range(len(flat)):
        flat[i] -= rate * mean[i] / (np.sqrt(square[i]) * correction + epsilon)


@njit
def fill_log_prob_old(
    flat: Floats,
    model: Model,
    rows: Rows,
    objective: Objective,
    order: Ints,
    edges: Ints,
    scratch: Scratch,
    thread: int,
    threads: int,
) -> None:
    """Do this thread's share of log π, in the very batches of the first epoch.

    So the first ratio is exactly 1.
    """
    scaling, learn = np.array([0.0, 1.0]), len(edges) < 1
    for batch in range(len(edges) - 1):
        index = order[0, edges[batch] : edges[batch + 1]]
        first, last = share_of(lanes_of(len(index)), thread, threads)
        sweep(flat, model, rows, objective, index, scaling, learn, scratch, first, last)


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
    thread: int,
    threads: int,
    barrier: Ints,
) -> tuple[int, int, int]:
    """Do one thread's share of every epoch; `order [epochs, n]`, `edges [minibatches + 1]`.

    The first thread fills `measured [minibatches + 1, MEASURES + 1]` with the last epoch's
    minibatches, its last row with the very first minibatch. Every thread comes to the same
    decisions by itself, and returns the epochs begun, the minibatches measured in the last of them,
    and the steps taken; the measurements say whether it ended by diverging.
    """
    batches, done, epoch = len(edges) - 1, 0, 0
    scaling, found = np.empty(2), np.empty(measured.shape[1])
    learn = batches > 0  # true, but not as a constant: for that numba would compile all anew
    first_block, last_block = share_of(BLOCKS, thread, threads)
    for epoch in range(len(order)):
        for done in range(1, batches + 1):
            index = order[epoch, edges[done - 1] : edges[done]]
            count = len(index)
            scaling[0], scaling[1] = advantage_scaling(objective, rows.advantage, index)
            first, last = share_of(lanes_of(count), thread, threads)
            sweep(flat, model, rows, objective, index, scaling, learn, scratch, first, last)
            if not meet(barrier, threads):
                return epoch, done, steps
            for block in range(first_block, last_block):
                add_lanes(count, scratch, gradient, block)
            if not meet(barrier, threads):
                return epoch, done, steps
            finite = summarise(count, scratch, found)
            if thread == 0:
                measured[done - 1] = found
                if epoch == 0 and done == 1:
                    measured[batches] = found
            if not finite or found[KL] > objective.kl_limit:
                return epoch + 1, done, steps
            steps += 1
            factor = min(1.0, objective.max_grad_norm / max(found[NORM], 1e-30))
            for block in range(first_block, last_block):
                adam_step(
                    flat, gradient, mean, square, steps, objective.learning_rate, factor, block
                )  # fmt: skip
            if not meet(barrier, threads):
                return epoch, done, steps
    return epoch + 1, done, steps
