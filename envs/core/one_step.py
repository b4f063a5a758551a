"""Logged decisions that stand alone, as arrays: what an evaluation without a simulator reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class OneStepRows:
    """`n` decisions, none of which changes what follows.

    A row of a log that stands for several impressions may be several decisions: `row` says which
    row of the log, in the order of time, each of them comes from.
    """

    row: Ints  # [n] row of the log, from 0
    action: Ints  # [n] place in `actions`
    actions: tuple[str, ...]  # A ids, as the log has them
    reward: Floats  # [n] of one impression
    propensity: Floats | None  # [n] of the action; None: not logged
    unit: Ints  # [n] customer or visitor
    weight: Floats  # [n] impressions
    context: NDArray[np.float32]  # [n, D] what was known before the choice, encoded
    cell: Ints  # [n] coarse context, within which support is counted
    eligible: NDArray[np.bool_] | None  # [n, A]; None: every action always is
    notes: tuple[str, ...] = ()
