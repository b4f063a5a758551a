"""A training that was stopped or crashed ends where an undisturbed one does, or says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from ppo_marketing.errors import IntegrityError, Interrupted, TrainingDiverged, UserError
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.signals import StopSignal
from ppo_marketing.ppo.train import TrainResult, train
from tests.support.small_trainings import (
    ENGINES,
    SMALL,
    assert_equal_agents,
    small_training,
)
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE, MatchingEnv


class Stopped(Exception):
    """Raised by a test in the place of a crash."""


def crash_after(update: int) -> Any:
    def on_update(row: TrainingRow) -> None:
        if row.update == update:
            raise Stopped

    return on_update


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


def test_an_environment_without_state_cannot_be_checkpointed(tmp_path: Path) -> None:
    env = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 4)
    config = PPOConfig(rollout_steps=8, minibatch_size=32)
    with pytest.raises(UserError, match=r"SyncVectorEnv has no state_dict\(\)"):
        train(env, config, total_steps=100, seed=1, checkpoint=tmp_path / "run.ckpt")
