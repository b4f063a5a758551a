"""What both engines of the update share: the rows they train on, how they cut and measure them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from torch import Tensor

from ppo_marketing.errors import TrainingDiverged
from ppo_marketing.ppo.anchor import KLAnchor, Reference

KL_TOLERANCE = 1.5  # one minibatch's k3 is noisy, so stopping waits for this multiple of the target


@dataclass(frozen=True)
class Held:
    """An anchor and the policy that it holds to."""

    anchor: KLAnchor
    reference: Reference


@dataclass(frozen=True)
class TrainingRows:
    """The rollout as rows ready for training: steps [n], artefacts left out; or sequences [n, T].

    A sequence is one row, since its elements are evaluated together; `valid` [n, T] then tells
    experience from padding, and every mean is over experience alone.
    """

    inputs: Tensor
    action: Tensor
    allowed: Tensor | None
    log_prob_old: Tensor  # written by the engine, in the very batches of its first epoch
    log_prob_reference: Tensor | None
    advantage: Tensor
    target: Tensor  # the return estimate that the critic is fitted to
    value_old: Tensor
    valid: Tensor | None = None  # None: every element is experience

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, index: Tensor | slice) -> Self:
        """Return some rows: views for a slice, copies for an index."""
        return type(self)(
            self.inputs[index],
            self.action[index],
            None if self.allowed is None else self.allowed[index],
            self.log_prob_old[index],
            None if self.log_prob_reference is None else self.log_prob_reference[index],
            self.advantage[index],
            self.target[index],
            self.value_old[index],
            None if self.valid is None else self.valid[index],
        )

    def experienced(self, elements: Tensor) -> Tensor:
        """Return the elements that are experience, of a tensor shaped like `advantage`."""
        return elements if self.valid is None else elements[self.valid]


class Measured(NamedTuple):
    """One minibatch, measured before its step."""

    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    anchor_kl: float  # KL(new, reference), nats
    clip_fraction: float
    ratio_deviation: float  # largest |ratio - 1|
    gradient_norm: float


@dataclass(frozen=True)
class Passes:
    """What the epochs of an update showed."""

    first: Measured  # the very first minibatch
    last_epoch: list[Measured]  # the minibatches of the last epoch begun
    epochs: int


def edges_of_minibatches(rows: int, size: int) -> list[int]:
    """Cut `rows` into equal parts of about `size`, so that no small remainder is left over."""
    count = max(1, round(rows / size))
    edges: list[int] = np.linspace(0, rows, count + 1).round().astype(int).tolist()
    return edges


def minibatches(rows: int, size: int) -> list[slice]:
    """Return those parts as slices of a permutation."""
    return [slice(first, last) for first, last in pairwise(edges_of_minibatches(rows, size))]


def kl_limit(target: float | None) -> float:
    """Return the k3 of a minibatch above which the update ends, nats."""
    return math.inf if target is None else KL_TOLERANCE * target


def refuse_divergence(measured: Measured) -> None:
    """Raise TrainingDiverged where a measurement is not finite; its step must not be taken."""
    broken = [
        f"{name} is {number}"
        for name, number in measured._asdict().items()
        if not math.isfinite(number)
    ]
    if broken:
        raise TrainingDiverged(
            f"training diverged: {', '.join(broken)}. The last checkpoint is kept; lower the "
            "learning rate, or look for extreme rewards or observations"
        )
