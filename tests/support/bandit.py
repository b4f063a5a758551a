"""A bandit with two arms, as choices or as the two halves of a Box: one pays 1, the other 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

Array = npt.NDArray[Any]


class TwoArms(VectorEnv):
    """Episodes of one step; the second arm, or an action above zero, is the one that pays."""

    def __init__(self, form: str, copies: int, *, truncates: bool = False) -> None:
        self.num_envs = copies
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.single_action_space = (
            spaces.Discrete(2) if form == "discrete" else spaces.Box(-1.0, 1.0, (1,), np.float32)
        )
        self.truncates = truncates
        self.pulled = 0

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        return self._observation(0.5), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        self.pulled += self.num_envs
        reward = (np.asarray(actions).reshape(self.num_envs) > 0).astype(np.float64)
        over, not_over = np.ones(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        info = {"final_obs": self._observation(1.0), "_final_obs": over}
        ends = (not_over, over) if self.truncates else (over, not_over)
        return self._observation(0.5), reward, *ends, info

    def _observation(self, value: float) -> Array:
        return np.full((self.num_envs, 1), value, np.float32)
