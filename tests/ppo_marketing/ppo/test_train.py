"""Training learns, reports every update, keeps what validated best and refuses what cannot be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.rollout import collect
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.train import train
from ppo_marketing.ppo.update import ppo_update
from tests.support.small_trainings import (
    ENGINES,
    SMALL,
    UPDATE_STEPS,
    assert_equal_agents,
    small_training,
)
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE, MatchingEnv


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize(
    ("space", "masked", "squash", "reached"),
    [
        (BOX, False, False, 3.7),
        (BOX, False, True, 3.7),
        (DISCRETE, False, False, 3.9),
        (DISCRETE, True, False, 3.9),
        (MULTI_DISCRETE, True, False, 3.9),
    ],
)
def test_every_head_learns_to_match_its_context(
    space: spaces.Space[Any], masked: bool, squash: bool, reached: float, mode: AutoresetMode
) -> None:
    """The best return is 4; acting at random earns about 1.3 (2 where the mask helps)."""
    config = PPOConfig(squash_actions=squash, gamma=0.5)
    env = MatchingEnv(space, copies=64, masked=masked, truncates=True, autoreset=mode)
    agent = train(env, config, total_steps=30_000, seed=1).agent
    judge = MatchingEnv(space, copies=500, masked=masked)
    observation, info = judge.reset(seed=9)
    total, rng = np.zeros(500), np.random.default_rng(1)
    for _ in range(judge.horizon):
        action = agent.act(observation, rng, info.get("action_mask"), deterministic=True)
        observation, reward, _, _, info = judge.step(action)
        total += reward
    assert total.mean() > reached


def test_cartpole_is_solved_from_gymnasium() -> None:
    config = PPOConfig(
        epochs=20,
        gamma=0.98,
        gae_lambda=0.8,
        entropy_coefficient=0.0,
        start="random",
        normalise_observations=False,
    )
    env = gymnasium.make_vec("CartPole-v1", num_envs=8)  # resets on the next step
    agent = train(env, config, total_steps=50_000, seed=1).agent
    judge = gymnasium.make_vec("CartPole-v1", num_envs=20)
    observation, _ = judge.reset(seed=100)
    alive, total, rng = np.ones(20, bool), np.zeros(20), np.random.default_rng(1)
    while alive.any():
        observation, reward, terminated, truncated, _ = judge.step(
            agent.act(observation, rng, deterministic=True)
        )
        total += reward * alive
        alive &= ~(terminated | truncated)
    assert total.mean() > 450.0


@ENGINES
def test_the_same_seed_gives_the_same_parameters_and_another_does_not(engine: Any) -> None:
    config = replace(SMALL, engine=engine)
    one, same = small_training(config=config), small_training(config=config)
    other = small_training(config=config, seed=2)
    assert_equal_agents(one.agent, same.agent)
    assert (one.agent.value(np.ones((1, 4))) != other.agent.value(np.ones((1, 4)))).all()


def test_nothing_reads_the_global_generators() -> None:
    torch.manual_seed(1)
    one = small_training()
    torch.manual_seed(2)
    assert_equal_agents(one.agent, small_training().agent)


def test_every_update_is_reported_once_with_finite_numbers() -> None:
    rows: list[TrainingRow] = []
    clock = itertools.count(step=0.5).__next__
    result = small_training(on_update=rows.append, clock=clock)
    assert rows == list(result.history)
    assert [row.update for row in rows] == [1, 2, 3, 4, 5, 6]
    # The first rollout only measured the observations, then six were learned from.
    assert [row.steps for row in rows] == [UPDATE_STEPS * count for count in range(2, 8)]
    assert rows[1].steps_per_second == UPDATE_STEPS / 0.5
    for row in rows:
        assert row.learning.first_ratio_deviation == 0.0
        assert all(np.isfinite(list(row.metrics().values())))
        assert {"mean_return", "kl", "clip_fraction", "explained_variance", "steps"} <= set(
            row.metrics()
        )
    assert rows[0].learning_rate == SMALL.learning_rate > rows[-1].learning_rate > 0.0


def test_the_statistics_are_those_of_every_observation_seen() -> None:
    seen: list[Any] = []

    class Watched(MatchingEnv):
        def _observation(self) -> Any:
            observation = super()._observation()
            seen.append(observation)
            return observation

    result = small_training(env=Watched(DISCRETE, horizon=10_000))
    normaliser = result.agent.normaliser
    assert normaliser is not None
    # Each step observes twice, before and after the place of a reset; the last row is not acted on.
    rows = np.concatenate([seen[0], *seen[2::2]][:-1]).astype(np.float64)
    assert normaliser.count == len(rows)
    np.testing.assert_allclose(normaliser.mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(normaliser.variance, rows.var(axis=0), rtol=1e-6)


def test_the_statistics_change_only_between_an_update_and_the_next_rollout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[tuple[str, Any]] = []

    def watched(name: str, function: Any, agent_place: int) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            used.append((name, arguments[agent_place].normaliser))
            return function(*arguments, **named)

        return call

    loop = "ppo_marketing.ppo.train"
    monkeypatch.setattr(f"{loop}.collect", watched("collect", collect, 1))
    monkeypatch.setattr(f"{loop}.ppo_update", watched("update", ppo_update, 0))
    small_training(updates=3)
    measuring, *rest = used
    assert measuring[0] == "collect"
    assert [name for name, _ in rest] == ["collect", "update"] * 3
    for (_, gathered_with), (_, learned_with) in zip(rest[::2], rest[1::2], strict=True):
        assert gathered_with is learned_with
    assert len({id(statistics) for _, statistics in used}) == 4


@pytest.mark.parametrize("scale", ["running", 1e-3])
def test_rewards_a_thousand_times_larger_are_scaled_down(scale: Any) -> None:
    class Rich(MatchingEnv):
        def step(self, actions: Any) -> Any:
            observation, reward, *rest = super().step(actions)
            return (observation, 1000.0 * reward, *rest)

    config = PPOConfig(rollout_steps=8, minibatch_size=32, hidden=(16,), reward_scale=scale)
    result = small_training(env=Rich(DISCRETE), config=config)
    assert result.history[0].learning.value_loss < 20.0
    assert (result.history[0].mean_return or 0.0) > 500.0


def test_the_best_agent_is_the_one_that_validated_best() -> None:
    scores = iter([1.0, 5.0, 3.0, 4.0])
    seen: list[Agent] = []

    def validate(agent: Agent) -> float:
        seen.append(agent.copy())
        return next(scores)

    result = small_training(validate=validate, validate_every=2)
    assert (result.best_score, result.best_update) == (5.0, 2)
    assert_equal_agents(result.best, seen[1])
    scored = [row.validation_score for row in result.history]
    assert scored == [None, 5.0, None, 3.0, None, 4.0]


def test_the_untrained_start_is_a_candidate() -> None:
    falling = itertools.count(step=-1.0)
    result = small_training(validate=lambda agent: next(falling), validate_every=2)
    assert (result.best_score, result.best_update) == (0.0, 0)
    uniform = result.best.log_prob(np.eye(4)[:3], np.arange(3))
    np.testing.assert_allclose(uniform, np.log(1 / 3), rtol=1e-6)


def test_without_validation_the_last_agent_is_the_best() -> None:
    result = small_training()
    assert_equal_agents(result.best, result.agent)
    assert result.best_score is None
    assert result.best_update == 6


def test_training_goes_on_from_a_given_agent_and_leaves_it_alone() -> None:
    start = small_training().agent
    before = start.arrays()
    continued = small_training(updates=1, agent=start)
    np.testing.assert_equal(start.arrays(), before)
    drift = np.abs(continued.agent.arrays()["actor.weights.0"] - before["actor.weights.0"]).max()
    assert 0.0 < drift < 0.1


def test_an_agent_of_another_shape_is_refused() -> None:
    start = small_training().agent
    wider = PPOConfig(rollout_steps=8, minibatch_size=32, hidden=(32,))
    with pytest.raises(UserError, match="does not fit"):
        small_training(config=wider, agent=start)


def test_a_validation_that_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="NaN"):
        small_training(validate=lambda agent: float("nan"))


def test_all_arguments_that_cannot_be_are_listed() -> None:
    with pytest.raises(UserError) as refused:
        small_training(updates=0, config=PPOConfig(rollout_steps=2), validate_every=0)
    for part in ("total_steps is 0", "validate_every is 0", "only 32 rows"):
        assert part in str(refused.value)


def test_torchs_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    small_training(updates=1)
    assert torch.get_num_threads() == before
