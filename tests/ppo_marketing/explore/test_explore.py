"""What is said of a policy is so: policies whose answers are known on paper."""

from __future__ import annotations

import numpy as np
import pytest

from envs.core.words import ActionWords, StateVariable, Words
from envs.core.world import Array
from ppo_marketing.errors import UserError
from ppo_marketing.explore.answers import Answers
from ppo_marketing.explore.beside import side_by_side, widest_gaps
from ppo_marketing.explore.cases import Cases, seen_values
from ppo_marketing.explore.flip import smallest_flips
from ppo_marketing.explore.heat_map import heat_map
from ppo_marketing.explore.importance import permutation_importance
from ppo_marketing.explore.inspector import inspect, nearest
from ppo_marketing.explore.mix import mix_by_segment, mix_over_time
from ppo_marketing.explore.surrogate import surrogate_tree


def number(name: str, column: int) -> StateVariable:
    return StateVariable(name=name, label=name.upper(), help="a number", columns=(column,))


A, B, C = number("a", 0), number("b", 1), number("c", 2)
KIND = StateVariable(
    name="kind", label="Kind", help="who it is", columns=(2,), levels=("regular", "new")
)
CHOICES = Words(
    variables=(A, B, C), action=ActionWords(label="Choice", help="", choices=("left", "right"))
)
AMOUNTS = Words(variables=(A, B, C), action=ActionWords(label="Bid", help="", unit="x"))


def certain(choice: Array, actions: int = 2) -> Answers:
    number = np.asarray(choice, np.int64)
    return Answers(number.astype(np.float64), np.eye(actions)[number])


def by_sum(observation: Array, mask: Array | None) -> Answers:
    """Right where 2 a + b > 1; c is never looked at."""
    right = (2 * observation[:, 0] + observation[:, 1] > 1).astype(int)
    if mask is not None:
        right = np.where(mask[np.arange(len(right)), right], right, 1 - right)
    return certain(right)


def twice_a(observation: Array, mask: Array | None) -> Answers:
    amount = np.asarray(2.0 * observation[:, 0], np.float64)
    return Answers(amount, None, amount, amount)


@pytest.fixture
def states(rng: np.random.Generator) -> Array:
    return rng.uniform(-2, 2, (400, 3)).astype(np.float32)


def test_the_heat_map_shows_the_line_where_the_choice_turns(states: Array) -> None:
    found = heat_map(by_sum, CHOICES, states, None, "a", "b", seen=states, points=21)
    assert found.value.shape == (21, 21)
    expected = 2 * found.x_values[None, :] + found.y_values[:, None] > 1
    clear = np.abs(2 * found.x_values[None, :] + found.y_values[:, None] - 1) > 1e-3
    np.testing.assert_array_equal(found.value[clear], expected[clear])
    np.testing.assert_array_equal(found.certainty, np.ones((21, 21)))
    assert found.met.sum() == len(states)


def test_averaging_gives_the_mean_over_the_other_variables_and_holding_the_one_state() -> None:
    states = np.array([[0, 0, 1], [0, 0, 3]], np.float32)

    def a_times_c(observation: Array, mask: Array | None) -> Answers:
        return Answers(np.asarray(observation[:, 0] * observation[:, 2], np.float64))

    seen = np.array([[0, 0, 0], [1, 1, 0]], np.float32)
    averaged = heat_map(a_times_c, AMOUNTS, states, None, "a", "b", seen=seen)
    held = heat_map(a_times_c, AMOUNTS, states, None, "a", "b", seen=seen, row=1)
    np.testing.assert_allclose(averaged.value, [[0, 2], [0, 2]])
    np.testing.assert_allclose(held.value, [[0, 3], [0, 3]])
    assert np.isnan(held.certainty).all()


def test_a_picture_of_one_variable_against_itself_is_refused(states: Array) -> None:
    with pytest.raises(UserError, match="choose two different"):
        heat_map(by_sum, CHOICES, states, None, "a", "a", seen=states)


def test_the_smallest_flip_is_the_distance_to_the_boundary(states: Array) -> None:
    here = np.zeros(3, np.float32)
    found = smallest_flips(by_sum, CHOICES, here, None, seen=states)
    # 2 a > 1 at a = 1/2 and b > 1 at b = 1: in deviations a is twice as near; c flips nothing.
    assert [flip.changes[0].variable.name for flip in found] == ["a", "b"]
    assert found[0].changes[0].to == pytest.approx(0.5, abs=1e-3)
    assert found[1].changes[0].to == pytest.approx(1.0, abs=1e-3)
    assert found[0].size == pytest.approx(0.5 / states[:, 0].std(), rel=1e-2)
    assert (found[0].before, found[0].after) == (0.0, 1.0)


def test_a_flip_never_leaves_what_has_been_seen(states: Array) -> None:
    narrow = states * np.float32(0.2)  # |a|, |b| <= .4: 2 a + b stays below 1.2, above 1 by both
    found = smallest_flips(by_sum, CHOICES, np.zeros(3, np.float32), None, seen=narrow)
    assert all(len(flip.changes) == 2 for flip in found), "no variable does it alone"
    assert {one.variable.name for one in found[0].changes} == {"a", "b"}
    tiny = states * np.float32(0.1)
    assert smallest_flips(by_sum, CHOICES, np.zeros(3, np.float32), None, seen=tiny) == ()


def test_an_amount_flips_where_it_has_moved_by_a_tenth(states: Array) -> None:
    found = smallest_flips(twice_a, AMOUNTS, np.ones(3, np.float32), None, seen=states)
    assert [flip.changes[0].variable.name for flip in found] == ["a"]
    assert abs(found[0].changes[0].to - 1.0) == pytest.approx(0.1, abs=1e-3)


def test_shuffling_what_the_policy_ignores_changes_nothing(states: Array) -> None:
    rng = np.random.default_rng(0)
    found = {one.variable.name: one for one in
             permutation_importance(by_sum, CHOICES, states, None, rng)}  # fmt: skip
    assert found["c"].change == 0.0
    assert found["a"].change > found["b"].change > 0.05


def test_importance_of_a_coin_that_decides_all_is_a_half() -> None:
    states = np.zeros((2000, 3), np.float32)
    states[::2, 0] = 1.0  # half and half, and nothing else: another state's is the same in half
    rng = np.random.default_rng(0)
    found = permutation_importance(by_sum, CHOICES, states, None, rng)
    assert found[0].variable.name == "a"
    assert found[0].change == pytest.approx(0.5, abs=0.03)
    assert [one.change for one in found[1:]] == [0.0, 0.0]


def test_the_surrogate_of_a_threshold_is_that_threshold(states: Array) -> None:
    answers = certain((states[:, 1] > 0.25).astype(int))
    found = surrogate_tree(answers, CHOICES, states, np.arange(400) // 4, depth=2)
    assert found.fidelity > 0.97
    assert found.held_out == 200
    assert 0.5 <= found.baseline < 0.65
    assert {leaf.action for leaf in found.leaves} == {"left", "right"}
    assert all("B " in leaf.conditions[0] for leaf in found.leaves)
    assert sum(leaf.share for leaf in found.leaves) == pytest.approx(1.0)


def test_the_surrogate_of_noise_has_no_fidelity_beyond_guessing(states: Array) -> None:
    noise = certain(np.random.default_rng(1).integers(0, 2, 400))
    found = surrogate_tree(noise, CHOICES, states, np.arange(400))
    assert found.fidelity < found.baseline + 0.08


def test_the_surrogate_of_an_amount_is_scored_by_explained_variance(states: Array) -> None:
    step = np.where(states[:, 0] > 0, 2.0, 1.0)
    found = surrogate_tree(Answers(step), AMOUNTS, states, np.arange(400) // 4, depth=1)
    assert found.fidelity == pytest.approx(1.0, abs=0.05)
    assert {leaf.action for leaf in found.leaves} == {"1 x", "2 x"}


def test_too_few_states_make_no_tree(states: Array) -> None:
    with pytest.raises(UserError, match="too few for a tree"):
        surrogate_tree(certain(np.zeros(400)), CHOICES, states, np.zeros(400, np.int64))


def test_levels_speak_in_the_rules_of_a_tree(rng: np.random.Generator) -> None:
    states = np.zeros((100, 3), np.float32)
    states[:, 2] = rng.integers(0, 2, 100)
    words = Words(variables=(A, B, KIND), action=CHOICES.action)
    found = surrogate_tree(certain(states[:, 2]), words, states, np.arange(100))
    assert {leaf.conditions for leaf in found.leaves} == {
        ("Kind is regular",), ("Kind is new",),
    }  # fmt: skip


def test_the_mix_over_time_counts_what_is_done_in_each_step() -> None:
    step = np.array([0, 0, 1, 1, 1, 1])
    found = mix_over_time(certain(np.array([0, 1, 1, 1, 1, 0])), step, horizon=2)
    assert found.groups == ("1", "2")
    np.testing.assert_array_equal(found.count, [2, 4])
    assert found.share is not None
    np.testing.assert_allclose(found.share, [[0.5, 0.5], [0.25, 0.75]])


def test_many_steps_are_put_together() -> None:
    step = np.arange(48)
    found = mix_over_time(Answers(step.astype(float)), step, horizon=48)
    assert found.groups[:2] == ("1–4", "5–8")
    assert found.quantiles is not None
    np.testing.assert_allclose(found.quantiles[:, 2], 1.5 + 4 * np.arange(12))


def test_segments_are_levels_or_fifths() -> None:
    observation = np.zeros((100, 3), np.float32)
    observation[:, 0] = np.arange(100)
    observation[:40, 2] = 1.0
    by_level = mix_by_segment(certain(observation[:, 2]), KIND, observation)
    assert by_level.groups == ("regular", "new")
    np.testing.assert_array_equal(by_level.count, [40, 60])
    by_fifth = mix_by_segment(Answers(observation[:, 0].astype(float)), A, observation)
    np.testing.assert_array_equal(by_fifth.count, [20, 20, 20, 20, 20])


def test_two_deciders_are_compared_state_by_state() -> None:
    mine, other = certain(np.array([0, 0, 1, 1])), certain(np.array([0, 1, 1, 0]))
    found = side_by_side(mine, other, CHOICES)
    assert found.agreement == 0.5
    assert {(f.origin, f.target, f.share) for f in found.flows} == {
        ("left", "left", 0.25), ("right", "left", 0.25), ("right", "right", 0.25),
        ("left", "right", 0.25),
    }  # fmt: skip


def test_amounts_are_compared_by_their_ratio() -> None:
    mine = Answers(np.array([1.0, 2.0, 3.0, 5.0]))
    other = Answers(np.array([1.0, 1.0, 6.0, 0.0]))
    found = side_by_side(mine, other, AMOUNTS)
    assert found.ratio == 1.0
    shares = {flow.target: flow.share for flow in found.flows}
    assert shares == {
        "as much": 0.25, "more": 0.25, "less": 0.25, "something, where it sets nothing": 0.25,
    }  # fmt: skip


def test_the_widest_gap_comes_first() -> None:
    step = np.array([0, 0, 1, 1])
    mine = mix_over_time(certain(np.array([0, 0, 1, 1])), step, 2)
    other = mix_over_time(certain(np.array([0, 0, 0, 0])), step, 2)
    assert widest_gaps(mine, other) == (("2", 1.0), ("1", 0.0))


def cases_of(observation: Array) -> Cases:
    done = np.arange(len(observation), dtype=np.float64) % 2
    return Cases("a log", observation, None, done, np.ones(len(observation)))


def test_neighbours_are_ordered_by_distance_in_deviations() -> None:
    observation = np.array([[0, 0, 0], [1, 0, 0], [0, 3, 0], [4, 0, 0]], np.float32)
    found = nearest(CHOICES, np.zeros(3, np.float32), cases_of(observation), 3)
    a, b = observation[:, 0].std(), observation[:, 1].std()
    np.testing.assert_allclose(
        [one.distance for one in found], sorted([0.0, 1 / a, 3 / b, 4 / a])[:3]
    )
    assert found[0].done == "left"


def test_an_inspection_says_what_would_be_done_and_what_is_not_allowed(states: Array) -> None:
    here = np.array([1, 0, 9], np.float32)
    found = inspect(by_sum, CHOICES, here, np.array([True, False]), cases_of(states))
    assert found.action == "left", "right is not allowed"
    assert {(o.choice, o.allowed, o.why_not) for o in found.options} == {
        ("left", True, ""), ("right", False, "not allowed here"),
    }  # fmt: skip
    assert [one.name for one in found.outside] == ["c"]
    assert found.amount is None


def test_an_amount_is_inspected_with_its_range(states: Array) -> None:
    found = inspect(twice_a, AMOUNTS, np.ones(3, np.float32), None, cases_of(states))
    assert (found.action, found.amount, found.options) == ("2 x", 2.0, ())
    assert found.outside == ()


def test_values_are_divided_evenly_between_the_least_and_the_most_seen(states: Array) -> None:
    values = seen_values(A, states, 5)
    np.testing.assert_allclose(np.diff(values), np.ptp(states[:, 0]) / 4, rtol=1e-5)
    ratio = StateVariable(name="r", label="r", help="", columns=(0,), logarithmic=True)
    by_ratio = seen_values(ratio, states, 5)
    np.testing.assert_allclose(np.diff(np.log(by_ratio)), np.ptp(states[:, 0]) / 4, rtol=1e-5)
    np.testing.assert_array_equal(seen_values(KIND, np.eye(3, dtype=np.float32)), [0, 1])
