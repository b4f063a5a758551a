"""Where a log is thin: what it says too little about for a simulator to be believed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.core.fidelity import Curve
from envs.core.logged import LoggedDecisions
from ppo_marketing.ope.feedback import LEAST_ROWS


@dataclass(frozen=True)
class ActionSupport:
    """One action in the rows that the simulator was fitted to.

    `thin_cells` is the share of situations in which the log has fewer than `LEAST_ROWS` rows of it.
    """

    action: str
    rows: float
    thin_cells: float


@dataclass(frozen=True)
class ThinPoint:
    """A place of a fidelity curve with few rows behind it, beside the curve's middle place."""

    curve: str
    x_label: str
    x: float
    rows: float
    usual: float


def support_of(logged: LoggedDecisions) -> tuple[ActionSupport, ...]:
    """How often the log holds each action, the rarest first."""
    rows = logged.seen.sum(axis=0)
    visited = logged.seen.sum(axis=1) > 0
    thin = (logged.seen[visited] < LEAST_ROWS).mean(axis=0)
    return tuple(
        ActionSupport(logged.actions[a], float(rows[a]), float(thin[a]))
        for a in np.argsort(rows, kind="stable")
    )


def thin_points(curves: Sequence[Curve], below: float = 0.1) -> tuple[ThinPoint, ...]:
    """Places of curves with less than a tenth of the rows that their middle place has."""
    found = []
    for curve in curves:
        usual = float(np.median(curve.n)) if curve.n else 0.0
        found += [
            ThinPoint(curve.name, curve.x_label, x, rows, usual)
            for x, rows in zip(curve.x, curve.n, strict=False)
            if rows < below * usual
        ]
    return tuple(found)
