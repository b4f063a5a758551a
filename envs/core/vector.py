"""The one native Gymnasium vector environment, over the batched dynamics of any World."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.random import Generator

from envs.core.env import checked_actions, chosen_world
from envs.core.forms import Form
from envs.core.world import (
    Array,
    CompiledWorld,
    HindsightWorld,
    StepBuffers,
    World,
    replace_rows,
)


class WorldVectorEnv(gymnasium.vector.VectorEnv[Array, Array, Array]):
    """`num_envs` copies of a world, stepped by one call on arrays; SAME_STEP autoreset.

    `infos["final_obs"]` holds the last observation of the copies in `infos["_final_obs"]`;
    `infos["kpis"]` the amounts of this step, `{name: [n]}`; `infos["action_mask"]` the allowed
    actions where the world has masks. The arrays returned are new in every step unless `reuse` is
    set, in which case they are overwritten by the next step. `actions` is as for `WorldEnv`.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        world: World[Any] | None = None,
        num_envs: int = 1,
        *,
        reuse: bool = False,
        actions: Form = "own",
        **options: Any,
    ) -> None:
        self.world = world = chosen_world(world, self.world_of, actions, options)
        self.num_envs = num_envs
        self.single_observation_space = world.observation_space
        self.single_action_space = world.action_space
        self.observation_space = batch_space(world.observation_space, num_envs)
        self.action_space = batch_space(world.action_space, num_envs)
        self.reuse = reuse
        self._state: Any = None
        self._compiled = world if isinstance(world, CompiledWorld) else None
        self._buffers = self._new_buffers()

    @staticmethod
    def world_of(**options: Any) -> World[Any]:
        """The world that `gymnasium.make_vec(id, **options)` asks for."""
        raise NotImplementedError("give a world, or use a decision's own environment")

    def _new_buffers(self) -> StepBuffers:
        n, shape = self.num_envs, self.world.observation_space.shape
        names = self._compiled.kpi_names if self._compiled else ()
        return StepBuffers(
            observation=np.empty((n, *shape), np.float32),
            reward=np.empty(n),
            terminated=np.empty(n, np.bool_),
            truncated=np.empty(n, np.bool_),
            final_observation=np.zeros((n, *shape), np.float32),
            kpi=np.empty((n, len(names))),
        )

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start every copy anew; one `seed` seeds the generator that all copies draw from."""
        first = seed[0] if isinstance(seed, list) else seed
        super().reset(seed=first, options=options)
        if first is not None or self._np_random is None:
            self._np_random = np.random.default_rng(first)
        self._state = self.world.initial(self.num_envs, self._rng)
        observation = self.world.observe(self._state)
        return observation, self._masked({})

    @property
    def _rng(self) -> Generator:
        assert self._np_random is not None, "reset comes first"
        return self._np_random

    def _masked(self, info: dict[str, Any]) -> dict[str, Any]:
        mask = self.world.action_mask(self._state)
        if mask is not None:
            info["action_mask"] = mask.astype(np.int8)
        return info

    def step_into(
        self,
        actions: Array,
        observation: Array,
        reward: Array,
        terminated: Array,
        truncated: Array,
        final_observation: Array,
    ) -> Array | None:
        """Do what `step` does in the caller's rows `[n, ...]`; return the next decision's mask.

        `observation` is the next decision's; `final_observation` is written where an episode ended.
        """
        out = StepBuffers(
            observation, reward, terminated, truncated, final_observation, self._buffers.kpi
        )
        self._advance(checked_actions(actions, self.single_action_space, self.num_envs), out)
        return self.world.action_mask(self._state)

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Advance every copy; copies that end restart within the same step."""
        actions = checked_actions(actions, self.single_action_space, self.num_envs)
        if not self.reuse:
            self._buffers = self._new_buffers()
        out = self._buffers
        info: dict[str, Any] = {"kpis": self._advance(actions, out)}
        ended = out.terminated | out.truncated
        if ended.any():
            info["final_obs"] = out.final_observation
            info["_final_obs"] = ended
        return out.observation, out.reward, out.terminated, out.truncated, self._masked(info)

    def _advance(self, actions: Array, out: StepBuffers) -> Mapping[str, Array]:
        """Step into `out` and return this step's amounts, `{name: [n]}`."""
        if self._compiled is None:
            return self._advance_plainly(actions, out)
        self._compiled.step_into(self._state, actions, self._rng, out)
        return dict(zip(self._compiled.kpi_names, out.kpi.T, strict=True))

    def _advance_plainly(self, actions: Array, out: StepBuffers) -> Mapping[str, Array]:
        world, rng = self.world, self._rng
        outcome = world.step(self._state, world.control(self._state, actions), rng)
        self._state = outcome.state
        out.observation[:] = world.observe(self._state)
        out.reward[:] = outcome.reward
        out.terminated[:] = outcome.terminated
        out.truncated[:] = outcome.truncated
        ended = outcome.terminated | outcome.truncated
        if ended.any():
            out.final_observation[:] = out.observation
            fresh = world.initial(int(ended.sum()), rng)
            self._state = replace_rows(outcome.state, ended, fresh)
            out.observation[:] = world.observe(self._state)
        return outcome.kpis

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, as arrays and plain values."""
        return {
            "state": {name: column.copy() for name, column in self._state._asdict().items()},
            "generator": self._rng.bit_generator.state,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        template = self.world.initial(self.num_envs, np.random.default_rng(0))
        columns = saved["state"]
        self._state = type(template)(
            *(
                np.array(columns[name], dtype=column.dtype)
                for name, column in template._asdict().items()
            )
        )
        self._np_random = np.random.default_rng()
        self._np_random.bit_generator.state = saved["generator"]


class RegretVectorEnv(WorldVectorEnv):
    """The same copies, rewarded by the regret of each decision; for training only.

    r'_t = r_t + P(s_{t+1}) - P(s_t), P what hindsight could still earn and P = 0 after the end. The
    rewards of an episode sum to its value minus the hindsight optimum, so that, undiscounted, the
    best policy is unchanged while the luck of the episode cancels.
    """

    def __init__(self, world: World[Any], num_envs: int, *, reuse: bool = False) -> None:
        assert isinstance(world, HindsightWorld), "the world knows no hindsight"
        super().__init__(world.with_hindsight(), num_envs, reuse=reuse)
        # The potential of the state that the next step starts from.
        self._known: Array | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start every copy anew."""
        self._known = None
        return super().reset(seed=seed, options=options)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._known = None
        super().load_state_dict(saved)

    def _potential(self) -> Array:
        assert isinstance(self.world, HindsightWorld)
        return self.world.potential(self._state)

    def _advance(self, actions: Array, out: StepBuffers) -> Mapping[str, Array]:
        """Advance every copy; the reward is the decision's regret, at most about zero."""
        before = self._potential() if self._known is None else self._known
        kpis = super()._advance(actions, out)
        assert not out.truncated.any(), (
            "a truncated copy would need the potential of its last state"
        )
        self._known = self._potential()
        out.reward[:] += np.where(out.terminated, 0.0, self._known) - before
        return kpis
