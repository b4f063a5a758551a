from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from ppo_marketing.errors import IntegrityError, Interrupted, TrainingDiverged, UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.rollout import collect
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.signals import StopSignal
from ppo_marketing.ppo.train import TrainResult, train
from ppo_marketing.ppo.update import ppo_update
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE, MatchingEnv

SMALL = PPOConfig(rollout_steps=8, minibatch_size=32, hidden=(16,), reward_scale="running")
UPDATE_STEPS = 8 * 16  # of SMALL on a MatchingEnv of 16 copies


def small_training(updates: int = 6, seed: int = 1, **arguments: Any) -> TrainResult:
    env = arguments.pop("env", None) or MatchingEnv(DISCRETE, masked=True, truncates=True)
    config = arguments.pop("config", SMALL)
    return train(env, config, total_steps=updates * UPDATE_STEPS, seed=seed, **arguments)


def assert_equal_agents(one: Agent, other: Agent) -> None:
    np.testing.assert_equal(one.arrays(), other.arrays())


ENGINES = pytest.mark.parametrize("engine", ["torch", "fused"])


class Stopped(Exception):
    """Raised by a test in the place of a crash."""


def crash_after(update: int) -> Any:
    def on_update(row: TrainingRow) -> None:
        if row.update == update:
            raise Stopped

    return on_update


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


@ENGINES
@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_crash_and_a_restart_end_bit_by_bit_where_no_crash_does(
    every: int, engine: Any, tmp_path: Path
) -> None:
    def scored() -> Any:
        return {
            "validate": lambda agent: float(agent.arrays()["actor.biases.1"].sum()),
            "config": replace(SMALL, engine=engine),
        }

    straight = small_training(validate_every=2, **scored())
    path = tmp_path / "run.ckpt"
    for crash in (1, 3, 5):
        with pytest.raises(Stopped):
            small_training(
                checkpoint=path,
                checkpoint_every=every,
                on_update=crash_after(crash),
                validate_every=2,
                **scored(),
            )
    resumed = small_training(checkpoint=path, checkpoint_every=every, validate_every=2, **scored())
    assert_equal_agents(straight.agent, resumed.agent)
    assert_equal_agents(straight.best, resumed.best)
    assert resumed.best_update == straight.best_update
    for ours, theirs in zip(resumed.history, straight.history, strict=True):
        assert ours.learning == theirs.learning
        assert (ours.steps, ours.mean_return) == (theirs.steps, theirs.mean_return)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("space", [BOX, MULTI_DISCRETE])
@ENGINES
def test_resuming_is_exact_for_every_head_and_autoreset(
    space: spaces.Space[Any], mode: AutoresetMode, engine: Any, tmp_path: Path
) -> None:
    def training(**arguments: Any) -> TrainResult:
        env = MatchingEnv(space, truncates=True, autoreset=mode)
        return small_training(env=env, config=replace(SMALL, engine=engine), **arguments)

    straight = training()
    path = tmp_path / "run.ckpt"
    with pytest.raises(Stopped):
        training(checkpoint=path, checkpoint_every=1, on_update=crash_after(3))
    resumed = training(checkpoint=path)
    assert_equal_agents(straight.agent, resumed.agent)


def test_a_finished_checkpoint_returns_at_once(tmp_path: Path) -> None:
    first = small_training(checkpoint=tmp_path / "run.ckpt")

    def never(row: TrainingRow) -> None:
        raise Stopped

    again = small_training(checkpoint=tmp_path / "run.ckpt", on_update=never)
    assert_equal_agents(first.agent, again.agent)
    assert again.history == first.history


def test_a_checkpoint_of_another_configuration_is_refused_with_what_differs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.ckpt"
    small_training(checkpoint=path)
    other = PPOConfig(
        rollout_steps=8, minibatch_size=32, hidden=(16,), reward_scale="running", max_grad_norm=0.1
    )
    with pytest.raises(UserError) as refused:
        small_training(checkpoint=path, config=other, seed=7)
    assert "max_grad_norm: 0.5 in the checkpoint, 0.1 now" in str(refused.value)
    assert "seed: 1 in the checkpoint, 7 now" in str(refused.value)
    assert "gamma" not in str(refused.value)


def test_another_start_is_refused_where_the_anchor_holds_to_the_start(tmp_path: Path) -> None:
    first, other = (small_training(1, seed).agent for seed in (2, 3))
    anchored = replace(SMALL, anchor=KLAnchor())
    path = tmp_path / "run.ckpt"
    ended = small_training(checkpoint=path, config=anchored, agent=first)
    with pytest.raises(UserError) as refused:
        small_training(checkpoint=path, config=anchored, agent=other)
    differs = f"reference: '{first.sha256()}' in the checkpoint, '{other.sha256()}' now"
    assert differs in str(refused.value)
    again = small_training(checkpoint=path, config=anchored, agent=first)
    assert_equal_agents(ended.agent, again.agent)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    small_training(checkpoint=path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        small_training(checkpoint=path)


@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130)])
def test_a_stop_request_saves_and_says_so(number: int, code: int, tmp_path: Path) -> None:
    stop, path = StopSignal(), tmp_path / "run.ckpt"

    def request(row: TrainingRow) -> None:
        if row.update == 2:
            stop.number = number

    with pytest.raises(Interrupted, match=r"after update 3 of 6.*resumes") as interrupted:
        small_training(checkpoint=path, checkpoint_every=100, on_update=request, stop=stop)
    assert interrupted.value.exit_code == code
    resumed = small_training(checkpoint=path)
    assert_equal_agents(resumed.agent, small_training().agent)


def test_a_stop_without_a_checkpoint_says_that_nothing_was_saved() -> None:
    stop = StopSignal()
    stop.number = 15
    with pytest.raises(Interrupted, match="nothing was saved"):
        small_training(stop=stop)


def test_a_broken_reward_stops_training_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    class Breaking(MatchingEnv):
        steps = 0

        def step(self, actions: Any) -> Any:
            self.steps += 1
            observation, reward, *rest = super().step(actions)
            return (observation, np.full_like(reward, np.nan) if self.steps > 30 else reward, *rest)

    path = tmp_path / "run.ckpt"
    with pytest.raises(TrainingDiverged, match="reward") as diverged:
        small_training(
            env=Breaking(DISCRETE, masked=True, truncates=True), checkpoint=path, checkpoint_every=1
        )
    assert diverged.value.exit_code == 1
    resumed = small_training(checkpoint=path)
    assert_equal_agents(resumed.agent, small_training().agent)


def test_a_validation_that_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="NaN"):
        small_training(validate=lambda agent: float("nan"))


def test_an_environment_without_state_cannot_be_checkpointed(tmp_path: Path) -> None:
    env = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 4)
    config = PPOConfig(rollout_steps=8, minibatch_size=32)
    with pytest.raises(UserError, match=r"SyncVectorEnv has no state_dict\(\)"):
        train(env, config, total_steps=100, seed=1, checkpoint=tmp_path / "run.ckpt")


def test_all_arguments_that_cannot_be_are_listed() -> None:
    with pytest.raises(UserError) as refused:
        small_training(updates=0, config=PPOConfig(rollout_steps=2), validate_every=0)
    for part in ("total_steps is 0", "validate_every is 0", "only 32 rows"):
        assert part in str(refused.value)


def test_torchs_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    small_training(updates=1)
    assert torch.get_num_threads() == before
