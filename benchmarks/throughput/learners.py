"""Everyone who trains on our bidding environment, behind one call, and the clock that they share.

A learner trains for so many steps of all copies and shows its policy before the first update and
after every one. It measures nothing itself: the `Clock` does, and stands still while it is shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import stable_baselines3
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from benchmarks.throughput.market import SHIPPED
from envs.core.env import WorldEnv
from envs.core.world import Array
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.normalise import RunningMoments
from ppo_marketing.ppo.train import train
from ppo_marketing.rivals.learned import Chooser, probed
from ppo_marketing.rivals.stable_baselines import TheirPolicy, arguments_of
from ppo_marketing.rivals.table import RIVALS, Given
from ppo_marketing.rivals.vec_env import NativeVecEnv

DEFAULT_COPIES = 8  # what a user of stable-baselines3 starts with on a machine of few cores

Shown = Callable[[int, Chooser], bool]
"""Takes the steps so far and the policy as it stands; returns whether to go on."""
Learner = Callable[[int, int, Shown], None]
"""Takes the steps to train for, the seed and who is shown the policy."""


class Clock:
    """Seconds of training alone: the marks `(steps, seconds)` leave out what is done with them."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._resumed: float | None = None
        self._seconds = 0.0
        self.marks: list[tuple[int, float]] = []

    def shown(self, look: Shown) -> Shown:
        """Return `look`, timed: the first call starts the clock, each of them stops it a while."""

        def timed(steps: int, policy: Chooser) -> bool:
            if self._resumed is not None:
                self._seconds += self._now() - self._resumed
            self.marks.append((steps, self._seconds))
            go_on = look(steps, policy)
            self._resumed = self._now()
            return go_on

        return timed

    @property
    def rate(self) -> float:
        """Steps a second after the first update, which allocates and measures statistics."""
        if len(self.marks) < 3:
            raise ValueError(f"{len(self.marks)} marks: a rate needs two updates after the start")
        (first, began), (last, ended) = self.marks[1], self.marks[-1]
        return (last - first) / (ended - began)


def ours(make_env: Callable[[], VectorEnv], config: PPOConfig) -> Learner:
    """Our own training."""

    def learn(steps: int, seed: int, look: Shown) -> None:
        env = make_env()
        rows = config.rollout_steps * env.num_envs
        measured = rows if config.normalise_observations else 0
        updates = 0

        def validate(agent: Agent) -> float:
            nonlocal updates
            go_on = look(updates * rows + (measured if updates else 0), agent)
            updates += 1
            if not go_on:
                raise _Enough
            return 0.0  # never better than the start: no copy of a best agent is kept

        try:
            train(env, config, total_steps=steps, seed=seed, validate=validate, validate_every=1)
        except _Enough:
            return

    return learn


class _Enough(Exception):
    """Not an error: how `train` is told to stop."""


def theirs_native(
    make_env: Callable[[], VectorEnv], config: PPOConfig, library: Any = stable_baselines3
) -> Learner:
    """PPO of stable-baselines3, or of a library like it, on our vector environment, our settings.

    Observations are normalised, and rewards scaled, as ours are.
    """

    def learn(steps: int, seed: int, look: Shown) -> None:
        env = make_env()
        moments = None
        if config.normalise_observations:
            probe = probed(env, seed, np.random.default_rng([seed, 2])).observation
            moments = RunningMoments.empty(probe.shape[1]).updated(probe)
        adapted = NativeVecEnv(env, seed, moments=moments, reward_scale=config.reward_scale)
        model = library.PPO("MlpPolicy", adapted, seed=seed, device="cpu", **in_their_terms(config))
        model.learn(steps, callback=_Show(adapted, look))

    return learn


def in_their_terms(config: PPOConfig) -> dict[str, Any]:
    """Our settings as arguments of stable-baselines3's PPO, as far as it has them.

    Theirs starts from small random weights, and does not anneal the entropy bonus.
    """
    given = Given(ppo=config, copies=SHIPPED.copies)
    return arguments_of(RIVALS["ppo-sb3"].settings(given, "continuous"))


class RegretEnv(WorldEnv):
    """One copy rewarded by the regret of each decision, times `scale`; as `RegretVectorEnv` does.

    `world` knows hindsight already: its table is made once and not for every copy.
    """

    def __init__(self, world: Any, scale: float) -> None:
        super().__init__(world)
        self._scale = scale

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Make one decision."""
        world: Any = self.world
        before = world.potential(self._state)[0]
        observation, reward, terminated, truncated, info = super().step(action)
        after = 0.0 if terminated else world.potential(self._state)[0]
        return observation, self._scale * (reward + after - before), terminated, truncated, info


def theirs_looping(make_env: Callable[[], WorldEnv], **settings: Any) -> Learner:
    """PPO of stable-baselines3 as its documentation has it: 8 single environments in a loop."""

    def learn(steps: int, seed: int, look: Shown) -> None:
        env = DummyVecEnv([make_env] * DEFAULT_COPIES)
        model = stable_baselines3.PPO("MlpPolicy", env, seed=seed, device="cpu", **settings)
        model.learn(steps, callback=_Show(env, look))

    return learn


class _Show(BaseCallback):  # type: ignore[misc] # the library is not read by mypy
    """Shows the policy before the first rollout and after every update."""

    def __init__(self, env: VecEnv, look: Shown) -> None:
        super().__init__()
        self._env, self._look = env, look
        self._go_on = True

    def _show(self) -> None:
        policy = TheirPolicy(self.model.policy, getattr(self._env, "moments", None))
        self._go_on = self._look(int(self.model.num_timesteps), policy)

    def _on_rollout_start(self) -> None:
        self._show()

    def _on_step(self) -> bool:
        return self._go_on

    def _on_training_end(self) -> None:
        if self._go_on:
            self._show()


@contextmanager
def one_core() -> Iterator[None]:
    """Hold this thread, and the threads that it starts, to one of the cores it may use."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
