"""The columns of a log by name, with a stand-in for those that it does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.personalization.encoding import Texts
from envs.personalization.model import Floats, Ints

Columns = Mapping[str, NDArray[Any]]


def codes(cells: NDArray[Any]) -> Ints:
    """Each cell's number among the distinct ones, in their order."""
    values = cells.astype(str) if cells.dtype == object else cells
    return np.unique(values, return_inverse=True)[1].astype(np.int32)


def column_or(columns: Columns, name: str, otherwise: float) -> Floats:
    """The numbers of a column, or `otherwise` in every row."""
    return np.asarray(columns.get(name, np.full(len(columns["reward"]), otherwise)))


def texts_or_empty(columns: Columns, name: str) -> Texts:
    """The texts of a column, or empty ones."""
    cells = columns.get(name)
    return np.full(len(columns["reward"]), "") if cells is None else cells.astype(str)
