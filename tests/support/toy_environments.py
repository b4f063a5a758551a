"""Tiny native vector environments whose best policy is known on paper, with exact state."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

Array = npt.NDArray[Any]

CONTEXTS = 3


def matching_score(action_space: spaces.Space[Any], context: Array, action: Array) -> Array:
    """Reward in [0, 1]: 1 where the action answers the context, shape [N]."""
    if isinstance(action_space, spaces.Box):
        target = (context - 1.0) * 0.5  # -0.5, 0, 0.5
        return np.asarray(1.0 - (action[:, 0] - target) ** 2)
    if isinstance(action_space, spaces.Discrete):
        matches: Array = np.asarray(action - action_space.start == context, np.float64)
        return matches
    return np.asarray((action == np.stack([context, 2 - context], axis=1)).mean(axis=1))


class MatchingEnv(VectorEnv):
    """Each step shows one of three contexts, one-hot, and pays for the action that matches it.

    Episodes end after `horizon` steps, alternately by termination and by truncation when
    `truncates`. The last observation feature is the share of the episode that is over.
    """

    def __init__(
        self,
        action_space: spaces.Space[Any],
        *,
        copies: int = 16,
        horizon: int = 4,
        masked: bool = False,
        truncates: bool = False,
        autoreset: AutoresetMode = AutoresetMode.SAME_STEP,
    ) -> None:
        self.num_envs = copies
        self.metadata = {"autoreset_mode": autoreset}
        self.single_observation_space = spaces.Box(0.0, 1.0, (CONTEXTS + 1,), np.float32)
        self.single_action_space = action_space
        self.horizon = horizon
        self.masked = masked
        self.truncates = truncates
        self.generator = np.random.default_rng(0)
        self.context = np.zeros(copies, np.int64)
        self.step_number = np.zeros(copies, np.int64)
        self.episode = np.zeros(copies, np.int64)
        self.ending = np.zeros(copies, np.bool_)
        self.chosen: list[tuple[Array, Array]] = []  # (mask, action) of every masked step

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        self.generator = np.random.default_rng(seed if isinstance(seed, int) else None)
        everyone = np.ones(self.num_envs, np.bool_)
        self._begin(everyone)
        self.episode[:] = 0
        self.ending[:] = False
        return self._observation(), self._info()

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        if self.masked:
            self.chosen.append((self._mask(), np.array(actions)))
        acting = ~self.ending
        reward = matching_score(self.single_action_space, self.context, actions) * acting
        self.step_number += acting
        over = acting & (self.step_number >= self.horizon)
        cut = over & (self.episode % 2 == 1) if self.truncates else np.zeros_like(over)
        self.episode += over
        self.context = self.generator.integers(0, CONTEXTS, self.num_envs)
        final = self._observation()
        info: dict[str, Any] = {}
        if self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP:
            if over.any():
                info = {"final_obs": final, "_final_obs": over}
            self._begin(over)
        else:
            self._begin(self.ending)
            self.ending = over
        return self._observation(), reward, over & ~cut, cut, info | self._info()

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.bit_generator.state,
            "context": self.context.copy(),
            "step_number": self.step_number.copy(),
            "episode": self.episode.copy(),
            "ending": self.ending.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.bit_generator.state = state["generator"]
        self.context = state["context"].copy()
        self.step_number = state["step_number"].copy()
        self.episode = state["episode"].copy()
        self.ending = state["ending"].copy()

    def _begin(self, copies: Array) -> None:
        fresh = self.generator.integers(0, CONTEXTS, self.num_envs)
        self.context = np.where(copies, fresh, self.context)
        self.step_number[copies] = 0

    def _observation(self) -> Array:
        done_share = self.step_number[:, None] / self.horizon
        return np.concatenate([np.eye(CONTEXTS)[self.context], done_share], axis=1).astype(
            np.float32
        )

    def _mask(self) -> Array:
        """Forbid one wrong choice of every component: 1 where a choice is allowed."""
        answers = [self.context, 2 - self.context]
        if isinstance(self.single_action_space, spaces.Discrete):
            answers = answers[:1]
        allowed = [np.arange(CONTEXTS) != (answer[:, None] + 1) % CONTEXTS for answer in answers]
        return np.concatenate(allowed, axis=1).astype(np.int8)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._mask()} if self.masked else {}


BOX = spaces.Box(-1.0, 1.0, (1,), np.float32)
DISCRETE = spaces.Discrete(CONTEXTS)
MULTI_DISCRETE = spaces.MultiDiscrete([CONTEXTS, CONTEXTS])
