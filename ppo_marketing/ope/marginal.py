"""Marginalised importance sampling: weights of states, not of whole histories.

A state does not remember how it was reached. With d_t(s) = P_π(s_t = s), from the estimated moves
between cells, and μ_t(s) the share of logged trajectories that are there at step t,

    V = sum_t γ^t E[ d_t(s)/μ_t(s) ρ r ],        ρ = π(a|s) / μ(a|s)   of this one decision,

so that the variance grows with the horizon and not exponentially in it. The doubly robust form adds
FQE's Q and is right where either is; everything in it is fitted on other customers. Without a
horizon all steps share the weight sum_t γ^t d_t(s) / sum_t μ_t(s).

Sources: Xie, Ma and Wang 2019; Liu, Li, Tang and Zhou 2018 (infinite horizon); Kallus and
Uehara 2020 and 2022 (double reinforcement learning, both horizons).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.cell_fqe import FOLDS, folds_of
from ppo_marketing.ope.cell_model import (
    PRIOR_ROWS,
    CellModel,
    backed_up,
    chance_of_logged,
    counter,
    horizon_problems,
    policy_by_cell,
    q_by_step,
    solve,
)
from ppo_marketing.ope.sequences import Estimated
from ppo_marketing.ope.trajectories import CellLog, Floats, Ints, powers, refuse


class Marginalised(NamedTuple):
    """An estimate, and how many rows speak for it: (sum w)^2 / sum w^2 of its weights by step.

    `estimate.influence` has one number a customer, `[units]`.
    """

    estimate: Estimated
    effective_rows: Floats  # [H], or [1] of an infinite horizon


class _Terms(NamedTuple):
    """One model's view of every row; rows that it was fitted on are not to be used with it."""

    start: Floats  # [T] v(s_0)
    visits: Floats  # [n] γ^t d_t(s) / μ_t(s), times the rows that it stands for
    ratio: Floats  # [n] ρ
    difference: Floats  # [n] r + γ v(s') - Q(s, a)

    @property
    def weight(self) -> Floats:
        """What multiplies the row's reward, `[n]`."""
        return self.visits * self.ratio

    @property
    def correction(self) -> Floats:
        """What the row adds to the model's value, `[n]`."""
        return self.weight * self.difference


class _Problem(NamedTuple):
    """What is asked, for all models."""

    log: CellLog
    policy: Floats  # [C, A]
    chosen: Floats  # [n] π(a|s) of the logged action
    propensity: Floats | None  # [n]
    discount: float
    horizon: int | None

    @property
    def time(self) -> Ints:
        """The axis of a row in tables by step, `[n]`; 0 where all steps share one."""
        return self.log.step if self.horizon is not None else np.zeros_like(self.log.step)

    @property
    def stands_for(self) -> Floats:
        """How many rows each counts for, `[n]`: what follows the last step plays no part."""
        counts = np.ones(len(self.log.step)) if self.discount == 0 else self.log.stands_for
        if self.horizon is None:
            return counts
        counts = np.where(self.log.step == self.horizon - 1, 1.0, counts)
        return np.where(self.log.step < self.horizon, counts, 0.0)


def marginal_importance(
    log: CellLog,
    target: Floats,
    *,
    discount: float,
    horizon: int | None = None,
    propensity: Floats | None = None,
    prior_rows: float = PRIOR_ROWS,
) -> Marginalised:
    """sum_t γ^t mean of d_t(s)/μ_t(s) ρ r over all trajectories, d and μ from the same log.

    `target [C, A]` by cell or `[n, A]` by row; `propensity [n]` of the logged actions, where None
    n(s,a) / n(s). In every step weights are scaled to all of d_t, where the log misses some. The
    influence is that of the doubly robust form, which this attains with estimated propensities
    (Yin and Wang 2020); known ones add what chance does to the mix of actions.

    Raises:
        UserError: probabilities, discount, horizon or `prior_rows` cannot be.
    """
    problem = _problem(log, target, propensity, discount, horizon)
    model = counter(log, prior_rows=prior_rows).model()
    terms = _terms(problem, model, np.ones(log.units))
    # Scaled to the mass that d_t has, step by step.
    occupancy = solve(model, problem.policy, discount, horizon).occupancy
    wanted = occupancy.sum(axis=1) * powers(discount, len(occupancy))
    got = np.bincount(problem.time, terms.visits, minlength=len(wanted))[: len(wanted)] / log.count
    scale = np.divide(wanted, got, out=np.zeros_like(wanted), where=got > 0)
    inside = np.minimum(problem.time, len(scale) - 1)
    earned = terms.weight * scale[inside] * log.reward
    value = float(earned.sum() / log.count)
    correction = terms.correction
    if propensity is not None:
        # How often each action was taken is left to chance; shares of the log leave nothing.
        mean = backed_up(model, np.zeros(log.cells), 0.0)
        of_policy = (problem.policy * mean).sum(axis=1)
        taken = terms.ratio * mean[log.cell, log.action]
        correction = correction + terms.visits * (taken - of_policy[log.cell])
    influence = _influence(log, terms.start, correction)
    centred = influence - influence.mean() + value
    return Marginalised(
        Estimated("marginalised IS", value, centred), _effective_rows(problem, terms.weight)
    )


def marginal_doubly_robust(
    log: CellLog,
    target: Floats,
    *,
    discount: float,
    rng: Generator,
    horizon: int | None = None,
    propensity: Floats | None = None,
    prior_rows: float = PRIOR_ROWS,
    folds: int = FOLDS,
) -> Marginalised:
    """mean v(s_0) + sum_t γ^t mean of d_t(s)/μ_t(s) ρ (r + γ v(s') - Q(s, a)), cross-fitted.

    Each customer is judged by moves, Q and weights of the other folds' customers. A row in a cell
    that these never visit (at that step) is left to the model. Arguments as in
    `marginal_importance`.

    Source: Kallus and Uehara 2020; 2022 for the infinite horizon.

    Raises:
        UserError: also where there are fewer customers than folds.
    """
    problem = _problem(log, target, propensity, discount, horizon)
    fold = folds_of(log, folds, rng)
    counted = counter(log, prior_rows=prior_rows)
    of_row, of_start = fold[log.unit_of_row], fold[log.unit_of_row[log.starts]]
    start = np.zeros(log.count)
    correction, weight = np.zeros(len(log.step)), np.zeros(len(log.step))
    for number in range(folds):
        others = (fold != number).astype(np.float64)
        terms = _terms(problem, counted.model(others), others)
        start[of_start == number] = terms.start[of_start == number]
        correction[of_row == number] = terms.correction[of_row == number]
        weight[of_row == number] = terms.weight[of_row == number]
    influence = _influence(log, start, correction)
    estimate = Estimated("marginalised DR", float(influence.mean()), influence)
    return Marginalised(estimate, _effective_rows(problem, weight))


def _problem(
    log: CellLog, target: Floats, propensity: Floats | None, discount: float, horizon: int | None
) -> _Problem:
    problems = horizon_problems(discount, horizon)
    if horizon is not None and horizon > log.longest:
        problems.append(
            f"horizon is {horizon}: at most {log.longest}, the steps of the longest trajectory; "
            "None for the discounted value without end"
        )
    if propensity is not None:
        right = propensity.shape == log.step.shape and np.all((propensity > 0) & (propensity <= 1))
        if not right:
            problems.append("propensity must have one number in (0, 1] for each row")
    refuse("a marginalised value", problems)
    policy = policy_by_cell(log, target)
    return _Problem(log, policy, chance_of_logged(log, target), propensity, discount, horizon)


def _terms(problem: _Problem, model: CellModel, included: Floats) -> _Terms:
    """Weights and differences by a model of the customers `included [units]` (0 or 1)."""
    log, discount, time = problem.log, problem.discount, problem.time
    solved = solve(model, problem.policy, discount, problem.horizon)
    q = q_by_step(model, solved, discount)
    steps = len(q)
    used = np.minimum(time, steps - 1)  # rows beyond the horizon stand for nothing
    stands_for = problem.stands_for
    place = used * log.cells + log.cell
    kept = stands_for * included[log.unit_of_row]
    trajectories = included[log.unit_of_row[log.starts]].sum()
    share = np.bincount(place, kept, minlength=steps * log.cells) / trajectories  # μ_t(s)
    wanted = (powers(discount, steps)[:, None] * solved.occupancy).ravel()
    visited = np.divide(wanted, share, out=np.zeros_like(wanted), where=share > 0)
    propensity = problem.propensity
    if propensity is None:
        logged = np.where(model.rows > 0, model.logging, 1.0)  # not seen: nothing to correct
        propensity = logged[log.cell, log.action]
    following = np.zeros(len(log.cell))
    going = log.next_cell >= 0
    later = np.minimum(used[going] + 1, len(solved.by_cell) - 1)
    following[going] = solved.by_cell[later, log.next_cell[going]]
    return _Terms(
        start=solved.by_cell[0][log.cell[log.starts]],
        visits=visited[place] * stands_for,
        ratio=problem.chosen / propensity,
        difference=log.reward + discount * following - q[used, log.cell, log.action],
    )


def _influence(log: CellLog, start: Floats, correction: Floats) -> Floats:
    """v(s_0) + the sum of corrections, of every customer, `[units]`; their mean is the value."""
    by_trajectory = start + np.bincount(log.trajectory, correction, minlength=log.count)
    value = by_trajectory.mean()
    unit = log.unit_of_row[log.starts]
    by_unit = np.bincount(unit, by_trajectory - value, minlength=log.units)
    return np.asarray(value + by_unit * log.units / log.count, np.float64)


def _effective_rows(problem: _Problem, weight: Floats) -> Floats:
    steps = 1 if problem.horizon is None else problem.horizon
    kept = problem.time < steps
    total = np.bincount(problem.time[kept], weight[kept], minlength=steps)
    squared = np.bincount(problem.time[kept], weight[kept] ** 2, minlength=steps)
    return np.asarray(
        np.divide(total**2, squared, out=np.zeros(steps), where=squared > 0), np.float64
    )
