"""Held-out decisions as they were logged: what evidence without a simulator rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LoggedDecisions:
    """`n` decisions of the part that nothing was fitted to, and what the simulator foretells.

    Rows are sorted by sequence, then by step. A *cell* is a coarse state, the same to the log and
    to a policy: `cell_of` reads it from observations. A *group* is a set of rows whose events are
    compared with what the training simulator's `K` members expect of them.
    """

    observation: NDArray[np.float32]  # [n, obs] what a policy sees
    mask: NDArray[np.bool_] | None  # [n, A]
    action: Ints  # [n]
    propensity: Floats  # [n] of the action
    propensities: Literal["logged", "estimated"]
    reward: Floats  # [n] currency
    event: Floats  # [n] events that followed
    weight: Floats  # [n] decisions that a row stands for
    unit: Ints  # [n] customer or visitor: rows of one are never parted
    sequence: Ints  # [n] rows of one follow each other
    step: Ints  # [n] place in the sequence, from 0; all 0 where decisions stand alone
    terminal: bool  # whether nothing follows a sequence's last row; else the log was cut there
    cell: Ints  # [n]
    cell_of: Callable[[NDArray[np.float32]], Ints]
    seen: Floats  # [cells, A] rows that the training simulator was fitted to
    group: Ints  # [n]
    groups: tuple[str, ...]
    foretold: Floats  # [K, n] events that each member expects of the row's own action
    # numbers of rows -> [rows, A] the reward that the training simulator expects of every action;
    # None for sequences, whose value is fitted to the log itself
    expected: Callable[[NDArray[Any]], Floats] | None
    actions: tuple[str, ...]  # A labels
    discount: float  # of a step

    @property
    def size(self) -> int:
        """n."""
        return len(self.action)

    @property
    def sequential(self) -> bool:
        """Whether decisions follow each other."""
        return bool(self.step.any())
