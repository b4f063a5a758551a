"""What a policy would earn beyond the one that wrote the log, paired and with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ppo_marketing.ope.cell_fqe import Support, support
from ppo_marketing.ope.cell_model import (
    PRIOR_ROWS,
    Counter,
    chance_of_logged,
    counter,
    horizon_problems,
    policy_by_cell,
    solve,
)
from ppo_marketing.ope.sequences import effective_trajectories
from ppo_marketing.ope.trajectories import ENDED, CellLog, Floats, Trajectories, refuse

REPETITIONS = 200
"""Of the bootstrap: the ends of a 95 % interval are then right to a twentieth of its width."""


class Interval(NamedTuple):
    """A value, its percentile interval over resampled customers, and their standard deviation."""

    value: float
    low: float
    high: float
    error: float


class Lift(NamedTuple):
    """The target and the logging policy in the same log, both by FQE between the same cells."""

    target: Interval
    logging: Interval
    lift: Interval
    """target - logging, customer by customer the same ones."""
    support: Support
    effective_trajectories: Floats
    """[H] (sum w)^2 / sum w^2 of trajectory weights by step: reported, not ruled on."""
    units: int


def lift_over_logging(
    log: CellLog,
    target: Floats,
    *,
    discount: float,
    rng: Generator,
    horizon: int | None = None,
    logging: Floats | None = None,
    propensity: Floats | None = None,
    prior_rows: float = PRIOR_ROWS,
    repetitions: int = REPETITIONS,
    level: float = 0.95,
) -> Lift:
    """V(target) - V(logging) from the log's starts, with a bootstrap over customers.

    `target [C, A]` by cell or `[n, A]` by row, and so `logging` where all its probabilities are
    known; else it is the policy that the log's own decisions show, n(s,a) / n(s), estimated anew
    from every resampled log. `propensity [n]` of the logged actions is used for the weights of
    trajectories only, and estimated from the whole log where not given. `horizon` counts steps,
    None is the discounted value without end.

    Source: Hao et al. 2021 for the bootstrap of FQE by whole episodes.

    Raises:
        UserError: an argument cannot be, or there are fewer than two customers.
    """
    problems = horizon_problems(discount, horizon)
    if log.units < 2:
        problems.append("there is one customer: an interval needs at least two")
    if repetitions < 2:
        problems.append(f"repetitions is {repetitions}: at least 2")
    if not 0 < level < 1:
        problems.append(f"level is {level}: between 0 and 1")
    refuse("a lift", problems)
    policy = policy_by_cell(log, target)
    counted = counter(log, prior_rows=prior_rows)
    model = counted.model()
    solved = solve(model, policy, discount, horizon)
    known = None if logging is None else policy_by_cell(log, logging)
    logged = solve(model, model.logging if known is None else known, discount, horizon)
    drawn = resampled_values(
        counted, (policy, known), discount=discount, horizon=horizon, repetitions=repetitions,
        rng=rng,
    )  # fmt: skip

    def interval(value: float, draws: Floats) -> Interval:
        tail = (1 - level) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        return Interval(value, float(low), float(high), float(draws.std(ddof=1)))

    weighed = Trajectories(
        trajectory=log.trajectory,
        step=log.step,
        reward=log.reward,
        propensity=_shares(log) if propensity is None else propensity,
        chosen=np.clip(chance_of_logged(log, target), 0.0, 1.0),  # 1 + rounding is no probability
        terminal=log.after == ENDED,
        discount=discount,
    )
    steps = log.longest if horizon is None else min(horizon, log.longest)
    return Lift(
        target=interval(solved.value, drawn[:, 0]),
        logging=interval(logged.value, drawn[:, 1]),
        lift=interval(solved.value - logged.value, drawn[:, 0] - drawn[:, 1]),
        support=support(model, policy, solved, discount),
        effective_trajectories=effective_trajectories(weighed, steps),
        units=log.units,
    )


def resampled_values(
    counted: Counter,
    policies: Sequence[Floats | None],
    *,
    discount: float,
    horizon: int | None,
    repetitions: int,
    rng: Generator,
) -> Floats:
    """Values of `k` policies in logs of resampled customers, `[repetitions, k]`, paired.

    Whole customers are drawn with replacement; what they did is counted and solved again. A policy
    is `[C, A]`, or None for the one that the resampled log shows.
    """
    units = counted.log.units
    values = np.empty((repetitions, len(policies)))
    for b in range(repetitions):
        weight = rng.multinomial(units, np.full(units, 1 / units)).astype(np.float64)
        model = counted.model(weight)
        for k, policy in enumerate(policies):
            each = model.logging if policy is None else policy
            values[b, k] = solve(model, each, discount, horizon).value
    return values


def _shares(log: CellLog) -> Floats:
    """n(s,a) / n(s) of every row's own action, `[n]`."""
    pair = log.cell * log.actions + log.action
    return np.asarray(np.bincount(pair)[pair] / np.bincount(log.cell)[log.cell])
