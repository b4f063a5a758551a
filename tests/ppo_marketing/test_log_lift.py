"""The lift over the log's own policy by the log alone, against values worked out exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.core.logged import LoggedDecisions
from ppo_marketing.audit import log_lift
from ppo_marketing.ope.feedback import LEAST_ROWS
from ppo_marketing.ope.lift import lift_over_logging
from tests.support.logged_decisions import logged
from tests.support.small_mdp import SmallMdp, draw_log, small_mdp

Floats = NDArray[np.float64]


def alone(n: int = 4000, *, seed: int = 0, go: float = 0.5) -> LoggedDecisions:
    """Going pays 1.2 on average, staying 1; a model that is a tenth too high throughout."""
    rng = np.random.default_rng(seed)
    action = (rng.random(n) < go).astype(np.int64)
    reward = np.where(action == 1, 1.2, 1.0) + 0.5 * rng.normal(size=n)
    return logged(
        n,
        action=action,
        propensity=np.where(action == 1, go, 1 - go),
        reward=reward,
        expected=lambda index: np.tile([1.1, 1.3], (len(index), 1)),
    )


def test_the_lift_of_rows_is_the_doubly_robust_one_less_the_logs_mean() -> None:
    log = alone()
    found = log_lift(log, np.ones(log.size, np.int64), 400, np.random.default_rng(1))
    w = (log.action == 1) / log.propensity
    q = np.where(log.action == 1, 1.3, 1.1)
    robust = (1.3 + w * (log.reward - q)).mean()
    assert found.logging == pytest.approx(log.reward.mean())
    assert found.value == pytest.approx(robust - log.reward.mean())
    assert found.effective_n == pytest.approx((log.action == 1).sum())
    assert found.low is not None
    assert 0 < found.low < 0.1 < found.value + 0.05
    assert found.cannot == ()
    assert "doubly robust" in found.method
    assert "logged" in found.method


def test_impressions_of_a_row_weigh_as_many_rows_and_what_runs_today_has_no_lift() -> None:
    log = alone(600)
    weighted = replace(log, weight=np.where(np.arange(600) < 300, 3.0, 1.0))
    twice = np.r_[np.repeat(np.arange(300), 3), np.arange(300, 600)]
    repeated = logged(
        len(twice),
        action=log.action[twice],
        propensity=log.propensity[twice],
        reward=log.reward[twice],
        expected=log.expected,
    )
    every = [
        log_lift(one, np.ones(one.size, np.int64), 50, np.random.default_rng(0)).value
        for one in (weighted, repeated)
    ]
    assert every[0] == pytest.approx(every[1])
    as_logged = replace(log, propensity=np.ones(600))
    same = log_lift(as_logged, as_logged.action, 50, np.random.default_rng(0))
    assert same.value == pytest.approx(0.0, abs=1e-12)


def test_a_log_that_hardly_went_there_gives_no_bound_and_says_why() -> None:
    thin = alone(go=0.02)
    found = log_lift(thin, np.ones(thin.size, np.int64), 50, np.random.default_rng(0))
    assert found.low is None
    assert "the effective sample size is" in found.cannot[0]
    assert found.effective_n < 200


def test_rows_that_the_simulator_never_learnt_from_give_no_bound() -> None:
    blind = replace(alone(), seen=np.array([[1000.0, LEAST_ROWS - 1.0]]))
    found = log_lift(blind, np.ones(blind.size, np.int64), 50, np.random.default_rng(0))
    assert found.low is None
    assert "hardly in the log" in found.cannot[0]
    known = replace(blind, seen=np.array([[1000.0, float(LEAST_ROWS)]]))
    # What the log did and the policy does not do need not be known.
    elsewhere = replace(blind, seen=np.array([[0.0, 1000.0]]))
    for enough in (known, elsewhere):
        again = log_lift(enough, np.ones(blind.size, np.int64), 50, np.random.default_rng(0))
        assert again.low is not None


def followed(
    mdp: SmallMdp, customers: int, steps: int, *, terminal: bool, seed: int = 3
) -> LoggedDecisions:
    """A log of the small problem as the gate reads it; each trajectory is a customer."""
    log = draw_log(mdp, customers, steps, np.random.default_rng(seed)).cells
    return logged(
        len(log.step),
        action=log.action,
        propensity=mdp.logging[log.cell, log.action],
        reward=log.reward,
        unit=log.trajectory,
        sequence=log.trajectory,
        step=log.step,
        terminal=terminal,
        cell=log.cell,
        seen=np.full((log.cells, log.actions), 1000.0),
        expected=None,
        actions=("a", "b", "c"),
        discount=mdp.discount,
    )


def greedy(mdp: SmallMdp) -> Floats:
    """The most likely action of the target, one-hot `[S, A]`."""
    return np.asarray(np.eye(mdp.target.shape[1])[mdp.target.argmax(axis=1)])


@pytest.mark.parametrize(
    ("mdp", "steps", "terminal", "horizon"),
    [
        (small_mdp(0.9), 150, True, None),  # to the end
        (small_mdp(0.9, ends=0.0), 8, False, None),  # without end, from histories cut after 8
        (small_mdp(1.0, ends=0.0), 6, False, 6),  # so many steps, undiscounted
    ],
)
def test_the_lift_of_sequences_is_the_exact_one_within_its_error(
    mdp: SmallMdp, steps: int, terminal: bool, horizon: int | None
) -> None:
    log = followed(mdp, 1500, steps, terminal=terminal)
    policy = greedy(mdp)
    exact = mdp.value(policy, horizon) - mdp.value(mdp.logging, horizon)
    action = policy.argmax(axis=1)[log.cell]
    found = log_lift(log, action, 100, np.random.default_rng(0))
    assert found.low is not None
    error = (found.value - found.low) / 1.645
    assert 0 < error < 0.25
    assert found.value == pytest.approx(exact, abs=3 * error)
    assert found.logging == pytest.approx(mdp.value(mdp.logging, horizon), rel=0.1)
    assert found.effective_n == 1500
    assert found.unit == "customer"


def test_the_bound_of_a_lift_of_sequences_is_one_sided_at_95_percent() -> None:
    mdp = small_mdp()
    cells = draw_log(mdp, 800, 150, np.random.default_rng(3)).cells
    log = followed(mdp, 800, 150, terminal=True)
    action = greedy(mdp).argmax(axis=1)[log.cell]
    two_sided = lift_over_logging(
        cells, greedy(mdp), discount=mdp.discount, rng=np.random.default_rng(0), repetitions=100,
        level=0.90,
    )  # fmt: skip
    found = log_lift(log, action, 100, np.random.default_rng(0))
    assert found.low == pytest.approx(two_sided.lift.low)


def test_sequences_in_which_a_step_is_hardly_in_the_log_give_no_bound() -> None:
    mdp = small_mdp()
    never = mdp.logging.copy()
    never[:, 2] = 0.0
    blind = mdp._replace(logging=never / never.sum(1, keepdims=True))
    log = followed(blind, 400, 60, terminal=True)
    found = log_lift(log, np.full(log.size, 2), 20, np.random.default_rng(0))
    assert found.low is None
    assert "100 % of its decisions in some step are hardly in the log" in found.cannot[0]
