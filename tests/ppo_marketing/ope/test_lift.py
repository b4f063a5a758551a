"""The lift over the logging policy: nothing for nothing, intervals that cover, a known problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import Generator

from envs.sequencing.dynamic_program import program
from envs.sequencing.generated_log import logging_policy
from envs.sequencing.generator import true_tables
from envs.sequencing.oracle import transitions, value_iteration
from envs.sequencing.paths import pattern_of
from ppo_marketing.errors import UserError
from ppo_marketing.ope.cell_fqe import fqe_by_cell
from ppo_marketing.ope.lift import Lift, lift_over_logging
from ppo_marketing.ope.sequences import effective_trajectories
from ppo_marketing.ope.trajectories import UNKNOWN, CellLog, Floats
from tests.support.sequencing_log import panel_of
from tests.support.small_mdp import draw_log, small_mdp


def lift_of(log: CellLog, target: Floats, *, repetitions: int = 60, seed: int = 0) -> Lift:
    rng = np.random.default_rng(seed)
    return lift_over_logging(log, target, discount=0.9, rng=rng, repetitions=repetitions)


@pytest.mark.parametrize("horizon", [None, 7])
def test_the_logging_policy_itself_has_no_lift(horizon: int | None) -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 500, 6, np.random.default_rng(41), late=0.3).cells
    pair = np.bincount(log.cell * 3 + log.action, minlength=12).reshape(4, 3)
    shares = pair / pair.sum(1, keepdims=True)
    found = lift_over_logging(
        log, shares, discount=0.9, horizon=horizon, rng=np.random.default_rng(0), repetitions=60
    )
    assert found.lift.value == pytest.approx(0.0, abs=1e-9)
    # How often it took each action is left to chance, unless its probabilities are known.
    assert found.lift.low < 0 < found.lift.high
    known = lift_over_logging(
        log, mdp.target, discount=0.9, horizon=horizon, rng=np.random.default_rng(0),
        logging=mdp.target, repetitions=20,
    )  # fmt: skip
    assert known.lift == (0.0, 0.0, 0.0, 0.0)
    assert known.logging.error > 0


def test_values_are_those_of_fqe_and_the_effective_trajectories_those_of_the_weights() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 500, 6, np.random.default_rng(42), late=0.3)
    found = lift_over_logging(
        log.cells, mdp.target, discount=0.9, rng=np.random.default_rng(0), repetitions=20,
        propensity=log.weighed.propensity,
    )  # fmt: skip
    fitted = fqe_by_cell(log.cells, mdp.target, discount=0.9)
    assert found.target.value == fitted.value
    assert found.support.unsupported == fitted.support.unsupported
    assert found.lift.value == pytest.approx(found.target.value - found.logging.value)
    np.testing.assert_allclose(
        found.effective_trajectories, effective_trajectories(log.weighed), rtol=1e-9
    )
    # The mean of rows' own probabilities is the cell's, where all rows of a cell agree.
    by_row = lift_of(log.cells, mdp.target[log.cells.cell], repetitions=20)
    assert by_row.target.value == pytest.approx(fitted.value)


def test_the_difference_is_paired() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 800, 6, np.random.default_rng(43)).cells
    near = 0.9 * mdp.logging + 0.1 * mdp.target
    found = lift_of(log, near)
    apart = np.hypot(found.target.error, found.logging.error)
    assert found.lift.error < apart / 3


@pytest.mark.parametrize("horizon", [None, 5])
def test_the_interval_covers_the_exact_lift_as_often_as_it_says(horizon: int | None) -> None:
    covered(horizon, logs=30, least=25)  # at 95 % fewer have a chance of 1 in 300


@pytest.mark.verify
@pytest.mark.parametrize("horizon", [None, 5])
def test_the_interval_covers_the_exact_lift_in_many_logs(horizon: int | None) -> None:
    covered(horizon, logs=400, least=368)


def covered(horizon: int | None, *, logs: int, least: int) -> None:
    mdp = small_mdp()
    exact = {
        "target": mdp.value(mdp.target, horizon),
        "logging": mdp.value(mdp.logging, horizon),
    }
    exact["lift"] = exact["target"] - exact["logging"]
    hits = dict.fromkeys(exact, 0)
    rng = np.random.default_rng(44)
    for _ in range(logs):
        log = draw_log(mdp, 300, 5, rng, late=0.3, state_after=False).cells
        found = lift_over_logging(
            log, mdp.target, discount=0.9, horizon=horizon, rng=rng, repetitions=80
        )
        for name, truth in exact.items():
            interval = getattr(found, name)
            hits[name] += interval.low <= truth <= interval.high
    assert min(hits.values()) >= least, hits


def test_a_customer_of_two_trajectories_is_drawn_with_both() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 600, 5, np.random.default_rng(45)).cells
    paired = replace(log, unit=np.arange(600) // 2)
    assert lift_of(paired, mdp.target).units == 300
    # Two equal trajectories of one customer are one customer's evidence.
    twice = CellLog(
        np.concatenate([log.trajectory, log.trajectory + 600]), np.tile(log.step, 2),
        np.tile(log.cell, 2), np.tile(log.action, 2), np.tile(log.reward, 2),
        np.tile(log.after, 2), log.cells, log.actions,
    )  # fmt: skip
    alone = lift_of(twice, mdp.target, repetitions=200).target.error
    together = lift_of(
        replace(twice, unit=np.tile(np.arange(600), 2)), mdp.target, repetitions=200
    ).target.error
    assert together / alone == pytest.approx(np.sqrt(2), rel=0.25)


def test_what_cannot_be_is_refused_at_once() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 20, 4, np.random.default_rng(46)).cells
    one = replace(log, unit=np.zeros(20, int))
    with pytest.raises(UserError) as refused:
        lift_over_logging(
            one, mdp.target, discount=1.0, rng=np.random.default_rng(0), repetitions=1, level=1.0
        )
    for said in ("discount is 1 without", "one customer", "repetitions is 1", "level is 1.0"):
        assert said in str(refused.value)
    with pytest.raises(UserError, match="propensity is wrong"):
        lift_over_logging(
            log, mdp.target, discount=0.9, rng=np.random.default_rng(0),
            propensity=np.zeros(len(log.step)),
        )  # fmt: skip


class Sequencing:
    """The sequencing generator's 520 states as cells, with its exact values."""

    def __init__(self) -> None:
        self.tables = true_tables()
        self.model = program(self.tables, 0, 0.99, self.tables.contact_cost)
        self.chance, self.reward = transitions(self.model)
        place = np.indices(self.model.shape).reshape(len(self.model.shape), -1)
        self.fatigue, self.consent = place[2], np.array(self.model.levels[0])[place[4]]
        by_state = logging_policy(self.tables)
        # The letter, the second channel, always has consent.
        self.logging = by_state[place[0], place[1], self.fatigue, self.consent + 2]
        _, best = value_iteration(self.model)
        self.optimal = np.eye(4)[best.ravel()]
        self.never = np.eye(4)[np.zeros(self.model.states, int)]
        self.mailed = np.eye(4)[np.where(self.consent == 1, 2, 0)]
        start = np.zeros(self.model.shape)
        subscribed = self.model.levels[0].index(1)
        for (r, f, *_), weight in zip(self.tables.start, self.tables.start_weight[0], strict=True):
            start[r, f, 0, 0, subscribed, 0] += weight
        self.start = start.ravel()

    def value(self, policy: Floats) -> float:
        chain = np.einsum("sa,ast->st", policy, self.chance)
        earned = np.where(policy > 0, policy * np.where(policy > 0, self.reward.T, 0), 0).sum(1)
        solved = np.linalg.solve(np.eye(len(chain)) - 0.99 * chain, earned)
        return float(self.start @ solved)

    def log(self, customers: int, weeks: int, rng: Generator) -> CellLog:
        panel = panel_of(self.tables, customers, weeks, rng)
        subscribed = pattern_of(panel.consent) & 1
        zero = np.zeros(panel.rows, np.int64)
        axes = (
            panel.recency, panel.frequency, panel.fatigue[:, 0], zero,
            np.searchsorted(self.model.levels[0], subscribed), zero,
        )  # fmt: skip
        cell = np.ravel_multi_index(axes, self.model.shape).astype(np.int64)
        reward = panel.value - panel.offer_paid - self.tables.contact_cost[panel.action]
        after = np.full(customers, UNKNOWN)
        return CellLog(
            panel.customer, panel.week, cell, panel.action, reward, after, self.model.states, 4
        )


@pytest.fixture(scope="module")
def sequencing() -> Sequencing:
    return Sequencing()


def test_on_the_sequencing_generator_the_interval_covers_and_the_best_policy_is_shown_better(
    sequencing: Sequencing,
) -> None:
    rng = np.random.default_rng(47)
    log = sequencing.log(20_000, 26, rng)
    exact = sequencing.value(sequencing.optimal), sequencing.value(sequencing.logging)
    assert exact[0] == pytest.approx(36.385, abs=0.01)
    found = lift_over_logging(log, sequencing.optimal, discount=0.99, rng=rng, repetitions=40)
    for interval, truth in (
        (found.target, exact[0]), (found.logging, exact[1]), (found.lift, exact[0] - exact[1])
    ):  # fmt: skip
        assert abs(interval.value - truth) < 3 * interval.error
    assert found.lift.low > 0
    assert found.support.unsupported < 0.02
    assert len(found.effective_trajectories) == 26
    never = lift_over_logging(
        log, sequencing.never, discount=0.99, rng=rng, repetitions=40, horizon=26
    )
    assert never.support.by_step.shape == (26,)
    # What the log never shows is said to be unsupported: coupons to the tired, every week.
    mailed = fqe_by_cell(log, sequencing.mailed, discount=0.99)
    assert mailed.support.unsupported > 0.5


def test_trajectory_weights_vanish_on_the_sequencing_generator(sequencing: Sequencing) -> None:
    rng = np.random.default_rng(48)
    log = sequencing.log(3000, 26, rng)
    found = lift_over_logging(log, sequencing.mailed, discount=0.99, rng=rng, repetitions=2)
    effective = found.effective_trajectories
    assert effective[0] > 2000
    assert effective[7] < 20  # by the eighth week
