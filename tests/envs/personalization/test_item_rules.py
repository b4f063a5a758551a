from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.personalization import learners
from envs.personalization.generator import PRESETS, truth_of
from envs.personalization.model import LoggedRows, SoftmaxPolicy, logits_of, sigmoid
from envs.personalization.rules import (
    BestFixed,
    ContextualGreedy,
    Logging,
    Uniform,
    logging_choices,
    rules,
)
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.truth import logged_rows, true_world, world_of
from ppo_marketing.evaluation import play
from tests.support.personalization import small_sessions, small_visits


@pytest.fixture(scope="module")
def world() -> Any:
    return true_world("default", 4000, PersonalizationSettings(), np.random.default_rng(0))


def rows_of(item: Any, reward: Any, propensity: Any, weight: Any = None) -> LoggedRows:
    n = len(item)
    return LoggedRows(
        x=np.zeros((n, 1), np.float32),
        item=np.array(item, np.int32),
        position=np.zeros(n, np.int32),
        propensity=np.array(propensity, float),
        reward=np.array(reward, float),
        weight=np.ones(n) if weight is None else np.array(weight, float),
        eligible=None,
    )


def test_every_rule_beats_showing_anything_and_none_beats_the_argmax(world: Any) -> None:
    rng = np.random.default_rng(0)
    floor = play(Uniform(), world, 4000, 0, "floor").kpis["value"].mean()
    ceiling = world.ceiling(world.initial(4000, np.random.default_rng([0, 0])))
    for rule in rules():
        value = play(rule.tuned(world, rng), world, 4000, 0, "rule").kpis["value"]
        assert value.mean() > 1.1 * floor, rule.name
        assert (value <= ceiling + 1e-12).all(), rule.name


def test_rules_learn_from_the_logged_rows_alone(world: Any) -> None:
    """Another world with the same rows gives the same choices: nothing of its truth leaks in."""
    other = replace(world, model=truth_of(PRESETS["default"], seed=9).model)
    state = world.initial(200, np.random.default_rng(0))
    for rule in rules():
        one, two = (rule.tuned(w, np.random.default_rng(0)) for w in (world, other))
        first, second = (r.control(world, state, np.random.default_rng(1)) for r in (one, two))
        np.testing.assert_array_equal(first, second, err_msg=rule.name)


@pytest.mark.parametrize("share", [None, 0.4])
def test_no_rule_fills_a_page_with_a_forbidden_item(share: float | None) -> None:
    world = small_visits(slots=3, share_eligible=share)
    rows = logged_rows_of(world)
    world = replace(world, history=rows)
    for rule in (*rules(), Uniform(), Logging(policy=SoftmaxPolicy(*uniform_policy(world), 0.5))):
        tuned = rule.tuned(world, np.random.default_rng(0))
        # `step` refuses a forbidden item.
        played = play(tuned, world, 40, 0, "rule")
        assert (played.kpis["impressions"] == 3).all()


def uniform_policy(world: Any) -> tuple[Any, Any]:
    return np.zeros(world.model.items), np.zeros((world.model.items, world.model.context_size))


def logged_rows_of(world: Any) -> LoggedRows:
    rng = np.random.default_rng(5)
    n = 600
    x = rng.standard_normal((n, 3)).astype(np.float32)
    item = rng.integers(0, 6, n).astype(np.int32)
    chance = sigmoid(logits_of(world.model, np.zeros(n, int), x))[np.arange(n), item]
    return LoggedRows(
        x=x,
        item=item,
        position=np.zeros(n, np.int32),
        propensity=np.full(n, 1 / 6),
        reward=(rng.random(n) < chance).astype(float),
        weight=np.ones(n),
        eligible=None,
    )


def test_the_best_fixed_item_is_judged_by_propensity_not_by_counts() -> None:
    """Item 0 is clicked more often in all, item 1 more often per time it is shown."""
    rows = rows_of(
        [0] * 300 + [1] * 100,
        [1] * 30 + [0] * 270 + [1] * 20 + [0] * 80,
        [0.75] * 300 + [0.25] * 100,
    )
    np.testing.assert_allclose(learners.item_values(rows, 3, 30), [0.1, 0.2, 0.15])


def test_an_item_hardly_ever_shown_is_not_taken_for_the_best() -> None:
    rows = rows_of([0] * 200 + [1], [1] * 20 + [0] * 180 + [1], [0.9] * 200 + [0.1])
    assert learners.item_values(rows, 2, 30)[1] < 0.2


def test_rows_that_stand_for_many_impressions_count_as_often() -> None:
    one = rows_of([0, 0, 0, 1], [1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])
    short = rows_of([0, 1], [2 / 3, 0], [0.5, 0.5], [3, 1])
    for size in (1.0, 10.0):
        np.testing.assert_allclose(
            learners.logistic(one, 2, size), learners.logistic(short, 2, size), rtol=1e-6
        )
        np.testing.assert_allclose(
            learners.ridge(one, 2, size).theta, learners.ridge(short, 2, size).theta
        )
    assert learners.snips(one, np.ones(4)) == pytest.approx(learners.snips(short, np.ones(2)))


def test_snips_by_hand() -> None:
    rows = rows_of([0, 1, 0], [1, 0, 0], [0.5, 0.25, 0.5])
    # weights: 1/.5, 0, 1/.5 -> (2 x 1 + 2 x 0) / 4
    assert learners.snips(rows, np.array([1.0, 0.0, 1.0])) == 0.5
    assert np.isnan(learners.snips(rows, np.zeros(3)))


@settings(deadline=None, max_examples=30)
@given(shift=st.floats(-1, 1), seed=st.integers(0, 1000))
def test_snips_moves_with_the_reward(shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rows_of(rng.integers(0, 3, 20), rng.random(20), rng.uniform(0.1, 1, 20))
    probability = rng.random(20)
    moved = rows._replace(reward=rows.reward + shift)
    assert learners.snips(moved, probability) == pytest.approx(
        learners.snips(rows, probability) + shift
    )


def test_the_logistic_regression_recovers_what_made_the_rewards() -> None:
    rng = np.random.default_rng(3)
    n = 60_000
    beta = np.array([[-1.0, 0.8, 0.0], [-1.5, -0.5, 0.5]])
    rows = rows_of(rng.integers(0, 2, n), np.zeros(n), np.full(n, 0.5))
    rows = rows._replace(x=rng.standard_normal((n, 2)).astype(np.float32))
    chance = sigmoid((learners.with_intercept(rows.x) * beta[rows.item]).sum(axis=1))
    rows = rows._replace(reward=(rng.random(n) < chance).astype(float))
    np.testing.assert_allclose(learners.logistic(rows, 2, 1e-3), beta, atol=0.06)


def test_linear_bandit_statistics_are_those_of_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    rows = rows_of(
        rng.integers(0, 3, 50), rng.random(50), np.full(50, 1 / 3), rng.integers(1, 5, 50)
    )
    rows = rows._replace(x=rng.standard_normal((50, 2)).astype(np.float32))
    found = learners.ridge(rows, 4, penalty=2.0)
    for a in range(4):
        mine = rows.item == a
        z = np.repeat(learners.with_intercept(rows.x[mine]), rows.weight[mine].astype(int), axis=0)
        r = np.repeat(rows.reward[mine], rows.weight[mine].astype(int))
        gram = z.T @ z + 2.0 * np.eye(3)
        np.testing.assert_allclose(found.theta[a], np.linalg.solve(gram, z.T @ r))
        np.testing.assert_allclose(found.inverse[a], np.linalg.inv(gram))


def test_the_ipw_learner_corrects_for_what_was_shown_too_often() -> None:
    """Item 0 is shown nine times as often; item 1 is rewarded more per time it is shown."""
    rng = np.random.default_rng(0)
    n = 20_000
    item = (rng.random(n) > 0.9).astype(int)
    reward = rng.random(n) < np.where(item == 0, 0.05, 0.10)
    policy = learners.ipw_policy(rows_of(item, reward, np.where(item == 0, 0.9, 0.1)), 2, 1.0)
    assert policy[1, 0] > policy[0, 0]
    naive = learners.ipw_policy(rows_of(item, reward, np.full(n, 0.5)), 2, 1.0)
    assert naive[1, 0] < naive[0, 0]


def test_the_logging_rule_draws_items_with_the_logged_probabilities() -> None:
    truth = truth_of(PRESETS["default"], seed=1)
    world: Any = world_of(truth, 3, PersonalizationSettings(), np.random.default_rng(0))
    n = 60_000
    state = world.initial(n, np.random.default_rng(0))
    item = Logging(policy=truth.logging).control(world, state, np.random.default_rng(1))
    for visit in range(3):
        mine = state.visit == visit
        share = np.bincount(item[mine], minlength=20) / mine.sum()
        expected = truth.logging.probabilities(world.contexts.x[[visit]], None)[0]
        np.testing.assert_allclose(share, expected, atol=4 * np.sqrt(0.25 / mine.sum()))


def test_the_logging_policy_is_told_from_observations_among_the_items_allowed() -> None:
    truth = truth_of(PRESETS["default"], seed=1)
    world: Any = world_of(truth, 50, PersonalizationSettings(), np.random.default_rng(0))

    class Logged:
        logging = truth.logging

    choosing = logging_choices(Logged(), world)
    assert choosing is not None
    state = world.initial(50, np.random.default_rng(0))
    found = choosing(world.observe(state), None)
    expected = truth.logging.probabilities(world.contexts.x[state.visit], None)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    mask = np.random.default_rng(1).random(found.shape) < 0.5
    mask[:, 0] = True
    among = choosing(world.observe(state), mask)
    assert not among[~mask].any()
    np.testing.assert_allclose(among.sum(axis=1), 1.0)


def test_an_untuned_rule_says_so(world: Any) -> None:
    state = world.initial(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="'contextual greedy' has not been tuned"):
        ContextualGreedy().control(world, state, np.random.default_rng(0))
    assert BestFixed().control(world, state, np.random.default_rng(0)).tolist() == [0, 0]


def test_in_sessions_the_greedy_rule_lets_a_boring_category_rest() -> None:
    world = small_sessions(boredom=2.0)
    world = replace(world, history=logged_rows_of(world))
    rule = ContextualGreedy().tuned(world, np.random.default_rng(0))
    state = world.initial(40, np.random.default_rng(0))
    first = rule.control(world, state, np.random.default_rng(0))
    bored = state.boredom.copy()
    bored[np.arange(40), world.items.category[first]] = 2
    second = rule.control(world, state._replace(boredom=bored), np.random.default_rng(0))
    assert (world.items.category[second] != world.items.category[first]).all()


def test_the_sample_rows_are_reproducible() -> None:
    truth = truth_of(PRESETS["default"])
    one, two = (logged_rows(truth, 500, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.item, two.item)
    np.testing.assert_array_equal(one.reward, two.reward)
