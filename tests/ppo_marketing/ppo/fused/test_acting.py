from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.fused.acting import Actor
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.normalise import RunningMoments
from ppo_marketing.ppo.rollout import Buffers, begin, collect
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE, MatchingEnv

HEADS = pytest.mark.parametrize(
    ("space", "masked", "squash"),
    [
        (BOX, False, False),
        (BOX, False, True),
        (DISCRETE, False, False),
        (DISCRETE, True, False),
        (MULTI_DISCRETE, True, False),
    ],
)


def an_agent(space: spaces.Space[Any], squash: bool, *, normalise: bool = True) -> Agent:
    rng = np.random.default_rng(1)
    config = PPOConfig(squash_actions=squash, start="random", normalise_observations=normalise)
    agent = Agent.create(spaces.Box(0.0, 1.0, (4,), np.float32), space, config, rng)
    flatten_parameters(agent.parameters())
    if normalise:
        agent.normaliser = RunningMoments.empty(4).updated(rng.normal(0.3, 0.5, (50, 4)))
    return agent


@HEADS
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_a_rollout_is_what_torch_would_have_gathered(
    space: spaces.Space[Any], masked: bool, squash: bool, mode: AutoresetMode
) -> None:
    rollouts = []
    for compiled in (True, False):
        env = MatchingEnv(space, copies=33, masked=masked, truncates=True, autoreset=mode)
        agent = an_agent(space, squash)
        rollouts.append(
            collect(env, agent, begin(env, 1), 9, np.random.default_rng(2), compiled=compiled)[0]
        )
    ours, theirs = rollouts
    np.testing.assert_allclose(ours.action, theirs.action, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.reward, theirs.reward, rtol=1e-5, atol=1e-6)
    for name in ("value", "next_value"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-6)
    for name in ("observation", "terminated", "ended", "valid"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize("rows", [1, 127, 128, 300])
@pytest.mark.parametrize("normalise", [True, False])
def test_values_are_the_agents_for_any_number_of_rows(rows: int, normalise: bool) -> None:
    agent = an_agent(BOX, squash=False, normalise=normalise)
    actor = Actor.of(agent)
    assert actor is not None
    observation = np.random.default_rng(3).normal(0, 20, (rows, 4)).astype(np.float32)
    value = np.empty(rows, np.float32)
    with Crew([1]) as crew:
        actor.value_into(observation, value, crew)
    np.testing.assert_allclose(value, agent.value(observation), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_threads_gives_the_same_values_to_the_last_bit(threads: int) -> None:
    actor = Actor.of(an_agent(BOX, squash=False))
    assert actor is not None
    observation = np.random.default_rng(3).normal(0, 2, (1111, 4)).astype(np.float32)
    values = np.full((2, 1111), np.nan, np.float32)
    for value, shared in zip(values, (1, threads), strict=True):
        with Crew([shared]) as crew:
            actor.value_into(observation, value, crew)
    np.testing.assert_array_equal(*values)


def test_a_policy_that_the_kernels_do_not_know_has_no_actor() -> None:
    agent = an_agent(BOX, squash=False).copy()  # whose parameters share no buffer
    assert Actor.of(agent) is None


def test_a_rollout_in_given_buffers_lies_there_and_equals_one_in_its_own() -> None:
    def rollouts(buffers: Buffers | None) -> list[Any]:
        env, agent = MatchingEnv(DISCRETE, masked=True, truncates=True), an_agent(DISCRETE, False)
        position, rng, seen = begin(env, 1), np.random.default_rng(2), []
        for _ in range(3):
            rollout, position = collect(env, agent, position, 7, rng, buffers=buffers)
            if buffers is not None:
                assert np.shares_memory(rollout.observation, buffers.observation)
                assert np.shares_memory(rollout.reward, buffers.reward)
            seen.append([np.array(v) for v in vars(rollout).values()])
        return seen

    for ours, theirs in zip(rollouts(Buffers(7, 16, 4)), rollouts(None), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
