from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from scipy import stats

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.agent import CHUNK_ROWS, Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.normalise import RunningMoments
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,))


def make_agent(action_space: spaces.Space[Any] = BOX, **settings: Any) -> Agent:
    return Agent.create(OBSERVATIONS, action_space, PPOConfig(**settings), np.random.default_rng(7))


def test_starting_at_the_rule_acts_zero_whatever_it_observes(rng: np.random.Generator) -> None:
    observation = rng.normal(scale=100.0, size=(50, 3))
    action = make_agent().act(observation, rng, deterministic=True)
    assert action.tolist() == [[0.0]] * 50


def test_starting_at_the_rule_with_a_bias_acts_that_bias(rng: np.random.Generator) -> None:
    agent = make_agent(start_bias=(0.25,))
    assert agent.act(np.ones((2, 3)), rng, deterministic=True).tolist() == [[0.25], [0.25]]


def test_a_discrete_start_is_uniform_or_prefers_the_rules_action() -> None:
    observation = np.ones((3, 3))
    choices = np.arange(3)
    uniform = make_agent(DISCRETE).log_prob(observation, choices)
    np.testing.assert_allclose(uniform, np.log(1 / 3), rtol=1e-6)
    preferring = make_agent(DISCRETE, start_bias=(0.0, 2.0, 0.0)).log_prob(observation, choices)
    weights = np.exp([0.0, 2.0, 0.0])
    np.testing.assert_allclose(preferring, np.log(weights / weights.sum()), rtol=1e-5)


def test_the_initial_deviation_is_the_configured_one(rng: np.random.Generator) -> None:
    agent = make_agent(spaces.Box(-9.0, 9.0, (1,)), log_std_initial=-1.0)
    action = agent.act(np.zeros((20_000, 3)), rng)
    assert action.std() == pytest.approx(np.exp(-1.0), rel=0.02)


def test_log_prob_of_a_gaussian_is_the_normal_density(rng: np.random.Generator) -> None:
    agent = make_agent(log_std_initial=-1.0)
    action = rng.uniform(-0.9, 0.9, (20, 1))
    expected = stats.norm(0.0, np.exp(-1.0)).logpdf(action[:, 0])
    np.testing.assert_allclose(agent.log_prob(np.ones((20, 3)), action), expected, rtol=1e-4)


def test_log_prob_of_a_squashed_action_integrates_to_one() -> None:
    agent = make_agent(spaces.Box(-2.0, 6.0, (1,)), squash_actions=True)
    grid = np.linspace(-1.999, 5.999, 4001)[:, None]
    density = np.exp(agent.log_prob(np.ones((4001, 3)), grid))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=2e-3)


def test_actions_lie_in_the_space(rng: np.random.Generator) -> None:
    for space in (BOX, DISCRETE, spaces.Discrete(4, start=-1), MULTI_DISCRETE):
        agent = make_agent(space, log_std_initial=2.0)
        for action in agent.act(rng.normal(size=(200, 3)), rng):
            assert space.contains(np.asarray(action, space.dtype))


def test_acting_is_fixed_by_the_generator() -> None:
    agent, observation = make_agent(DISCRETE), np.ones((100, 3))
    first, second = (agent.act(observation, np.random.default_rng(3)) for _ in range(2))
    assert (first == second).all()
    assert (first != agent.act(observation, np.random.default_rng(4))).any()


def test_many_rows_equal_few_rows_at_a_time(rng: np.random.Generator) -> None:
    agent = make_agent(start="random")
    observation = rng.normal(size=(CHUNK_ROWS + 100, 3))
    whole = agent.value(observation)
    pieces = np.concatenate([agent.value(part) for part in np.array_split(observation, 7)])
    np.testing.assert_allclose(whole, pieces, atol=1e-5)


def test_neither_acting_nor_masks_touch_the_statistics(rng: np.random.Generator) -> None:
    agent = make_agent(DISCRETE)
    agent.normaliser = RunningMoments.empty(3).updated(rng.normal(size=(10, 3)))
    before = agent.arrays()
    observation, mask = rng.normal(size=(50, 3)), np.tile([1, 0, 1], (50, 1)).astype(np.int8)
    agent.log_prob(observation, agent.act(observation, rng, mask), mask)
    agent.value(observation)
    for name, array in agent.arrays().items():
        assert (array == before[name]).all()


def test_the_networks_see_normalised_observations(rng: np.random.Generator) -> None:
    agent, plain = make_agent(start="random"), make_agent(start="random")
    rows = rng.normal(40.0, 5.0, size=(30, 3))
    agent.normaliser = RunningMoments.empty(3).updated(rows)
    by_hand = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    np.testing.assert_allclose(agent.value(rows), plain.value(by_hand), atol=1e-5)


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (BOX, {}),
        (BOX, {"squash_actions": True, "hidden": (8,)}),
        (DISCRETE, {"normalise_observations": False}),
        (MULTI_DISCRETE, {"hidden": ()}),
    ],
)
def test_a_copy_acts_alike_and_shares_no_memory(
    space: spaces.Space[Any], settings: dict[str, Any], rng: np.random.Generator
) -> None:
    agent = make_agent(space, start="random", **settings)
    twin = agent.copy()
    observation = rng.normal(size=(20, 3))
    one, other = (a.act(observation, np.random.default_rng(1)) for a in (agent, twin))
    assert (one == other).all()
    for parameter in agent.parameters():
        parameter.data.fill_(0.5)
    assert (twin.value(observation) != agent.value(observation)).all()


def test_arrays_of_another_agent_are_refused_with_what_differs() -> None:
    with pytest.raises(UserError, match=r"actor\.weights\.0: expected \(64, 3\), found \(8, 3\)"):
        make_agent().load_arrays(make_agent(hidden=(8, 8)).arrays())


def test_wrong_inputs_are_refused_with_the_shapes(rng: np.random.Generator) -> None:
    agent, choosing = make_agent(), make_agent(DISCRETE)
    with pytest.raises(UserError, match="leading axis"):
        agent.act(np.ones(3), rng)
    with pytest.raises(UserError, match=r"\(2, 4\) do not fit"):
        agent.value(np.ones((2, 4)))
    with pytest.raises(UserError, match="only choices have masks"):
        agent.act(np.ones((2, 3)), rng, np.ones((2, 1)))
    with pytest.raises(UserError, match=r"must be \[2, 3\]"):
        choosing.act(np.ones((2, 3)), rng, np.ones((2, 4)))
    with pytest.raises(UserError, match="forbids every choice"):
        choosing.act(np.ones((2, 3)), rng, np.zeros((2, 3)))


def test_spaces_that_do_not_fit_are_refused() -> None:
    config, rng = PPOConfig(), np.random.default_rng(0)
    with pytest.raises(UserError, match="observation space"):
        Agent.create(spaces.Discrete(4), BOX, config, rng)
    with pytest.raises(UserError, match="start_bias has 2 numbers"):
        Agent.create(OBSERVATIONS, BOX, PPOConfig(start_bias=(0.0, 1.0)), rng)
