"""FQE between cells: exact values of a small problem, its support, a model of the others."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.ope.cell_fqe import cross_fitted_rows, fqe_by_cell, support
from ppo_marketing.ope.cell_model import counter, q_by_step, solve
from ppo_marketing.ope.feedback import LEAST_ROWS
from ppo_marketing.ope.sequences import doubly_robust, weighted_doubly_robust
from ppo_marketing.ope.trajectories import ENDED, UNKNOWN, CellLog
from tests.support.small_mdp import draw_log, small_mdp


@pytest.mark.parametrize("horizon", [None, 1, 6, 40])
@pytest.mark.parametrize(("late", "state_after"), [(0.0, True), (0.3, True), (0.3, False)])
def test_the_value_is_within_two_percent_of_the_exact_one(
    horizon: int | None, late: float, state_after: bool
) -> None:
    mdp = small_mdp()
    rng = np.random.default_rng(21)
    log = draw_log(mdp, 20_000, 8, rng, late=late, state_after=state_after).cells
    assert len(set(np.bincount(log.trajectory))) == 8  # lengths vary
    found = fqe_by_cell(log, mdp.target, discount=mdp.discount, horizon=horizon)
    assert found.value == pytest.approx(mdp.value(mdp.target, horizon), rel=0.02)
    exact = mdp.q(mdp.target, horizon)
    np.testing.assert_allclose(found.q, exact if horizon else exact[None], rtol=0.1, atol=0.1)


def test_the_logs_own_mean_is_not_within_two_percent() -> None:
    mdp = small_mdp()
    assert mdp.value(mdp.logging, None) != pytest.approx(mdp.value(mdp.target, None), rel=0.1)


def test_over_many_small_logs_it_is_right_on_average_though_trajectories_are_cut() -> None:
    # Leaving out just the rows that were cut counts endings too often: 41 standard errors off.
    mdp = small_mdp(ends=0.3)
    rng = np.random.default_rng(22)
    values = np.array([
        fqe_by_cell(
            draw_log(mdp, 3000, 3, rng, state_after=False).cells, mdp.target,
            discount=mdp.discount, prior_rows=0.01,
        ).value
        for _ in range(100)
    ])  # fmt: skip
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - mdp.value(mdp.target, None)) < 3 * error


def test_visits_are_the_exact_ones() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 20_000, 8, np.random.default_rng(23)).cells
    found = fqe_by_cell(log, mdp.target, discount=mdp.discount)
    np.testing.assert_allclose(found.occupancy[0], mdp.occupancy(mdp.target), rtol=0.05)
    finite = fqe_by_cell(log, mdp.target, discount=mdp.discount, horizon=200)
    discounted = (mdp.discount ** np.arange(200)) @ finite.occupancy
    np.testing.assert_allclose(discounted, found.occupancy[0], rtol=1e-6)


def test_unsupported_is_the_share_of_decisions_in_pairs_with_few_rows() -> None:
    # One step in two cells; action 1 was tried 30 times in the first, 29 times in the second.
    counts = {(0, 0): 100, (0, 1): LEAST_ROWS, (1, 0): 100, (1, 1): LEAST_ROWS - 1}
    pairs = np.repeat(list(counts), list(counts.values()), axis=0)
    n = len(pairs)
    log = CellLog(
        np.arange(n), np.zeros(n, int), pairs[:, 0], pairs[:, 1], np.ones(n), np.full(n, ENDED),
        2, 2,
    )  # fmt: skip
    in_second = (100 + LEAST_ROWS - 1) / n
    target = np.array([[0.0, 1.0], [0.25, 0.75]])
    found = fqe_by_cell(log, target, discount=0.9)
    assert found.support.unsupported == pytest.approx(0.75 * in_second)
    np.testing.assert_allclose(found.support.by_step, [0.75 * in_second])
    # Two cells in turn, the second with too few rows: half of two steps, less when discounted.
    turns = CellLog(
        np.repeat(np.arange(20), 2), np.tile([0, 1], 20), np.tile([0, 1], 20), np.zeros(40, int),
        np.ones(40), np.full(20, ENDED), 2, 1,
    )  # fmt: skip
    model = counter(turns, prior_rows=1e-9).model()
    solved = solve(model, np.ones((2, 1)), 0.5, 2)
    thin = support(model._replace(rows=np.array([[30.0], [29.0]])), np.ones((2, 1)), solved, 0.5)
    np.testing.assert_allclose(thin.by_step, [0.0, 1.0], atol=1e-6)
    assert thin.unsupported == pytest.approx(0.5 / 1.5)
    two = fqe_by_cell(log, target, discount=0.9, horizon=2, prior_rows=1e-9).support
    np.testing.assert_allclose(two.by_step[0], 0.75 * in_second)
    assert two.unsupported == pytest.approx(0.75 * in_second)  # nobody is left in the second step


@pytest.mark.parametrize("horizon", [None, 4])
def test_a_customer_is_judged_by_a_model_of_the_others(horizon: int | None) -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 60, 6, np.random.default_rng(28), late=0.4, state_after=False).cells
    rows = cross_fitted_rows(
        log, mdp.target, discount=0.9, horizon=horizon, rng=np.random.default_rng(1), folds=60
    )
    stood_for = log.stands_for
    for customer in (0, 17, 59):
        mine = np.flatnonzero(log.trajectory == customer)
        weight = (np.arange(60) != customer).astype(float)
        model = counter(log).model(weight)
        solved = solve(model, mdp.target, 0.9, horizon)
        q = q_by_step(model, solved, 0.9)
        for row in mine:
            step = log.step[row] if horizon else 0
            inside = horizon is None or step < horizon
            expected = q[step, log.cell[row], log.action[row]] if inside else 0.0
            assert rows.q[row] == pytest.approx(expected)
            value = solved.by_cell[step, log.cell[row]] if inside else 0.0
            assert rows.value[row] == pytest.approx(value)
    unknown = (log.after == UNKNOWN) & (stood_for[log.last] == 0)
    if horizon:
        unknown &= log.step[log.last] < horizon - 1
    np.testing.assert_array_equal(np.isnan(rows.after), unknown)
    np.testing.assert_array_equal(rows.after[log.after == ENDED], 0.0)


@pytest.mark.parametrize(
    ("horizon", "state_after"), [(None, True), (5, True), (5, False)]
)  # without an end something must say what follows the last step
def test_with_a_cross_fitted_model_the_doubly_robust_forms_are_right(
    horizon: int | None, state_after: bool
) -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 30_000, 5, np.random.default_rng(29), late=0.3, state_after=state_after)
    rows = cross_fitted_rows(
        log.cells, mdp.target, discount=0.9, horizon=horizon, rng=np.random.default_rng(2)
    )
    truth = mdp.value(mdp.target, horizon)
    for estimator in (doubly_robust, weighted_doubly_robust):
        found = estimator(log.weighed, rows.q, rows.value, after=rows.after)
        assert abs(found.value - truth) < 3 * found.error
        assert found.value == pytest.approx(truth, rel=0.03)
