"""Trainings of milliseconds, for tests of everything around an update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.train import TrainResult, train
from tests.support.toy_environments import DISCRETE, MatchingEnv

SMALL = PPOConfig(rollout_steps=8, minibatch_size=32, hidden=(16,), reward_scale="running")
UPDATE_STEPS = 8 * 16  # of SMALL on a MatchingEnv of 16 copies

ENGINES = pytest.mark.parametrize("engine", ["torch", "fused"])


def small_training(updates: int = 6, seed: int = 1, **arguments: Any) -> TrainResult:
    env = arguments.pop("env", None) or MatchingEnv(DISCRETE, masked=True, truncates=True)
    config = arguments.pop("config", SMALL)
    return train(env, config, total_steps=updates * UPDATE_STEPS, seed=seed, **arguments)


def assert_equal_agents(one: Agent, other: Agent) -> None:
    np.testing.assert_equal(one.arrays(), other.arrays())
