"""Weights of states: paper, both ways of being right, horizons where trajectories fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ope.marginal import (
    Marginalised,
    marginal_doubly_robust,
    marginal_importance,
)
from ppo_marketing.ope.sequences import (
    effective_trajectories,
    per_decision_is,
    weighted_per_decision_is,
)
from ppo_marketing.ope.trajectories import CellLog
from tests.support.small_mdp import Log, SmallMdp, draw_log, small_mdp

LONG = 60


def both(
    mdp: SmallMdp,
    log: Log,
    horizon: int | None,
    *,
    known: bool = True,
    prior_rows: float = 1.0,
    seed: int = 0,
) -> tuple[Marginalised, Marginalised]:
    """Marginalised IS and DR of the small problem's target."""
    propensity = log.weighed.propensity if known else None
    plain = marginal_importance(
        log.cells, mdp.target, discount=mdp.discount, horizon=horizon, propensity=propensity,
        prior_rows=prior_rows,
    )  # fmt: skip
    robust = marginal_doubly_robust(
        log.cells, mdp.target, discount=mdp.discount, horizon=horizon, propensity=propensity,
        prior_rows=prior_rows, rng=np.random.default_rng(seed), folds=3,
    )  # fmt: skip
    return plain, robust


def test_one_step_marginalised_is_plain_importance_sampling() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 300, 4, np.random.default_rng(31))
    plain, _ = both(mdp, log, 1)
    # In the first step nothing has moved yet: d and μ are the same starts.
    assert plain.estimate.value == pytest.approx(per_decision_is(log.weighed, 1).value)
    at_start = log.weighed.step == 0
    w = (log.weighed.chosen / log.weighed.propensity)[at_start]
    np.testing.assert_allclose(plain.effective_rows, [w.sum() ** 2 / (w**2).sum()])


def test_one_step_doubly_robust_is_the_one_of_bandits() -> None:
    mdp = small_mdp(discount=0.0)
    log = draw_log(mdp, 300, 1, np.random.default_rng(32))
    folds = np.random.default_rng(0).permutation(np.arange(300) % 3)
    cells, w = log.cells, log.weighed.chosen / log.weighed.propensity
    influence = np.empty(300)
    for number in range(3):
        mine, others = folds == number, folds != number
        q = np.empty((4, 3))
        for s in range(4):
            for a in range(3):
                # Shrunk to the cell's mean and that to the mean of all, a row each.
                rows = others & (cells.cell == s)
                all_rows = cells.reward[others].mean()
                of_cell = (cells.reward[rows].sum() + all_rows) / (rows.sum() + 1)
                pair = rows & (cells.action == a)
                q[s, a] = (cells.reward[pair].sum() + of_cell) / (pair.sum() + 1)
        v = (mdp.target * q).sum(1)[cells.cell]
        # d / μ is 1 among the others' own starts.
        terms = v + w * (cells.reward - q[cells.cell, cells.action])
        influence[mine] = terms[mine]
    _, robust = both(mdp, log, 1)
    np.testing.assert_allclose(robust.estimate.influence, influence, atol=1e-9)


@pytest.mark.parametrize("horizon", [None, 5])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("late", "state_after"), [(0.0, True), (0.3, False)])
@pytest.mark.parametrize("deterministic", [False, True])
def test_over_many_logs_they_average_to_the_exact_value_with_their_own_spread(
    horizon: int | None, known: bool, late: float, state_after: bool, deterministic: bool
) -> None:
    mdp = small_mdp()
    if deterministic:
        mdp = mdp._replace(target=np.eye(3)[[0, 2, 1, 0]])
    truth = mdp.value(mdp.target, horizon)
    rng = np.random.default_rng(33)
    logs = [draw_log(mdp, 600, 5, rng, late=late, state_after=state_after) for _ in range(100)]
    pairs = [both(mdp, log, horizon, known=known) for log in logs]
    for k, name in enumerate(("IS", "DR")):
        found = [pair[k].estimate for pair in pairs]
        values = np.array([e.value for e in found])
        spread = values.std(ddof=1)
        assert abs(values.mean() - truth) < 3 * spread / np.sqrt(len(values)), name
        said = np.sqrt(np.mean([e.error**2 for e in found]))
        assert said / spread == pytest.approx(1.0, abs=0.2), name


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("horizon", [None, 12])
def test_on_a_large_log_both_are_within_two_percent(known: bool, horizon: int | None) -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 20_000, 12, np.random.default_rng(34), late=0.3)
    truth = mdp.value(mdp.target, horizon)
    for found in both(mdp, log, horizon, known=known):
        assert found.estimate.value == pytest.approx(truth, rel=0.02)
        assert abs(found.estimate.value - truth) < 3 * found.estimate.error


def test_where_weights_of_trajectories_vanish_those_of_states_do_not() -> None:
    mdp = small_mdp(discount=0.98, ends=0.0)
    log = draw_log(mdp, 1000, LONG, np.random.default_rng(35))
    truth = mdp.value(mdp.target, LONG)
    left = effective_trajectories(log.weighed)
    assert left[0] > 300
    assert left[-1] < 5  # of 1,000
    trajectories = weighted_per_decision_is(log.weighed)
    plain, robust = both(mdp, log, LONG)
    assert plain.effective_rows.min() > 300  # at every step
    for found in (plain, robust):
        assert found.estimate.value == pytest.approx(truth, rel=0.03)
        assert found.estimate.error < trajectories.error / 3
    for found in both(mdp, log, None):
        assert found.estimate.value == pytest.approx(mdp.value(mdp.target, None), rel=0.03)


def test_doubly_robust_is_right_with_wrong_weights_and_a_right_model() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 20_000, 8, np.random.default_rng(36))
    wrong = replace(log.weighed, propensity=np.full(len(log.weighed.step), 0.3))
    plain, robust = both(mdp, Log(log.cells, wrong), None)
    truth = mdp.value(mdp.target, None)
    assert abs(plain.estimate.value / truth - 1) > 0.05
    assert robust.estimate.value == pytest.approx(truth, rel=0.02)


def test_doubly_robust_is_right_with_a_wrong_model_and_right_weights() -> None:
    # All pairs shrunk to one number: Q is wrong. In one step the weights do not depend on it.
    mdp = small_mdp()
    log = draw_log(mdp, 40_000, 1, np.random.default_rng(37))
    truth = mdp.value(mdp.target, 1)
    _, robust = both(mdp, log, 1, prior_rows=1e9)
    assert abs(robust.estimate.value - truth) < 3 * robust.estimate.error
    assert abs(log.cells.reward.mean() / truth - 1) > 0.2  # what the model alone would say


def test_customers_of_several_trajectories_stay_together() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 400, 4, np.random.default_rng(38))
    one = both(mdp, log, None)[0].estimate
    # Every trajectory logged twice, by the same customer: no more is known than before.
    cells = log.cells
    number = np.concatenate([cells.trajectory, cells.trajectory + cells.count])
    twice = CellLog(
        number, np.tile(cells.step, 2), np.tile(cells.cell, 2), np.tile(cells.action, 2),
        np.tile(cells.reward, 2), np.tile(cells.after, 2), cells.cells, cells.actions,
        np.tile(np.arange(cells.count), 2),
    )  # fmt: skip
    found = marginal_importance(
        twice, mdp.target, discount=mdp.discount, prior_rows=2.0,
        propensity=np.tile(log.weighed.propensity, 2),
    ).estimate  # fmt: skip
    assert found.value == pytest.approx(one.value)
    assert found.error == pytest.approx(one.error)
    assert len(found.influence) == cells.count


def test_what_cannot_be_is_refused() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 10, 4, np.random.default_rng(39)).cells
    with pytest.raises(UserError) as refused:
        marginal_importance(
            log, mdp.target, discount=1.2, horizon=9, propensity=np.zeros(len(log.step))
        )
    for said in ("discount is 1.2", "at most 4", "in (0, 1] for each row"):
        assert said in str(refused.value)
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=r"folds is 11: 2 \.\. 10"):
        marginal_doubly_robust(log, mdp.target, discount=0.9, rng=rng, folds=11)
