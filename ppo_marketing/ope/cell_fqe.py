"""Fitted Q evaluation between cells: a log's value of a policy, its support, and models by row.

The regression of `fqe` is here a shrunk mean, and its limit is solved exactly (`cell_model`).
Trajectories may have any lengths: after an end there is nothing, and after a cut the value goes on.

Source: Le, Voloshin and Yue 2019, algorithm 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.cell_model import (
    PRIOR_ROWS,
    CellModel,
    Solved,
    counter,
    horizon_problems,
    policy_by_cell,
    q_by_step,
    solve,
)
from ppo_marketing.ope.feedback import LEAST_ROWS
from ppo_marketing.ope.trajectories import UNKNOWN, CellLog, Floats, Ints, powers, refuse

FOLDS = 5
"""Of cross-fitting, by customer: four in five teach the model that judges the fifth."""


class Support(NamedTuple):
    """The share of the target's decisions that the log says too little of."""

    unsupported: float  # of all its decisions, discounted as their rewards are
    by_step: Floats  # [H] of those of each step; [1] of an infinite horizon


class CellFqe(NamedTuple):
    """A policy's value in a log of cells; the leading axis is the step, 1 of no horizon."""

    value: float
    q: Floats  # [H, C, A]
    by_cell: Floats  # [H + 1, C] v, 0 at the end; or [1, C]
    occupancy: Floats  # [H, C] P(s_t = s); or [1, C] sum_t γ^t P(s_t = s)
    support: Support


def fqe_by_cell(
    log: CellLog,
    target: Floats,
    *,
    discount: float,
    horizon: int | None = None,
    prior_rows: float = PRIOR_ROWS,
) -> CellFqe:
    """The value of `target [C, A]` (or `[n, A]` by row) from the log's starts.

    `horizon` counts steps; None is the discounted value without end.

    Raises:
        UserError: probabilities, discount, horizon or `prior_rows` cannot be.
    """
    refuse("a policy", horizon_problems(discount, horizon))
    policy = policy_by_cell(log, target)
    model = counter(log, prior_rows=prior_rows).model()
    solved = solve(model, policy, discount, horizon)
    q = q_by_step(model, solved, discount)
    found = support(model, policy, solved, discount)
    return CellFqe(solved.value, q, solved.by_cell, solved.occupancy, found)


def support(
    model: CellModel, policy: Floats, solved: Solved, discount: float, *, thin: int = LEAST_ROWS
) -> Support:
    """The target's estimated visits to (cell, action) pairs with fewer than `thin` rows."""
    visits = solved.occupancy
    unsupported = visits @ np.where(model.rows < thin, policy, 0.0).sum(axis=1)
    alive = visits.sum(axis=1)
    weight = powers(discount, len(alive))
    by_step = np.divide(unsupported, alive, out=np.zeros_like(alive), where=alive > 0)
    return Support(float(unsupported @ weight / (alive @ weight)), by_step)


class RowModel(NamedTuple):
    """FQE's view of every row, by a model of other customers: what the doubly robust forms take."""

    q: Floats  # [n] of the logged action
    value: Floats  # [n] v(s)
    after: Floats  # [T] v of the state after the last row; 0 after an end, NaN where not known


def cross_fitted_rows(
    log: CellLog,
    target: Floats,
    *,
    discount: float,
    rng: Generator,
    horizon: int | None = None,
    prior_rows: float = PRIOR_ROWS,
    folds: int = FOLDS,
) -> RowModel:
    """`fqe_by_cell` of all other folds' customers, at every row. Beyond the horizon all is 0.

    Raises:
        UserError: as `fqe_by_cell`, and where there are fewer customers than folds.
    """
    policy = policy_by_cell(log, target)
    fold, counted = folds_of(log, folds, rng), counter(log, prior_rows=prior_rows)
    q, value = np.zeros(len(log.step)), np.zeros(len(log.step))
    following = np.where(log.next_cell == UNKNOWN, np.nan, 0.0)
    if horizon is not None:
        following[log.step >= horizon - 1] = 0.0
    for number in range(folds):
        model = counted.model((fold != number).astype(np.float64))
        solved = solve(model, policy, discount, horizon)
        by_step = q_by_step(model, solved, discount)
        rows = fold[log.unit_of_row] == number
        if horizon is not None:
            rows &= log.step < horizon
        step, cell = (log.step if horizon is not None else 0 * log.step)[rows], log.cell[rows]
        q[rows] = by_step[step, cell, log.action[rows]]
        value[rows] = solved.by_cell[step, cell]
        going = rows & (log.next_cell >= 0)
        later = log.step[going] + 1 if horizon is not None else 0
        following[going] = solved.by_cell[later, log.next_cell[going]]
    return RowModel(q, value, following[log.last])


def folds_of(log: CellLog, folds: int, rng: Generator) -> Ints:
    """The fold of every customer, `[units]`, drawn at random and of equal sizes."""
    if not 2 <= folds <= log.units:
        refuse("a cross-fitted value", [f"folds is {folds}: 2 .. {log.units}, the customers"])
    return np.asarray(rng.permutation(np.arange(log.units) % folds), np.int64)
