"""A native Gymnasium vector environment in the form that stable-baselines3 steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.normalise import RunningMoments, normalise
from ppo_marketing.ppo.reward_scale import RewardScale
from ppo_marketing.rivals.learned import Array, permitted


class NativeVecEnv(VecEnv):  # type: ignore[misc] # the library is not read by mypy
    """One call steps every copy; the first reset is seeded, a forbidden choice is `permitted`.

    `moments` are the running statistics that observations are normalised by, begun with what was
    seen before; None where they are not. Rewards are multiplied by `reward_scale`, a number or
    "running", as our own core does it.

    Raises:
        UserError: the environment's autoreset is not SAME_STEP.
    """

    def __init__(
        self,
        env: VectorEnv,
        seed: int,
        *,
        moments: RunningMoments | None,
        reward_scale: float | Literal["running"] = 1.0,
        gamma: float = 0.99,
    ) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise UserError(
                f"the environment's autoreset is {mode!r}; these algorithms need "
                "AutoresetMode.SAME_STEP, whose final observations they are given"
            )
        self._env = env
        self._seed: int | None = seed
        self._actions: Array = np.empty(0)
        self._mask: Array | None = None
        self.moments = moments
        self._factor = 1.0 if reward_scale == "running" else reward_scale
        self._scale = RewardScale.empty(env.num_envs, gamma) if reward_scale == "running" else None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Array:
        """Start every copy anew."""
        observation, info = self._env.reset(seed=self._seed)
        self._mask = info.get("action_mask")
        self._seed = None
        return self._seen(observation)

    def step_async(self, actions: Array) -> None:
        """Keep the actions for `step_wait`.

        Raises:
            TrainingDiverged: an action is not a finite number.
        """
        if not np.isfinite(actions).all():
            raise TrainingDiverged("the policy chose an action that is not a finite number")
        self._actions = actions

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """Step every copy; ended ones report their last observation and whether they were cut."""
        actions, _ = permitted(self._actions, self._mask)
        observation, reward, terminated, truncated, info = self._env.step(actions)
        self._mask = info.get("action_mask")
        if not np.isfinite(reward).all():
            raise TrainingDiverged("the environment gave a reward that is not a finite number")
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            final = self._scaled(info["final_obs"])
            for copy in np.flatnonzero(ended):
                infos[copy] = {
                    "terminal_observation": final[copy],
                    "TimeLimit.truncated": bool(truncated[copy] and not terminated[copy]),
                }
        paid = self._paid(reward, ended)
        return self._seen(observation), paid, ended, infos

    def _paid(self, reward: Array, ended: Array) -> Array:
        if self._scale is not None:
            valid = np.ones((1, self.num_envs), np.bool_)
            self._scale = self._scale.updated(reward[None], ended[None], valid)
            self._factor = self._scale.factor
        return np.asarray(reward * self._factor, np.float32)

    def _seen(self, observation: Array) -> Array:
        if self.moments is not None:
            self.moments = self.moments.updated(observation)
        return self._scaled(observation)

    def _scaled(self, observation: Array) -> Array:
        if self.moments is None:
            return np.asarray(observation, np.float32)
        return normalise(observation, self.moments)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset."""
        self._seed = seed
        return [seed] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The copies share one environment and so its attributes; None where there is none."""
        return [getattr(self._env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing in a native environment belongs to one copy alone."""
        raise NotImplementedError(f"{attr_name}: the copies are one environment")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Nothing in a native environment belongs to one copy alone."""
        raise NotImplementedError(f"{method_name}: the copies are one environment")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No copy has wrappers of its own."""
        return [False] * self.num_envs
