"""Fitted Q evaluation: exact values of a small problem, regression's limit, a linear system."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import Generator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeRegressor

from ppo_marketing.errors import UserError
from ppo_marketing.ope.cell_model import THIN_ROWS
from ppo_marketing.ope.fqe import (
    Transitions,
    fqe_by_cell,
    fqe_continuous,
    fqe_discrete,
)
from ppo_marketing.ope.trajectories import ENDED, CellLog, Floats
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
    counts = {(0, 0): 100, (0, 1): THIN_ROWS, (1, 0): 100, (1, 1): THIN_ROWS - 1}
    pairs = np.repeat(list(counts), list(counts.values()), axis=0)
    n = len(pairs)
    log = CellLog(
        np.arange(n), np.zeros(n, int), pairs[:, 0], pairs[:, 1], np.ones(n), np.full(n, ENDED),
        2, 2,
    )  # fmt: skip
    in_second = (100 + THIN_ROWS - 1) / n
    target = np.array([[0.0, 1.0], [0.25, 0.75]])
    found = fqe_by_cell(log, target, discount=0.9)
    assert found.support.unsupported == pytest.approx(0.75 * in_second)
    np.testing.assert_allclose(found.support.by_step, [0.75 * in_second])
    two = fqe_by_cell(log, target, discount=0.9, horizon=2, prior_rows=1e-9).support
    np.testing.assert_allclose(two.by_step[0], 0.75 * in_second)
    assert two.unsupported == pytest.approx(0.75 * in_second)  # nobody is left in the second step


def transitions_of(log: CellLog) -> Transitions:
    kept = log.stands_for > 0
    following = np.where(log.next_cell >= 0, log.next_cell, 0)[kept]
    return Transitions(
        features=log.cell[kept, None].astype(float),
        action=log.action[kept],
        reward=log.reward[kept],
        next_features=following[:, None].astype(float),
        ended=(log.next_cell == ENDED)[kept],
    )


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_regression_on_every_cell_apart_is_the_finite_horizon_between_cells(
    iterations: int,
) -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 500, 6, np.random.default_rng(24)).cells
    data = transitions_of(log)
    by_cell = fqe_by_cell(
        log, mdp.target, discount=mdp.discount, horizon=iterations, prior_rows=1e-9
    )
    found = fqe_discrete(
        DecisionTreeRegressor(random_state=0),  # grown out: the mean of every (cell, action)
        data,
        lambda features: mdp.target[features[:, 0].astype(int)],
        actions=log.actions,
        discount=mdp.discount,
        iterations=iterations,
    )
    starts = log.cell[log.starts, None].astype(float)
    assert found.value(starts).mean() == pytest.approx(by_cell.value, rel=1e-6)
    cells = np.repeat(np.arange(log.cells), log.actions)
    actions = np.tile(np.arange(log.actions), log.cells)
    q = found.q(cells[:, None].astype(float), actions)
    np.testing.assert_allclose(q.reshape(log.cells, -1), by_cell.q[0], rtol=1e-6)


# s' = .8 s + .5 u + noise .3; r = -(s^2 + .2 u^2); u = -.6 s + spread e.
A, B, NOISE, PRICE, GAIN, DISCOUNT = 0.8, 0.5, 0.3, 0.2, 0.6, 0.9


def linear_quadratic_value(start: Floats, spread: float) -> Floats:
    """V(s) = -(p s^2 + c), p = 1 + PRICE GAIN^2 + γ p (A - B GAIN)^2, c from the noises."""
    p = (1 + PRICE * GAIN**2) / (1 - DISCOUNT * (A - B * GAIN) ** 2)
    each_step = PRICE * spread**2 + DISCOUNT * p * (NOISE**2 + B**2 * spread**2)
    return -(p * start**2 + each_step / (1 - DISCOUNT))


def linear_quadratic_log(rng: Generator, n: int) -> Transitions:
    s, u = rng.normal(0, 1, (n, 1)), rng.normal(0, 1, (n, 1))
    following = A * s + B * u + NOISE * rng.normal(size=(n, 1))
    reward = -(s**2 + PRICE * u**2)[:, 0] + 0.1 * rng.normal(size=n)
    return Transitions(s, u, reward, following, np.zeros(n, bool))


def quadratic() -> Any:
    return make_pipeline(PolynomialFeatures(2), LinearRegression())


@pytest.mark.parametrize(("spread", "draws"), [(0.0, 1), (0.5, 5)])
def test_continuous_actions_in_a_linear_quadratic_problem_have_their_known_value(
    spread: float, draws: int
) -> None:
    def policy(features: Floats, rng: Generator) -> Floats:
        return -GAIN * features + spread * rng.normal(size=features.shape)

    rng = np.random.default_rng(25)
    found = fqe_continuous(
        quadratic(), linear_quadratic_log(rng, 20_000), policy,
        discount=DISCOUNT, iterations=80, rng=rng, draws=draws,
    )  # fmt: skip
    starts = rng.normal(1.0, 0.5, (4000, 1))
    exact = linear_quadratic_value(starts[:, 0], spread)
    assert found.value(starts).mean() == pytest.approx(exact.mean(), rel=0.02)
    # And the Q of any other action: r + γ E V(s').
    at, action = np.array([[1.0]]), np.array([[0.7]])
    mean = A * 1.0 + B * 0.7
    onwards = linear_quadratic_value(np.array([mean]), spread)
    p = -(linear_quadratic_value(np.array([1.0]), 0) - linear_quadratic_value(np.zeros(1), 0))
    exact_q = -(1 + PRICE * 0.49) + DISCOUNT * (onwards - p * NOISE**2)
    assert found.q(at, action) == pytest.approx(exact_q, rel=0.02)


def test_endings_stop_the_value_in_continuous_problems_too() -> None:
    rng = np.random.default_rng(26)
    data = linear_quadratic_log(rng, 2000)
    ended = data._replace(ended=np.ones(2000, bool), next_features=np.full((2000, 1), np.nan))

    def policy(features: Floats, rng: Generator) -> Floats:
        return -GAIN * features

    found = fqe_continuous(quadratic(), ended, policy, discount=0.9, iterations=4, rng=rng)
    expected = -(1 + PRICE * GAIN**2) * np.array([1.0, 4.0])
    np.testing.assert_allclose(found.value(np.array([[1.0], [2.0]])), expected, rtol=0.02)
    discrete = fqe_discrete(
        DecisionTreeRegressor(random_state=0), ended._replace(action=np.arange(2000) % 2),
        lambda features: np.full((len(features), 2), 0.5), actions=2, discount=0.9, iterations=3,
    )  # fmt: skip
    np.testing.assert_allclose(discrete.q(ended.features, np.arange(2000) % 2), ended.reward)


def test_transitions_that_cannot_be_are_refused_with_every_reason() -> None:
    rng = np.random.default_rng(27)
    data = linear_quadratic_log(rng, 10)
    data.next_features[3] = np.nan
    data.reward[:2] = np.inf

    def policy(features: Floats, rng: Generator) -> Floats:
        return features

    with pytest.raises(UserError) as refused:
        fqe_continuous(quadratic(), data, policy, discount=1.5, iterations=1, rng=rng)
    assert "discount is 1.5" in str(refused.value)
    with pytest.raises(UserError) as refused:
        fqe_continuous(quadratic(), data, policy, discount=0.5, iterations=1, rng=rng)
    for said in ("next_features has 1 rows", "reward has 2 rows"):
        assert said in str(refused.value)
    short = data._replace(action=data.action[:4])
    with pytest.raises(UserError, match="action has 4 rows: as many as rewards, 10"):
        fqe_continuous(quadratic(), short, policy, discount=0.5, iterations=0, rng=rng)
