"""The ONNX graph is the agent: what it answers, what it refuses, how it is written."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.external_data_helper
import pytest

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.export.agent_answers import agents_answer
from ppo_marketing.export.bundle import schema_of
from ppo_marketing.export.constants import require_finite_constants
from ppo_marketing.export.golden import TOLERANCE, disagreements
from ppo_marketing.export.graph import policy_graph
from ppo_marketing.export.onnx_policy import OnnxPolicy
from ppo_marketing.ppo.agent import Agent
from tests.support.agents import KINDS, agent_of, states


def exported(agent: Agent) -> OnnxPolicy:
    return OnnxPolicy(policy_graph(agent), schema_of(agent, {}))


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_answers_ten_thousand_states_as_the_agent_does(kind: str) -> None:
    agent = agent_of(kind)
    observation, mask = states(agent, 10_000)
    found, wanted = (
        exported(agent).answer(observation, mask),
        agents_answer(agent, observation, mask),
    )
    assert disagreements(found, wanted, schema_of(agent, {})["action"], TOLERANCE) == []
    if wanted.probability is None:
        assert np.abs(found.action - wanted.action).max() < 1e-6
    else:
        assert found.probability is not None
        assert np.abs(found.probability - wanted.probability).max() < 1e-6
        assert (found.action == wanted.action).mean() > 0.999  # the rest are ties of the last digit
    assert found.action.dtype == wanted.action.dtype
    assert found.action.shape == wanted.action.shape


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_and_no_mask_are_answered_as_among_many(kind: str) -> None:
    agent = agent_of(kind)
    policy = exported(agent)
    observation, _ = states(agent, 5)
    together = policy.answer(observation)
    for row in range(5):
        alone = policy.answer(observation[row : row + 1])
        np.testing.assert_allclose(alone.score[0], together.score[row], atol=1e-5)
    assert (
        disagreements(together, agents_answer(agent, observation), schema_of(agent, {})["action"])
        == []
    )


def test_a_forbidden_choice_is_never_made_however_likely() -> None:
    agent = agent_of("choices")
    policy = exported(agent)
    observation, _ = states(agent, 200)
    rng = np.random.default_rng(0)
    favourite = policy.act(observation, rng, deterministic=True) - 2
    mask = np.ones((200, 7), bool)
    mask[np.arange(200), favourite] = False
    assert not (policy.act(observation, rng, mask, deterministic=True) - 2 == favourite).any()
    assert not (policy.act(observation, rng, mask) - 2 == favourite).any()


@pytest.mark.parametrize("kind", ["choices", "several choices", "items by features"])
def test_log_probabilities_are_the_agents(kind: str) -> None:
    agent = agent_of(kind)
    observation, mask = states(agent, 300)
    action = agent.act(observation, np.random.default_rng(3), mask)
    np.testing.assert_allclose(
        exported(agent).log_prob(observation, action, mask),
        agent.log_prob(observation, action, mask),
        atol=2e-5,
    )


def test_the_density_of_an_amount_is_the_agents() -> None:
    agent = agent_of("amounts without bounds")
    observation, _ = states(agent, 300)
    action = agent.act(observation, np.random.default_rng(3))
    np.testing.assert_allclose(
        exported(agent).log_prob(observation, action),
        agent.log_prob(observation, action),
        atol=1e-4,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_the_agents_with_the_same_noise(kind: str) -> None:
    agent = agent_of(kind)
    observation, mask = states(agent, 500)
    ours = exported(agent).act(observation, np.random.default_rng(9), mask)
    theirs = agent.act(observation, np.random.default_rng(9), mask)
    close = np.isclose(np.asarray(ours, float), np.asarray(theirs, float), atol=1e-5)
    assert close.mean() > 0.99


def test_equal_policies_are_equal_files() -> None:
    assert policy_graph(agent_of("choices")) == policy_graph(agent_of("choices"))
    assert policy_graph(agent_of("choices")) != policy_graph(agent_of("choices", seed=1))


def test_observations_that_are_no_numbers_are_refused_not_answered() -> None:
    agent = agent_of("choices")
    observation, _ = states(agent, 3)
    observation[1, 4] = np.nan
    with pytest.raises(UserError, match="1 of 3 observations"):
        exported(agent).answer(observation)


def test_shapes_that_do_not_fit_are_refused() -> None:
    policy = exported(agent_of("choices"))
    observation, mask = states(agent_of("choices"), 3)
    with pytest.raises(UserError, match=r"\[n, 16\]"):
        policy.answer(observation[:, :15])
    with pytest.raises(UserError, match=r"\[3, 7\]"):
        policy.answer(observation, mask[:, :6])
    with pytest.raises(UserError, match="forbids every choice in 1 of 3"):
        policy.answer(observation, np.array([[True] * 7, [False] * 7, [True] * 7]))
    with pytest.raises(UserError, match="only choices"):
        exported(agent_of("amounts, clipped")).answer(observation, mask)


def test_a_policy_that_is_not_finite_is_not_exported() -> None:
    agent = agent_of("choices")
    arrays = agent.arrays()
    arrays["actor.weights.0"][0, 0] = np.nan
    agent.load_arrays(arrays)
    with pytest.raises(UserError, match=r"actor\.weights\.0"):
        policy_graph(agent)


def test_constants_that_are_not_finite_are_named() -> None:
    model = policy_graph(agent_of("choices", hidden=()))
    require_finite_constants(model)
    weight = agent_of("choices", hidden=()).arrays()["actor.weights.0"].tobytes()
    assert weight[:4] in model
    broken = model.replace(weight[:4], np.float32("inf").tobytes(), 1)
    with pytest.raises(UserError, match="weight0"):
        require_finite_constants(broken)


def test_constants_in_other_files_are_refused() -> None:
    model = onnx.ModelProto()
    model.ParseFromString(policy_graph(agent_of("choices")))
    constant = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(constant, "/etc/passwd")
    with pytest.raises(UserError, match=f"in other files: {constant.name}"):
        require_finite_constants(model.SerializeToString())


def test_what_is_no_model_is_an_integrity_error() -> None:
    with pytest.raises(IntegrityError):
        OnnxPolicy(b"not a model", schema_of(agent_of("choices"), {}))
