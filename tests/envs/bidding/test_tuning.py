"""How history chooses a rule's parameters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.bidding.rules import FixedLambda
from envs.bidding.tuning import (
    PerBudget,
    day_scores,
    history_of,
    known,
    plays_history,
    search_per_budget,
    tuned_per_budget,
)
from tests.support.bidding import small_world


def test_a_parameter_is_kept_at_each_budget_whatever_their_order(rng: np.random.Generator) -> None:
    world = small_world(rng, tightness=(0.4, 0.1, 0.2))
    values = np.array([3.0, 1.0, 2.0])
    kept = PerBudget.of(world.terms, values)
    np.testing.assert_allclose(kept.at(world.terms), values)
    assert kept.values == (1.0, 2.0, 3.0)


def test_a_parameter_is_interpolated_in_log_tightness_and_constant_beyond(
    rng: np.random.Generator,
) -> None:
    kept = PerBudget.of(small_world(rng, tightness=(0.1, 0.4)).terms, np.array([1.0, 3.0]))
    other = small_world(np.random.default_rng(20_240_601), tightness=(0.01, 0.2, 2.0)).terms
    np.testing.assert_allclose(kept.at(other), [1.0, 2.0, 3.0], atol=0.05)


def test_several_budgets_are_named_by_their_tightness(rng: np.random.Generator) -> None:
    one = PerBudget.of(small_world(rng, tightness=(0.1,)).terms, np.array([1.5]))
    two = PerBudget.of(small_world(rng, tightness=(0.1, 0.4)).terms, np.array([1.5, 2.5]))
    assert one.named("gain") == {"gain": 1.5}
    assert two.named("gain") == {"gain (c0 = 0.1)": 1.5, "gain (c0 = 0.4)": 2.5}


def test_search_finds_the_top_of_each_budgets_parabola() -> None:
    top = np.array([-0.33, 0.61, 1.7])

    def score(candidate: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(5 - (candidate - top) ** 2)

    best, best_score = search_per_budget(score, np.linspace(-1, 1, 5), 3, halvings=6)
    np.testing.assert_allclose(best, [-0.33, 0.61, 1.0], atol=0.5 / 2**6)
    np.testing.assert_allclose(best_score, score(best))


def test_search_prefers_the_first_of_equals() -> None:
    best, _ = search_per_budget(lambda c: np.zeros(len(c)), np.array([0.0, 1.0, 2.0]), 2, 3)
    np.testing.assert_array_equal(best, 0.0)


def test_tuned_value_is_at_least_as_good_on_history_as_every_grid_point(
    rng: np.random.Generator,
) -> None:
    past = history_of(small_world(rng, tightness=(0.05, 0.3)))
    grid = np.linspace(-1.0, 1.0, 5)
    tuned, score = tuned_per_budget(past, FixedLambda("LIN"), "shift", grid, 2, rng)
    np.testing.assert_allclose(day_scores(past, tuned, rng).mean(axis=1), score)
    for shift in grid:
        other = FixedLambda("LIN", shift=PerBudget.of(past.terms, np.full(2, shift)))
        assert (day_scores(past, other, rng).mean(axis=1) <= score).all()


def test_scores_are_those_of_each_day_at_each_budget(rng: np.random.Generator) -> None:
    world = small_world(rng, tightness=(0.05, 0.3))
    rule = FixedLambda("LIN")
    scores = day_scores(world, rule, rng)
    assert scores.shape == (2, world.days.count)
    state = world.initial(6, rng)
    for _ in range(world.days.slots):
        state = world.step(state, rule.control(world, state, rng), rng).state
    np.testing.assert_allclose(state.score, scores[state.level, state.day])


def test_history_is_recognised_when_it_is_played(rng: np.random.Generator) -> None:
    world = small_world(rng)
    assert plays_history(history_of(world))
    assert not plays_history(world)


def test_an_untaught_rule_says_what_to_do() -> None:
    assert known(3, "MPC") == 3
    with pytest.raises(ValueError, match=r"MPC knows no history yet: call tuned\(history, rng\)"):
        known(None, "MPC")
