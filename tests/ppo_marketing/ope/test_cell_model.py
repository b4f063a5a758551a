"""Values between cells: counts on paper, one solution in three ways, actions never tried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.ope.cell_model import (
    backed_up,
    counter,
    policy_by_cell,
    q_by_step,
    solve,
)
from ppo_marketing.ope.trajectories import ENDED, CellLog, Floats
from tests.support.small_mdp import draw_log, small_mdp

# Cell 0: action 0 earns 1 and stays (twice), action 1 earns 4 and moves to cell 1.
# Cell 1: action 0 earns 2 and ends (twice). Action 1 was never tried there.
PAPER = CellLog(
    trajectory=np.array([0, 0, 0, 0, 1]),
    step=np.array([0, 1, 2, 3, 0]),
    cell=np.array([0, 0, 0, 1, 1]),
    action=np.array([0, 0, 1, 0, 0]),
    reward=np.array([1.0, 1.0, 4.0, 2.0, 2.0]),
    after=np.array([ENDED, ENDED]),
    cells=2,
    actions=2,
)


def test_q_is_the_shrunk_mean_on_paper() -> None:
    model = counter(PAPER, prior_rows=2.0).model()
    np.testing.assert_array_equal(model.rows, [[2, 1], [2, 0]])
    np.testing.assert_array_equal(model.start, [0.5, 0.5])
    value = np.array([10.0, 20.0])
    # r + .5 v': 6, 6, 14, 2, 2. All rows: 6. Cell 0: (26 + 2 x 6) / 5, cell 1: (4 + 2 x 6) / 4.
    first, second = 38 / 5, 4.0
    expected = [
        [(12 + 2 * first) / 4, (14 + 2 * first) / 3],
        [(4 + 2 * second) / 4, second],
    ]
    np.testing.assert_allclose(backed_up(model, value, 0.5), expected)


def test_with_hardly_any_shrinkage_the_values_are_those_of_the_moves_on_paper() -> None:
    model = counter(PAPER, prior_rows=1e-9).model()
    stay = np.array([[1.0, 0.0], [1.0, 0.0]])
    go = np.array([[0.0, 1.0], [1.0, 0.0]])
    # Staying earns 1 for ever; going earns 4, then 2, then it ends.
    np.testing.assert_allclose(solve(model, stay, 0.5, None).by_cell, [[2, 2]], atol=1e-6)
    np.testing.assert_allclose(solve(model, go, 0.5, None).by_cell, [[5, 2]], atol=1e-6)
    finite = solve(model, stay, 0.5, 3)
    expected = [[1.75, 2.0], [1.5, 2.0], [1.0, 2.0], [0.0, 0.0]]
    np.testing.assert_allclose(finite.by_cell, expected, atol=1e-6)
    visits = [[0.5, 0.5], [0.5, 0.0], [0.5, 0.0]]
    np.testing.assert_allclose(finite.occupancy, visits, atol=1e-6)
    assert finite.value == pytest.approx((1.75 + 2) / 2)


def test_an_action_never_tried_is_worth_what_was_done_there_instead() -> None:
    model = counter(PAPER, prior_rows=1e-9).model()
    untried = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert solve(model, untried, 0.5, None).by_cell[0, 1] == pytest.approx(2.0)


def random_log(rng: np.random.Generator) -> CellLog:
    mdp = small_mdp()
    return draw_log(mdp, int(rng.integers(5, 60)), int(rng.integers(1, 8)), rng, late=0.3).cells


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.98), st.sampled_from([0.01, 1.0, 50.0]))
def test_the_linear_solution_the_recursion_and_the_backup_agree(
    seed: int, discount: float, prior_rows: float
) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng)
    policy = rng.dirichlet(np.ones(log.actions), log.cells)
    model = counter(log, prior_rows=prior_rows).model()
    solved = solve(model, policy, discount, None)
    q = q_by_step(model, solved, discount)[0]
    np.testing.assert_allclose((policy * q).sum(1), solved.by_cell[0], atol=1e-8)
    finite = solve(model, policy, discount, 12)
    by_step = q_by_step(model, finite, discount)
    np.testing.assert_allclose((policy * by_step).sum(2), finite.by_cell[:-1], atol=1e-8)
    # A long horizon is the infinite one up to γ^H of what could still come.
    left = discount**12 * np.abs(log.reward).max() / (1 - discount)
    assert np.abs(finite.by_cell[0] - solved.by_cell[0]).max() <= left + 1e-8
    # Visits to every cell, added up over time, are those of the infinite horizon.
    forward = finite.occupancy * (discount ** np.arange(12))[:, None]
    assert (forward.sum(0) <= solved.occupancy[0] + 1e-8).all()


@pytest.mark.parametrize("horizon", [None, 9])
def test_visits_times_rewards_are_the_value_seen_from_the_other_side(horizon: int | None) -> None:
    rng = np.random.default_rng(5)
    log = draw_log(small_mdp(), 3000, 6, rng).cells
    model = counter(log, prior_rows=1e-9).model()
    assert (model.rows > 0).all()
    policy = rng.dirichlet(np.ones(3), 4)
    solved = solve(model, policy, 0.9, horizon)
    earned = (policy * model.reward / model.rows).sum(1)
    by_step = solved.occupancy @ earned
    assert by_step @ 0.9 ** np.arange(len(by_step)) == pytest.approx(solved.value)


@pytest.mark.parametrize("prior_rows", [1e-3, 5.0, 1e6])
def test_nobody_is_lost_where_nobody_leaves(prior_rows: float) -> None:
    mdp = small_mdp(ends=0.0)
    log = draw_log(mdp, 40, 5, np.random.default_rng(6)).cells
    policy = np.random.default_rng(7).dirichlet(np.ones(3), 4)
    model = counter(log, prior_rows=prior_rows).model()
    np.testing.assert_allclose(solve(model, policy, 0.9, 8).occupancy.sum(1), 1.0)
    np.testing.assert_allclose(solve(model, policy, 0.9, None).occupancy.sum(), 10.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_customer_that_counts_twice_is_a_customer_logged_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = draw_log(small_mdp(), 8, 4, rng, late=0.0).cells
    weight = np.ones(log.units)
    weight[3] = 2.0
    again = np.flatnonzero(log.trajectory == 3)
    rows = np.append(np.arange(len(log.step)), again)
    twice = CellLog(
        np.append(log.trajectory, np.full(len(again), log.count)),
        log.step[rows], log.cell[rows], log.action[rows], log.reward[rows],
        np.append(log.after, log.after[3]), log.cells, log.actions,
    )  # fmt: skip
    one, other = counter(log).model(weight), counter(twice).model()
    for name in ("rows", "reward", "start"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
    policy = np.full((log.cells, log.actions), 1 / log.actions)
    assert solve(one, policy, 0.9, None).value == pytest.approx(
        solve(other, policy, 0.9, None).value
    )


def test_the_logging_policy_is_its_shares_and_even_where_nothing_was_seen() -> None:
    model = counter(PAPER).model()
    np.testing.assert_allclose(model.logging, [[2 / 3, 1 / 3], [1.0, 0.0]])
    nowhere = counter(PAPER).model(np.array([0.0, 1.0]))
    np.testing.assert_allclose(nowhere.logging, [[0.5, 0.5], [1.0, 0.0]])


def test_a_target_by_row_is_averaged_in_its_cell() -> None:
    by_row = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0], [0.2, 0.8]])
    np.testing.assert_allclose(policy_by_cell(PAPER, by_row), [[0.5, 0.5], [0.6, 0.4]])
    by_cell: Floats = np.array([[0.3, 0.7], [1.0, 0.0]])
    assert policy_by_cell(PAPER, by_cell) is by_cell


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"must be \(2, 2\) by cell or \(5, 2\) by row"):
        policy_by_cell(PAPER, np.full((3, 2), 0.5))
    for wrong in ([[0.5, 0.6], [1, 0]], [[-0.1, 1.1], [1, 0]], [[np.nan, 1], [1, 0]]):
        with pytest.raises(UserError, match="none in 1 of 2 rows, first in row 0"):
            policy_by_cell(PAPER, np.array(wrong))
    with pytest.raises(UserError, match="prior_rows is 0"):
        counter(PAPER, prior_rows=0.0)
    model, even = counter(PAPER).model(), np.full((2, 2), 0.5)
    with pytest.raises(UserError, match="discount is 1 without a horizon"):
        solve(model, even, 1.0, None)
    with pytest.raises(UserError, match="at least one step"):
        solve(model, even, 0.9, 0)
    assert solve(model, even, 1.0, 3).value > 0
    counter(replace(PAPER, after=np.array([-2, -2]))).model()
    only_last = CellLog(
        np.array([0]), np.array([0]), np.array([0]), np.array([0]), np.array([1.0]),
        np.array([-2]), 2, 2,
    )  # fmt: skip
    with pytest.raises(UserError, match="no row shows what follows it"):
        counter(only_last).model()
