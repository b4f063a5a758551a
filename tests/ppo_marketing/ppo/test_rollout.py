from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.rollout import Rollout, begin, collect
from tests.support.toy_environments import BOX, DISCRETE, MatchingEnv

Array = npt.NDArray[Any]


class CountingEnv(VectorEnv):
    """Observes how many steps its episode is old; pays that number; ends after `horizon` steps."""

    def __init__(self, autoreset: AutoresetMode | None, horizon: int = 3, copies: int = 2) -> None:
        self.num_envs, self.horizon = copies, horizon
        self.metadata = {} if autoreset is None else {"autoreset_mode": autoreset}
        self.single_observation_space = spaces.Box(0.0, 100.0, (1,), np.float32)
        self.single_action_space = BOX
        self.age = np.zeros(copies)
        self.ending = np.zeros(copies, bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        self.age = np.arange(self.num_envs, dtype=float)  # the copies' episodes end apart
        self.ending = np.zeros(self.num_envs, bool)
        return self.age[:, None].copy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        acting = ~self.ending
        self.age = np.where(acting, self.age + 1, 0.0)
        reward = self.age * acting
        over = acting & (self.age >= self.horizon)
        info: dict[str, Any] = {}
        if self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP:
            final = np.empty(self.num_envs, object)
            final[:] = [
                row if end else None for row, end in zip(self.age[:, None], over, strict=True)
            ]
            if over.any():
                info = {"final_obs": final, "_final_obs": over}
            self.age = np.where(over, 0.0, self.age)
        else:
            self.ending = over
        return self.age[:, None].copy(), reward, over & False, over, info


def gather(env: VectorEnv, steps: int, **settings: Any) -> tuple[Rollout, Agent]:
    defaults: dict[str, Any] = {"normalise_observations": False, "start": "random"}
    config = PPOConfig(**(defaults | settings))
    agent = Agent.create(
        env.single_observation_space, env.single_action_space, config, np.random.default_rng(1)
    )
    rollout, _ = collect(env, agent, begin(env, 5), steps, np.random.default_rng(2))
    return rollout, agent


def test_same_step_rows_carry_the_value_of_the_true_final_state() -> None:
    rollout, agent = gather(CountingEnv(AutoresetMode.SAME_STEP), steps=5)
    assert rollout.observation[:, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert rollout.ended[:, 0].tolist() == [False, False, True, False, False]
    after = agent.value(np.array([[1.0], [2.0], [3.0], [1.0], [2.0]]))
    np.testing.assert_allclose(rollout.next_value[:, 0], after, rtol=1e-5)
    assert rollout.valid.all()


def test_next_step_rows_that_only_reset_are_not_experience() -> None:
    rollout, agent = gather(CountingEnv(AutoresetMode.NEXT_STEP), steps=6)
    assert rollout.observation[:, 0, 0].tolist() == [0, 1, 2, 3, 0, 1]
    assert rollout.valid[:, 0].tolist() == [True, True, True, False, True, True]
    final = agent.value(np.array([[3.0]]))
    np.testing.assert_allclose(rollout.next_value[2, 0], final[0], rtol=1e-5)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_returns_of_finished_episodes_are_whole(mode: AutoresetMode) -> None:
    rollout, _ = gather(CountingEnv(mode), steps=4)
    # Copy 0 earns 1 + 2 + 3; copy 1 began at age 1 and earns 2 + 3.
    assert sorted(rollout.episode_returns.tolist()) == [5.0, 6.0]


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_two_short_rollouts_are_one_long_one(mode: AutoresetMode) -> None:
    def pieces(*lengths: int) -> tuple[Array, Array, Array]:
        env = MatchingEnv(DISCRETE, copies=3, truncates=True, autoreset=mode)
        agent = Agent.create(
            env.single_observation_space, DISCRETE, PPOConfig(), np.random.default_rng(1)
        )
        position, rng = begin(env, 5), np.random.default_rng(2)
        rollouts = []
        for length in lengths:
            rollout, position = collect(env, agent, position, length, rng)
            rollouts.append(rollout)
        return (
            np.concatenate([rollout.reward for rollout in rollouts]),
            np.concatenate([rollout.valid for rollout in rollouts]),
            np.concatenate([rollout.episode_returns for rollout in rollouts]),
        )

    for whole, parts in zip(pieces(10), pieces(5, 5), strict=True):
        np.testing.assert_array_equal(whole, parts)


def test_the_environment_gets_bounded_actions_and_the_rollout_keeps_raw_ones() -> None:
    class Recording(CountingEnv):
        largest = 0.0

        def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
            self.largest = max(self.largest, float(np.abs(actions).max()))
            return super().step(actions)

    env = Recording(AutoresetMode.SAME_STEP)
    rollout, _ = gather(env, steps=50, log_std_initial=1.0)
    assert env.largest == 1.0
    assert np.abs(rollout.action).max() > 1.5


class DirectEnv(MatchingEnv):
    """The same, stepping into the caller's rows; counts how often it is asked to."""

    direct_steps = 0

    def step_into(
        self,
        actions: Array,
        observation: Array,
        reward: Array,
        terminated: Array,
        truncated: Array,
        final_observation: Array,
    ) -> Array | None:
        self.direct_steps += 1
        observation[:], reward[:], terminated[:], truncated[:], info = self.step(actions)
        if "final_obs" in info:
            final_observation[:] = info["final_obs"]
        return info.get("action_mask")


@pytest.mark.parametrize("masked", [False, True])
def test_an_environment_that_steps_into_rows_gives_the_same_rollout(masked: bool) -> None:
    direct = DirectEnv(DISCRETE, masked=masked, truncates=True)
    plain = MatchingEnv(DISCRETE, masked=masked, truncates=True)
    (ours, _), (theirs, _) = gather(direct, steps=11), gather(plain, steps=11)
    assert direct.direct_steps == 11
    for name, array in vars(theirs).items():
        np.testing.assert_array_equal(getattr(ours, name), array, err_msg=name)


def test_a_subclass_that_changes_step_alone_is_not_passed_by() -> None:
    class Doubled(DirectEnv):
        def step(self, actions: Array) -> Any:
            observation, reward, *rest = super().step(actions)
            return (observation, 2.0 * reward, *rest)

    env = Doubled(DISCRETE)
    rollout, _ = gather(env, steps=6)
    assert env.direct_steps == 0
    assert set(np.unique(rollout.reward)) == {0.0, 2.0}


def test_an_environment_that_resets_on_the_next_step_is_stepped_as_any_other() -> None:
    env = DirectEnv(DISCRETE, autoreset=AutoresetMode.NEXT_STEP)
    gather(env, steps=6)
    assert env.direct_steps == 0


def test_every_action_obeys_the_mask_of_its_own_observation() -> None:
    env = MatchingEnv(DISCRETE, copies=32, masked=True)
    rollout, _ = gather(env, steps=40)
    assert rollout.action_mask is not None
    for (mask, action), stored_mask, stored in zip(
        env.chosen, rollout.action_mask, rollout.action, strict=True
    ):
        assert mask[np.arange(32), action].all()
        np.testing.assert_array_equal(mask, stored_mask)
        np.testing.assert_array_equal(action, stored)


def test_a_mask_that_disappears_is_refused() -> None:
    class Forgetful(MatchingEnv):
        def _info(self) -> dict[str, Any]:
            return super()._info() if self.step_number.max() < 2 else {}

    with pytest.raises(UserError, match="always or never"):
        gather(Forgetful(DISCRETE, masked=True), steps=5)


def test_a_missing_final_observation_is_refused() -> None:
    class Careless(CountingEnv):
        def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
            return (*super().step(actions)[:4], {})

    with pytest.raises(UserError, match="final_obs"):
        gather(Careless(AutoresetMode.SAME_STEP), steps=5)


@pytest.mark.parametrize("mode", [None, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode: AutoresetMode | None) -> None:
    with pytest.raises(UserError, match="SAME_STEP"):
        begin(CountingEnv(mode), seed=1)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["reward", "observation"])
def test_numbers_that_are_not_finite_stop_training(broken: float, where: str) -> None:
    class Breaking(CountingEnv):
        def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
            observation, reward, *rest = super().step(actions)
            (reward if where == "reward" else observation)[1] = broken
            return observation, reward, *rest  # type: ignore[return-value]  # mypy loses the arity

    with pytest.raises(TrainingDiverged, match=rf"{where} .* in 1 of 2 copies \(first: 1\)"):
        gather(Breaking(AutoresetMode.SAME_STEP), steps=1)
