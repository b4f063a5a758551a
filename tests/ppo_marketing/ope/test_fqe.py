"""Fitted Q evaluation by regressors: between cells its limit, and a linear system by hand."""

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
from ppo_marketing.ope.cell_fqe import fqe_by_cell
from ppo_marketing.ope.fqe import Transitions, fqe_continuous, fqe_discrete
from ppo_marketing.ope.trajectories import ENDED, CellLog, Floats
from tests.support.small_mdp import draw_log, small_mdp


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
