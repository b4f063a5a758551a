"""Context columns that can only have been known after the choice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.personalization.encoding import Texts
from envs.personalization.model import Floats

LEAST_ROWS = 20
"""Fewer rows that were all rewarded may be chance."""

CHANCE = 1e-9
"""A group all of whose rows are rewarded is suspicious where chance would do it this rarely."""


def leaking_columns(cells: Mapping[str, Texts], reward: Floats) -> list[str]:
    """The columns with a value that never goes without a reward, such as a later conversion.

    The rows apart from a column's most common value are looked at together: spend above 0, a
    conversion, a time of purchase.
    """
    rate = min(max(float(reward.mean()), 1e-12), 1.0)
    problems = []
    for name, column in cells.items():
        values, counts = np.unique(column.astype(str), return_counts=True)
        usual = str(values[counts.argmax()])
        other = column != usual
        rows = int(other.sum())
        if rows >= LEAST_ROWS and (reward[other] > 0).all() and rate**rows < CHANCE:
            problems.append(
                f"{name} differs from {usual!r} in {rows:,} rows, all of them "
                "rewarded: it was known only after the choice. Leave it out, or name the features "
                "to use in --columns"
            )
    return problems
