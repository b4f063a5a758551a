"""Customer-weeks counted by state and action: what every head is fitted to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.panel import FATIGUES, FREQUENCIES, OTHER, RECENCIES, Panel

Floats = NDArray[np.float64]


class Cells(NamedTuple):
    """`m` distinct states and actions; `C` channels."""

    recency: NDArray[np.int64]  # [m]
    frequency: NDArray[np.int64]  # [m]
    fatigue: NDArray[np.int64]  # [m, C]
    action: NDArray[np.int64]  # [m]


class Counts(NamedTuple):
    """Weighted rows and events of every cell; the squared weights serve standard errors."""

    rows: Floats  # [m] sum of w
    events: Floats  # [m] sum of w y
    squared_rows: Floats  # [m] sum of w^2
    squared_events: Floats  # [m] sum of w^2 y


def cells_of(panel: Panel) -> tuple[Cells, NDArray[np.int64]]:
    """The cells that a panel visits, and the cell of every row; -1 where its action is unknown."""
    channels = panel.fatigue.shape[1]
    sizes = (RECENCIES, FREQUENCIES, *[FATIGUES] * channels)
    state = np.ravel_multi_index((panel.recency, panel.frequency, *panel.fatigue.T), sizes).astype(
        np.int64
    )
    actions = int(panel.action.max()) + 2
    code = state * actions + panel.action + 1
    levels, index = np.unique(code, return_inverse=True)
    kept = levels % actions != OTHER + 1
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    recency, frequency, *fatigue = np.unravel_index(levels[kept] // actions, sizes)
    cells = Cells(
        recency=np.asarray(recency),
        frequency=np.asarray(frequency),
        fatigue=np.stack(fatigue, axis=1),
        action=levels[kept] % actions - 1,
    )
    return cells, number[index]


def counted(cell: NDArray[np.int64], size: int, event: NDArray[np.bool_], weight: Floats) -> Counts:
    """Sums by cell; rows of cell -1 are left out."""
    kept = cell >= 0
    cell, event, weight = cell[kept], event[kept], weight[kept]

    def total(amount: Floats) -> Floats:
        return np.asarray(np.bincount(cell, amount, minlength=size))

    return Counts(total(weight), total(weight * event), total(weight**2), total(weight**2 * event))
