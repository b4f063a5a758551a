"""Importance sampling over logged trajectories: what a policy would have earned in H steps.

Of trajectory i, with ρ_k = π(a_k|s_k) / μ(a_k|s_k) and w_t = ρ_0 ... ρ_t, all estimators but the
trajectory-wise ones are sums over steps of one weighted mean,

    V = b + sum_t γ^t sum_i c_it w_it x_it / N_t,      N_t = sum_i c_it   or   sum_i c_it w_it,

where x is the reward and b = 0, or x is the temporal difference of a model and b its value at the
starts. A trajectory that ended keeps its last weight in N_t, and its later x are 0. One that was
cut says nothing of later steps: c is 0 there, and those that go on (not those that had ended, or
else endings would be counted too often) stand for it, c_it = 1 / G(t), with the product-limit
estimate of the chance G(t) not to be cut before t. That is right where a cut (the end of the log,
a late sign-up) does not depend on what would follow. Without cuts c is 1.
Source: Robins, Rotnitzky and Zhao 1995 (inverse probability of censoring); Kaplan and Meier 1958.

The variance of w_t grows exponentially in t: `effective_trajectories` says how far these
estimators can be used, and `marginal` and `fqe` go further.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ppo_marketing.errors import UserError
from ppo_marketing.ope.trajectories import (
    Bools,
    Floats,
    Ints,
    Trajectories,
    powers,
    refuse,
)


class Estimated(NamedTuple):
    """An estimate and every trajectory's influence on it, `[T]`; their mean is the value.

    Of self-normalised estimators the influence is that of the delta method.
    """

    name: str
    value: float
    influence: Floats

    @property
    def error(self) -> float:
        """The standard error, trajectories being independent."""
        return float(np.std(self.influence, ddof=1) / np.sqrt(len(self.influence)))


class _Grid(NamedTuple):
    """The trajectories side by side, `[T, H]`."""

    reward: Floats  # 0 where there is no row
    weight: Floats  # w_t; after an end the last one
    stands_for: Floats  # c; 0 after a cut
    going: Bools  # where there is a row that did not end the trajectory
    discount: Floats  # [H] γ^t


def logged_value(log: Trajectories, horizon: int | None = None) -> Estimated:
    """What the log itself earned: the mean discounted return, weights all 1."""
    grid = _grid(log, horizon)
    ones = np.ones_like(grid.weight)
    return _weighted("logged", grid._replace(weight=ones), grid.reward, False)


def trajectory_is(log: Trajectories, horizon: int | None = None) -> Estimated:
    """Mean of w_{H-1} sum_t γ^t r_t over the trajectories that were not cut; unbiased.

    Source: Precup, Sutton and Singh 2000.
    """
    return _by_trajectory("trajectory IS", log, horizon, normalised=False)


def weighted_trajectory_is(log: Trajectories, horizon: int | None = None) -> Estimated:
    """`trajectory_is` divided by the mean weight: biased in few trajectories, consistent (WIS)."""
    return _by_trajectory("trajectory WIS", log, horizon, normalised=True)


def per_decision_is(log: Trajectories, horizon: int | None = None) -> Estimated:
    """sum_t γ^t mean_i w_t r_t: no reward is weighted by what was decided after it; unbiased.

    Source: Precup, Sutton and Singh 2000.
    """
    grid = _grid(log, horizon)
    return _weighted("per-decision IS", grid, grid.reward, False)


def weighted_per_decision_is(log: Trajectories, horizon: int | None = None) -> Estimated:
    """sum_t γ^t sum_i w_t r_t / sum_i w_t, normalised step by step: consistent (CWPDIS).

    Source: Thomas 2015.
    """
    grid = _grid(log, horizon)
    return _weighted("per-decision WIS", grid, grid.reward, True)


def doubly_robust(
    log: Trajectories,
    q: Floats,
    value: Floats,
    *,
    after: Floats | None = None,
    horizon: int | None = None,
) -> Estimated:
    """mean v(s_0) + sum_t γ^t mean_i w_t (r_t + γ v(s_{t+1}) - q(s_t, a_t)).

    The recursion V_t = v(s_t) + ρ_t (r_t + γ V_{t+1} - q_t) written out. Unbiased with any q fitted
    on other customers, where propensities are known.

    | argument | shape | meaning                                                                 |
    |----------|-------|-------------------------------------------------------------------------|
    | `q`      | [n]   | model's value of the logged action, steps to go included                |
    | `value`  | [n]   | v = sum_a π(a|s) q(s, a) of the same row                                |
    | `after`  | [T]   | v of the state after the last row; 0 after an end, NaN where not known  |

    Without `after` nothing counts beyond the horizon (or the longest trajectory), and what follows
    an earlier cut is not known: rows of the same step that go on then stand for it.

    Source: Jiang and Li 2016, section 4.
    """
    grid, difference = _differences(log, q, value, after, horizon)
    return _weighted("DR", grid, difference, False, base=value[log.step == 0])


def weighted_doubly_robust(
    log: Trajectories,
    q: Floats,
    value: Floats,
    *,
    after: Floats | None = None,
    horizon: int | None = None,
) -> Estimated:
    """`doubly_robust` with weights normalised step by step: consistent, far less variable (WDR).

    Source: Thomas and Brunskill 2016.
    """
    grid, difference = _differences(log, q, value, after, horizon)
    return _weighted("weighted DR", grid, difference, True, base=value[log.step == 0])


def effective_trajectories(log: Trajectories, horizon: int | None = None) -> Floats:
    """(sum_i w_t)^2 / sum_i w_t^2 of every step, `[H]`: as many trajectories still speak.

    0 where none follows the target policy so far. Reported, not ruled on: it always vanishes.
    Source: Kong 1992.
    """
    _, ratio, stands_for, _ = _side_by_side(log, horizon)
    with np.errstate(divide="ignore"):
        log_weight = np.log(ratio).cumsum(axis=1)  # the weights themselves may overflow
        log_weight += np.log(stands_for)
    top = log_weight.max(axis=0)
    weight = np.exp(log_weight - np.where(np.isfinite(top), top, 0.0))
    return np.asarray(weight.sum(axis=0) ** 2 / np.maximum((weight**2).sum(axis=0), 1.0))


def _side_by_side(log: Trajectories, horizon: int | None) -> tuple[Floats, Floats, Floats, Bools]:
    """Rewards, ratios π / μ, c, and where a row did not end its trajectory; each `[T, H]`."""
    steps = log.longest if horizon is None else horizon
    if not 1 <= steps <= log.longest:
        raise UserError(
            f"horizon is {steps}: between 1 and {log.longest}, the steps of the longest trajectory"
        )
    kept = log.step < steps
    at = (log.trajectory[kept], log.step[kept])
    shape = (log.count, steps)
    reward, ratio, going = np.zeros(shape), np.ones(shape), np.zeros(shape, bool)
    reward[at] = log.reward[kept]
    ratio[at] = log.chosen[kept] / log.propensity[kept]
    going[at] = True
    length = log.step[log.last] + 1
    ends = np.flatnonzero(log.terminal & (length <= steps))
    stands_for = going / _uncut(length, log.terminal, steps)
    going[ends, length[ends] - 1] = False
    after_end = np.arange(steps) >= length[ends, None]
    stands_for[ends] += after_end * stands_for[ends, length[ends] - 1][:, None]
    return reward, ratio, stands_for, going


def _grid(log: Trajectories, horizon: int | None) -> _Grid:
    reward, ratio, stands_for, going = _side_by_side(log, horizon)
    steps = reward.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        weight = np.asarray(np.cumprod(ratio, axis=1), np.float64)
    if not np.isfinite(weight).all():
        raise UserError(
            f"trajectory weights overflow within {steps} steps: choose a shorter horizon, or use "
            "FQE or the marginalised estimators, which do not multiply weights"
        )
    return _Grid(reward, weight, stands_for, going, powers(log.discount, steps))


def _uncut(length: Ints, terminal: Bools, steps: int) -> Floats:
    """G(t), the chance not to be cut before step t, `[H]`: product-limit, ends being no cuts."""
    at = np.arange(steps)
    present = (length[:, None] > at).sum(axis=0)
    ended = (terminal[:, None] & (length[:, None] == at + 1)).sum(axis=0)
    # Whoever has a row and does not end there could be cut; the longest trajectory never was.
    kept = present[1:] / (present - ended)[:-1]
    return np.cumprod(np.append(1.0, kept))


def _by_trajectory(
    name: str, log: Trajectories, horizon: int | None, *, normalised: bool
) -> Estimated:
    grid = _grid(log, horizon)
    returns = np.asarray(grid.reward @ grid.discount, np.float64)[:, None]
    whole = _Grid(
        returns, grid.weight[:, -1:], grid.stands_for[:, -1:], grid.going[:, -1:], np.ones(1)
    )
    return _weighted(name, whole, returns, normalised)


def _differences(
    log: Trajectories, q: Floats, value: Floats, after: Floats | None, horizon: int | None
) -> tuple[_Grid, Floats]:
    """r + γ v' - q side by side, 0 where there is no row; those not known stand for nothing."""
    grid = _grid(log, horizon)
    shape, steps = grid.weight.shape, grid.weight.shape[1]
    problems = [
        f"{name} has shape {given.shape} and {int((~np.isfinite(given)).sum())} numbers that are "
        f"not finite: one finite number for each of the {len(log.reward)} rows"
        for name, given in (("q", q), ("value", value))
        if given.shape != log.reward.shape or not np.isfinite(given).all()
    ]
    if after is not None and after.shape != log.terminal.shape:
        problems.append(f"after has shape {after.shape}: one number a trajectory, ({log.count},)")
    refuse("a doubly robust estimate", problems)
    following = np.append(value[1:], 0.0)
    following[log.last] = np.nan if after is None else after
    following[log.last[log.terminal]] = 0.0
    if after is None:
        following[log.step == steps - 1] = 0.0
    if log.discount == 0:
        following[:] = 0.0  # plays no part, known or not
    kept = log.step < steps
    table = np.zeros(shape)
    difference = log.reward + log.discount * following - q
    table[log.trajectory[kept], log.step[kept]] = difference[kept]
    unknown = np.isnan(table)
    going = grid.going.sum(axis=0)
    known = (grid.going & ~unknown).sum(axis=0)
    if np.any((known == 0) & (going > 0)):
        step = int(np.argmax((known == 0) & (going > 0)))
        raise UserError(
            f"no trajectory shows what follows step {step}: give the model's value of the states "
            "after the cuts (`after`), or choose a shorter horizon"
        )
    share = np.where(grid.going, known / np.maximum(going, 1), 1.0)
    stands_for = np.where(unknown, 0.0, grid.stands_for / share)
    return grid._replace(stands_for=stands_for), np.where(unknown, 0.0, table)


def _weighted(
    name: str, grid: _Grid, x: Floats, normalised: bool, *, base: Floats | None = None
) -> Estimated:
    """sum_t γ^t sum_i c w x / N_t and every trajectory's influence on it.

    influence_i = V + T sum_t γ^t (c w x - m V_t) / N_t, where N_t = sum_i m and m is c or c w.
    """
    weighed = grid.stands_for * grid.weight
    amount = weighed if normalised else grid.stands_for
    total = amount.sum(axis=0)
    if np.any(total <= 0):
        step = int(np.argmax(total <= 0))
        raise UserError(
            f"{name} is not defined: no trajectory follows the target policy up to step {step}. "
            f"Choose a horizon of at most {step}, or use FQE or a marginalised estimator"
        )
    by_step = (weighed * x).sum(axis=0) / total
    centred = (weighed * x - amount * by_step) / total
    start = np.zeros(len(x)) if base is None else base
    value = float(by_step @ grid.discount + start.mean())
    influence = value + len(x) * (centred @ grid.discount) + start - start.mean()
    return Estimated(name, value, influence)
