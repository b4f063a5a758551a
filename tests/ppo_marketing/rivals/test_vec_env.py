"""The adapter: stable-baselines3 sees the same steps, ends and final observations as we do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.normalise import RunningMoments, normalise
from ppo_marketing.ppo.reward_scale import RewardScale
from ppo_marketing.rivals.learned import permitted
from ppo_marketing.rivals.vec_env import NativeVecEnv
from tests.support.bandit import TwoArms
from tests.support.toy_environments import BOX, DISCRETE, MatchingEnv


def test_it_steps_as_the_native_environment_and_tells_cuts_from_ends() -> None:
    ours, theirs = (MatchingEnv(DISCRETE, copies=5, truncates=True) for _ in range(2))
    adapted: Any = NativeVecEnv(theirs, 7, moments=None)
    expected, _ = ours.reset(seed=7)
    np.testing.assert_array_equal(adapted.reset(), expected)
    cuts = ends = 0
    for step in range(20):
        actions = np.full(5, step % 3)
        observation, reward, terminated, truncated, info = ours.step(actions)
        seen, paid, done, infos = adapted.step(actions)
        np.testing.assert_array_equal(seen, observation)
        np.testing.assert_allclose(paid, reward, rtol=1e-6)
        np.testing.assert_array_equal(done, terminated | truncated)
        for copy in np.flatnonzero(done):
            told = infos[copy]
            np.testing.assert_array_equal(told["terminal_observation"], info["final_obs"][copy])
            assert told["TimeLimit.truncated"] == bool(truncated[copy])
            cuts += bool(truncated[copy])
            ends += bool(terminated[copy])
    assert cuts
    assert ends


def test_observations_are_normalised_by_the_statistics_that_the_policy_keeps() -> None:
    env, plain = (MatchingEnv(BOX, copies=4) for _ in range(2))
    adapted: Any = NativeVecEnv(env, 1, moments=RunningMoments.empty(4))
    adapted.reset()
    observation, _ = plain.reset(seed=1)
    pooled = RunningMoments.empty(4).updated(observation)
    for _ in range(6):
        actions = np.zeros((4, 1), np.float32)
        seen, *_ = adapted.step(actions)
        observation, *_ = plain.step(actions)
        pooled = pooled.updated(observation)
        np.testing.assert_allclose(seen, normalise(observation, pooled), rtol=1e-6)


def test_a_forbidden_choice_becomes_the_first_allowed_one() -> None:
    mask = np.array([[1, 1, 0], [0, 0, 1], [0, 1, 1]], np.int8)
    choice, forbidden = permitted(np.array([2, 0, 2]), mask)
    assert choice.tolist() == [0, 2, 2]
    assert forbidden == 2
    assert permitted(np.array([2]), None) == (np.array([2]), 0)
    env = MatchingEnv(DISCRETE, copies=8, masked=True)
    adapted: Any = NativeVecEnv(env, 0, moments=None)
    adapted.reset()
    for step in range(12):
        adapted.step(np.full(8, step % 3))
    assert len(env.chosen) == 12
    for allowed, action in env.chosen:
        assert (allowed[np.arange(8), action] == 1).all()


def test_rewards_are_scaled_as_our_own_core_scales_them() -> None:
    fixed: Any = NativeVecEnv(MatchingEnv(DISCRETE), 3, moments=None, reward_scale=100.0)
    running: Any = NativeVecEnv(
        MatchingEnv(DISCRETE), 3, moments=None, reward_scale="running", gamma=0.9
    )
    plain = MatchingEnv(DISCRETE)
    scale = RewardScale.empty(16, 0.9)
    for env in (fixed, running):
        env.reset()
    plain.reset(seed=3)
    for _ in range(9):
        actions = np.zeros(16, np.int64)
        _, reward, terminated, truncated, _ = plain.step(actions)
        ended = (terminated | truncated)[None]
        scale = scale.updated(reward[None], ended, np.ones_like(ended))
        np.testing.assert_allclose(fixed.step(actions)[1], 100 * reward, rtol=1e-6)
        np.testing.assert_allclose(running.step(actions)[1], scale.factor * reward, rtol=1e-6)


@pytest.mark.parametrize("chosen", [np.nan, np.inf])
def test_an_action_that_is_not_a_number_stops_the_training(chosen: float) -> None:
    adapted: Any = NativeVecEnv(MatchingEnv(BOX, copies=4), 0, moments=None)
    adapted.reset()
    actions = np.zeros((4, 1), np.float32)
    adapted.step(actions)
    actions[2] = chosen
    with pytest.raises(TrainingDiverged, match="action that is not a finite number"):
        adapted.step(actions)


def test_an_autoreset_without_final_observations_is_refused() -> None:
    env = TwoArms("discrete", 2)
    env.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    with pytest.raises(UserError, match="SAME_STEP"):
        NativeVecEnv(env, 0, moments=None)
