"""Importance sampling over trajectories: paper, limits, and a problem solved exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.ope.sequences import (
    Estimated,
    doubly_robust,
    effective_trajectories,
    logged_value,
    per_decision_is,
    trajectory_is,
    weighted_doubly_robust,
    weighted_per_decision_is,
    weighted_trajectory_is,
)
from ppo_marketing.ope.trajectories import Floats, Trajectories
from tests.support.small_mdp import Log, SmallMdp, draw_log, small_mdp

ALL = (trajectory_is, weighted_trajectory_is, per_decision_is, weighted_per_decision_is)
WEIGHTED = (weighted_trajectory_is, weighted_per_decision_is)


def log_of(
    trajectory: list[int],
    reward: list[float],
    ratio: list[float],
    terminal: list[bool],
    discount: float,
) -> Trajectories:
    """Rows with given ratios π / μ; μ is .1."""
    number = np.array(trajectory)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    return Trajectories(
        trajectory=number,
        step=np.arange(len(number)) - first[number],
        reward=np.array(reward),
        propensity=np.full(len(number), 0.1),
        chosen=0.1 * np.array(ratio),
        terminal=np.array(terminal),
        discount=discount,
    )


TWO_STEPS = log_of([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0], [2.0, 0.5, 3.0, 2.0], [True, True], 0.5)
"""w is 2 and 1 in the first trajectory, 3 and 6 in the second; returns are 2 and 5."""


def test_two_trajectories_of_two_steps_give_what_they_give_on_paper() -> None:
    assert trajectory_is(TWO_STEPS).value == pytest.approx((1 * 2 + 6 * 5) / 2)
    assert weighted_trajectory_is(TWO_STEPS).value == pytest.approx((1 * 2 + 6 * 5) / 7)
    per_decision = (2 * 1 + 3 * 3) / 2 + 0.5 * (1 * 2 + 6 * 4) / 2
    assert per_decision_is(TWO_STEPS).value == pytest.approx(per_decision)
    weighted = (2 * 1 + 3 * 3) / 5 + 0.5 * (1 * 2 + 6 * 4) / 7
    assert weighted_per_decision_is(TWO_STEPS).value == pytest.approx(weighted)
    assert logged_value(TWO_STEPS).value == pytest.approx((2 + 5) / 2)
    np.testing.assert_allclose(effective_trajectories(TWO_STEPS), [25 / 13, 49 / 37])


def test_the_doubly_robust_sum_is_the_recursion_on_paper() -> None:
    q, value = np.array([1.5, 1.0, 2.0, 5.0]), np.array([1.0, 3.0, 2.5, 2.0])
    # V_t = v_t + ρ_t (r_t + γ V_{t+1} - q_t), from the last step backwards.
    second_of_first = 3.0 + 0.5 * (2.0 - 1.0)
    first = 1.0 + 2.0 * (1.0 + 0.5 * second_of_first - 1.5)
    second_of_second = 2.0 + 2.0 * (4.0 - 5.0)
    second = 2.5 + 3.0 * (3.0 + 0.5 * second_of_second - 2.0)
    estimate = doubly_robust(TWO_STEPS, q, value)
    np.testing.assert_allclose(estimate.influence, [first, second])
    assert estimate.value == pytest.approx((first + second) / 2)
    # Weighted: differences 1 + .5 3 - 1.5 = 1 and 3 + .5 2 - 2 = 2, then 2 - 1 = 1 and 4 - 5 = -1.
    expected = (1.0 + 2.5) / 2 + (2 * 1 + 3 * 2) / 5 + 0.5 * (1 * 1 + 6 * -1) / 7
    assert weighted_doubly_robust(TWO_STEPS, q, value).value == pytest.approx(expected)


def test_weighted_dr_is_the_formula_of_its_paper_term_by_term() -> None:
    # sum_i sum_t γ^t [w_t r_t - (w_t q_t - w_{t-1} v_t)], weights divided by their sum, w_{-1} 1/T.
    q, value = np.array([1.5, 1.0, 2.0, 5.0]), np.array([1.0, 3.0, 2.5, 2.0])
    w = np.array([[2.0, 1.0], [3.0, 6.0]])
    w /= w.sum(0)
    before = np.column_stack([np.full(2, 0.5), w[:, 0]])
    r = np.array([[1.0, 2.0], [3.0, 4.0]])
    terms = w * r - w * q.reshape(2, 2) + before * value.reshape(2, 2)
    expected = float((terms @ [1.0, 0.5]).sum())
    assert weighted_doubly_robust(TWO_STEPS, q, value).value == pytest.approx(expected)


def test_an_ended_trajectory_keeps_its_last_weight_and_earns_nothing_more() -> None:
    # The first ends after one step with w = 2; the second goes on to w = 6.
    ended = log_of([0, 1, 1], [1.0, 3.0, 4.0], [2.0, 3.0, 2.0], [True, True], 0.5)
    assert trajectory_is(ended).value == pytest.approx((2 * 1 + 6 * 5) / 2)
    assert weighted_trajectory_is(ended).value == pytest.approx((2 * 1 + 6 * 5) / (2 + 6))
    assert per_decision_is(ended).value == pytest.approx((2 + 9) / 2 + 0.5 * (6 * 4) / 2)
    weighted = (2 + 9) / 5 + 0.5 * (6 * 4) / (2 + 6)
    assert weighted_per_decision_is(ended).value == pytest.approx(weighted)
    np.testing.assert_allclose(effective_trajectories(ended), [25 / 13, 64 / 40])
    # It is the same as a second step in a state where nothing is decided and nothing earned.
    idle = log_of([0, 0, 1, 1], [1.0, 0.0, 3.0, 4.0], [2.0, 1.0, 3.0, 2.0], [True, True], 0.5)
    for estimator in (*ALL, logged_value):
        np.testing.assert_allclose(estimator(ended).influence, estimator(idle).influence)


def test_a_cut_trajectory_says_nothing_of_later_steps() -> None:
    cut = log_of([0, 1, 1], [1.0, 3.0, 4.0], [2.0, 3.0, 2.0], [False, True], 0.5)
    assert trajectory_is(cut).value == pytest.approx(6 * 5)
    assert per_decision_is(cut).value == pytest.approx((2 + 9) / 2 + 0.5 * (6 * 4))
    assert weighted_per_decision_is(cut).value == pytest.approx((2 + 9) / 5 + 0.5 * 4)
    assert logged_value(cut).value == pytest.approx((1 + 3) / 2 + 0.5 * 4)
    # Nor does DR use the step whose successor is not known, unless its value is given.
    q, value = np.array([1.5, 2.0, 5.0]), np.array([1.0, 2.5, 2.0])
    base = (1.0 + 2.5) / 2
    rest = 0.5 * 6 * (4.0 - 5.0)
    assert doubly_robust(cut, q, value).value == pytest.approx(base + 3 * 2.0 + rest)
    known = doubly_robust(cut, q, value, after=np.array([0.8, 0.0]))
    assert known.value == pytest.approx(base + (2 * (1.0 + 0.5 * 0.8 - 1.5) + 3 * 2.0) / 2 + rest)


def test_those_that_go_on_stand_for_the_cut_not_those_that_had_ended() -> None:
    # Four start. One ends, one is cut and two go on after step 0: each of the two counts for 1.5.
    log = log_of(
        [0, 1, 2, 2, 3, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 1.0, 4.0, 0.5],
        [True, False, True, True], 1.0,
    )  # fmt: skip
    second = 1.5 * (3 * 4 + 2 * 6) / 4
    assert per_decision_is(log).value == pytest.approx((1 + 4 + 9 + 20) / 4 + second)
    total = 1 + 1.5 * (3 + 2)
    weighted = (1 + 4 + 9 + 20) / 10 + 1.5 * (3 * 4 + 2 * 6) / total
    assert weighted_per_decision_is(log).value == pytest.approx(weighted)
    assert trajectory_is(log).value == pytest.approx((1 * 1 + 1.5 * (3 * 7 + 2 * 11)) / 4)
    assert effective_trajectories(log)[1] == pytest.approx(total**2 / (1 + 1.5**2 * (9 + 4)))
    # DR: the first step of the cut one is not known either; the one that ended counts once.
    q, value = np.ones(6), np.full(6, 2.0)
    first = 1 * (1 - 1) + 1.5 * (3 * (3 + 2 - 1) + 4 * (5 + 2 - 1))
    second = 1.5 * (3 * (4 - 1) + 2 * (6 - 1))
    assert doubly_robust(log, q, value).value == pytest.approx(2 + (first + second) / 4)


def test_who_ends_after_others_were_cut_stands_for_them_from_then_on() -> None:
    # Three start, one is cut at once: the two others count for 1.5, also after the second ended.
    log = log_of(
        [0, 1, 1, 2, 2, 2], [0.0, 0.0, 2.0, 0.0, 4.0, 8.0], [1.0, 2.0, 3.0, 1.0, 4.0, 0.5],
        [False, True, True], 1.0,
    )  # fmt: skip
    expected = 1.5 * (6 * 2 + 4 * 4) / 3 + 1.5 * (2 * 8) / 3
    assert per_decision_is(log).value == pytest.approx(expected)
    weighted = (6 * 2 + 4 * 4) / (6 + 4) + (2 * 8) / (6 + 2)
    assert weighted_per_decision_is(log).value == pytest.approx(weighted)
    assert trajectory_is(log).value == pytest.approx(1.5 * (6 * 2 + 2 * 12) / 3)


def test_a_horizon_counts_nothing_beyond_it() -> None:
    for estimator in ALL:
        one = estimator(TWO_STEPS, horizon=1)
        assert one.value == pytest.approx(estimator(replace(TWO_STEPS, discount=0.0), 1).value)
    q, value = np.array([1.5, 1.0, 2.0, 5.0]), np.array([1.0, 3.0, 2.5, 2.0])
    one = doubly_robust(TWO_STEPS, q, value, horizon=1)
    assert one.value == pytest.approx((1.0 + 2.5) / 2 + (2 * (1.0 - 1.5) + 3 * (3.0 - 2.0)) / 2)


def random_log(rng: np.random.Generator, discount: float) -> Trajectories:
    length = rng.integers(1, 6, 30)
    n = int(length.sum())
    return Trajectories(
        trajectory=np.repeat(np.arange(30), length),
        step=np.concatenate([np.arange(k) for k in length]),
        reward=rng.normal(size=n),
        propensity=rng.uniform(0.1, 1.0, n),
        chosen=rng.uniform(0.05, 1.0, n),
        terminal=rng.random(30) < 0.7,
        discount=discount,
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 1.0]))
def test_where_the_target_is_the_logging_policy_every_form_is_the_plain_mean(
    seed: int, discount: float
) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng, discount)
    log = replace(log, chosen=log.propensity, terminal=np.ones(30, bool))
    by_row = log.reward * discount**log.step
    returns = np.bincount(log.trajectory, by_row)
    for estimator in (*ALL, logged_value):
        np.testing.assert_allclose(estimator(log).influence, returns, atol=1e-12)
    np.testing.assert_allclose(effective_trajectories(log), 30.0)
    # A model of the logging policy's own value changes nothing in the mean of the differences.
    constant = doubly_robust(log, np.zeros(len(by_row)), np.zeros(len(by_row)))
    np.testing.assert_allclose(constant.influence, returns, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_without_a_future_they_are_the_one_step_estimators(seed: int) -> None:
    log = random_log(np.random.default_rng(seed), 0.0)
    first = log.step == 0
    w, r = (log.chosen / log.propensity)[first], log.reward[first]
    assert per_decision_is(log).value == pytest.approx((w * r).mean())
    assert weighted_per_decision_is(log).value == pytest.approx((w * r).sum() / w.sum())
    rng = np.random.default_rng(seed)
    q, v = rng.normal(size=len(log.step)), rng.normal(size=len(log.step))
    one_step = v[first] + w * (r - q[first])
    np.testing.assert_allclose(doubly_robust(log, q, v).influence, one_step, atol=1e-12)
    expected = v[first].mean() + (w * (r - q[first])).sum() / w.sum()
    assert weighted_doubly_robust(log, q, v).value == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_a_model_of_zeros_makes_dr_the_per_decision_forms(seed: int, discount: float) -> None:
    log = random_log(np.random.default_rng(seed), discount)
    zeros, after = np.zeros(len(log.step)), np.zeros(30)
    for robust, plain in (
        (doubly_robust, per_decision_is),
        (weighted_doubly_robust, weighted_per_decision_is),
    ):
        estimate = robust(log, zeros, zeros, after=after)
        np.testing.assert_allclose(estimate.influence, plain(log).influence, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_influences_average_to_the_value_and_weighted_forms_stay_within_rewards(
    seed: int, discount: float
) -> None:
    log = random_log(np.random.default_rng(seed), discount)
    steps = log.longest
    for estimator in ALL:
        estimate = estimator(log)
        assert estimate.influence.mean() == pytest.approx(estimate.value, abs=1e-9)
    powers = (discount ** np.arange(steps)).sum()
    bound = np.abs(log.reward).max() * powers + 1e-9
    assert abs(weighted_per_decision_is(log).value) <= bound


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-5, 5))
def test_a_constant_added_to_all_rewards_moves_the_weighted_form_by_just_that(
    seed: int, shift: float
) -> None:
    log = replace(random_log(np.random.default_rng(seed), 0.9), terminal=np.zeros(30, bool))
    moved = replace(log, reward=log.reward + shift)
    powers = (0.9 ** np.arange(log.longest)).sum()
    difference = weighted_per_decision_is(moved).value - weighted_per_decision_is(log).value
    assert difference == pytest.approx(shift * powers, abs=1e-9)


def test_where_nobody_follows_the_target_weighted_forms_say_so() -> None:
    gone = log_of([0, 0, 1, 1], [1.0] * 4, [2.0, 0.0, 0.0, 1.0], [True, True], 1.0)
    np.testing.assert_allclose(effective_trajectories(gone), [1.0, 0.0])
    assert trajectory_is(gone).value == 0.0
    for estimator in WEIGHTED:
        with pytest.raises(UserError, match="no trajectory follows the target policy"):
            estimator(gone)
    assert weighted_per_decision_is(gone, horizon=1).value == 1.0


def test_weights_that_overflow_and_impossible_horizons_are_refused() -> None:
    long = log_of([0] * 400, [1.0] * 400, [9.9] * 400, [False], 0.99)
    with pytest.raises(UserError, match="overflow"):
        trajectory_is(long)
    for horizon in (0, 3):
        with pytest.raises(UserError, match="between 1 and 2"):
            per_decision_is(TWO_STEPS, horizon)
    cut = replace(TWO_STEPS, terminal=np.array([False, False]))
    unknown = np.full(2, np.nan)
    with pytest.raises(UserError, match="no trajectory shows what follows step 1"):
        doubly_robust(cut, np.zeros(4), np.zeros(4), after=unknown)
    with pytest.raises(UserError, match="q has shape") as refused:
        doubly_robust(TWO_STEPS, np.zeros(3), np.full(4, np.nan), after=np.zeros(1))
    assert str(refused.value).count("\n- ") == 3


HORIZON = 5

Estimator = Callable[[SmallMdp, Log], Estimated]


def with_model(estimator: Callable[..., Estimated], error: float) -> Estimator:
    """DR with the exact finite-horizon Q, wrong by `error` in every number."""

    def estimate(mdp: SmallMdp, log: Log) -> Estimated:
        q, v = model(mdp, log, error)
        return estimator(log.weighed, q, v, horizon=HORIZON)

    return estimate


def model(mdp: SmallMdp, log: Log, error: float) -> tuple[Floats, Floats]:
    q = mdp.q(mdp.target, HORIZON)
    q = q + error * np.random.default_rng(3).normal(size=q.shape)
    at = (log.cells.step, log.cells.cell)
    return q[(*at, log.cells.action)], (mdp.target * q).sum(2)[at]


UNBIASED: dict[str, Estimator] = {
    "trajectory IS": lambda mdp, log: trajectory_is(log.weighed, HORIZON),
    "per-decision IS": lambda mdp, log: per_decision_is(log.weighed, HORIZON),
    "DR, exact model": with_model(doubly_robust, 0.0),
    "DR, wrong model": with_model(doubly_robust, 1.0),
}


@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize("late", [0.0, 0.3])
def test_unbiased_ones_average_to_the_exact_value_over_many_logs(name: str, late: float) -> None:
    mdp = small_mdp()
    truth = mdp.value(mdp.target, HORIZON)
    rng = np.random.default_rng(11)
    logs = [draw_log(mdp, 150, HORIZON, rng, late=late) for _ in range(300)]
    lengths = np.concatenate([np.bincount(log.cells.trajectory) for log in logs])
    assert set(lengths) == {1, 2, 3, 4, 5}  # they do vary
    values = np.array([UNBIASED[name](mdp, log).value for log in logs])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - truth) < 3 * error
    # And the log's own mean is far from it: the test would notice an estimator that did nothing.
    naive = np.array([logged_value(log.weighed, HORIZON).value for log in logs])
    assert abs(naive.mean() - truth) > 10 * naive.std(ddof=1) / np.sqrt(len(naive))


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_standard_errors_are_the_spread_over_logs(late: float) -> None:
    mdp = small_mdp()
    rng = np.random.default_rng(12)
    logs = [draw_log(mdp, 400, HORIZON, rng, late=late) for _ in range(300)]
    forms = UNBIASED | {
        "per-decision WIS": lambda mdp, log: weighted_per_decision_is(log.weighed, HORIZON),
        "weighted DR": with_model(weighted_doubly_robust, 1.0),
    }
    for name, estimator in forms.items():
        estimates = [estimator(mdp, log) for log in logs]
        spread = np.std([e.value for e in estimates], ddof=1)
        said = np.sqrt(np.mean([e.error**2 for e in estimates]))
        assert said / spread == pytest.approx(1.0, abs=0.15), name


def test_self_normalised_forms_are_right_on_a_large_log() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 200_000, HORIZON, np.random.default_rng(13), late=0.2)
    truth = mdp.value(mdp.target, HORIZON)
    q, v = model(mdp, log, 1.0)
    for estimate in (
        weighted_trajectory_is(log.weighed, HORIZON),
        weighted_per_decision_is(log.weighed, HORIZON),
        weighted_doubly_robust(log.weighed, q, v, horizon=HORIZON),
    ):
        assert abs(estimate.value - truth) < 3 * estimate.error, estimate.name
        assert estimate.error < 0.02 * abs(truth)


def test_a_good_model_and_normalised_weights_make_the_error_smaller() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 5000, HORIZON, np.random.default_rng(14))
    q, v = model(mdp, log, 0.0)
    whole, step = trajectory_is(log.weighed).error, per_decision_is(log.weighed).error
    robust = doubly_robust(log.weighed, q, v).error
    assert robust < step < whole


def test_an_infinite_horizon_is_reached_by_a_model_of_what_follows_the_cut() -> None:
    mdp = small_mdp()
    log = draw_log(mdp, 100_000, HORIZON, np.random.default_rng(15), late=0.3)
    q = mdp.q(mdp.target, None)
    v = (mdp.target * q).sum(1)
    cells = log.cells
    after = np.where(cells.after >= 0, v[np.maximum(cells.after, 0)], 0.0)
    estimate = doubly_robust(log.weighed, q[cells.cell, cells.action], v[cells.cell], after=after)
    assert abs(estimate.value - mdp.value(mdp.target, None)) < 3 * estimate.error
