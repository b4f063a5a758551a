"""Standard tasks with rl-zoo3's settings for stable-baselines3's PPO, and both ways to train them.

A task of fewer steps than rl-zoo3's says so; both learners get the same. What ours has no setting
for is left out for both: state-dependent exploration (Pendulum, MountainCarContinuous). Theirs is
normalised by VecNormalize, ours by its own running statistics.

Source: rl-baselines3-zoo, hyperparams/ppo.yml.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.train import train
from ppo_marketing.ppo.trust_region import Clip

Array = npt.NDArray[Any]
Act = Callable[[Array], Array]

EPISODES = 100
EVALUATION_SEED = 10_000  # the first of the evaluation episodes' seeds, the same for both


@dataclass(frozen=True, kw_only=True)
class Task:
    """One environment with rl-zoo3's settings for it; the defaults are stable-baselines3's."""

    name: str
    total_steps: int
    zoo_steps: int
    copies: int
    rollout_steps: int
    minibatch_size: int = 64
    epochs: int
    learning_rate: float = 3e-4
    anneal: bool = False  # learning rate (both) and clip (stable-baselines3), linearly to zero
    clip: float = 0.2
    gamma: float = 0.99
    gae_lambda: float = 0.95
    entropy: float = 0.0
    value_coefficient: float = 0.5
    max_grad_norm: float = 0.5
    normalise: bool = False  # observations and rewards
    gated: bool = True  # whether falling short fails the benchmark
    our_default_too: bool = False  # a second row of ours with the learning rate annealed

    def ours(self) -> PPOConfig:
        """Return the same settings in our terms; our clip stays constant."""
        return PPOConfig(
            rollout_steps=self.rollout_steps,
            minibatch_size=self.minibatch_size,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            anneal_learning_rate=self.anneal,
            trust_region=Clip(low=self.clip, high=self.clip),
            entropy_coefficient=self.entropy,
            anneal_entropy=False,
            value_coefficient=self.value_coefficient,
            max_grad_norm=self.max_grad_norm,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            normalise_observations=self.normalise,
            reward_scale="running" if self.normalise else 1.0,
            log_std_initial=0.0,
            start="random",
        )

    def theirs(self) -> dict[str, Any]:
        """Return the arguments of stable-baselines3's PPO."""
        rate, clip = self.learning_rate, self.clip
        return {
            "n_steps": self.rollout_steps,
            "batch_size": self.minibatch_size,
            "n_epochs": self.epochs,
            "learning_rate": (lambda left: left * rate) if self.anneal else rate,
            "clip_range": (lambda left: left * clip) if self.anneal else clip,
            "ent_coef": self.entropy,
            "vf_coef": self.value_coefficient,
            "max_grad_norm": self.max_grad_norm,
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
        }


def _lunar_lander(name: str) -> Task:
    return Task(
        name=name, total_steps=500_000, zoo_steps=1_000_000, copies=16, rollout_steps=1024,
        epochs=4, gamma=0.999, gae_lambda=0.98, entropy=0.01,
    )  # fmt: skip


TASKS = {
    task.name: task
    for task in (
        Task(
            name="CartPole-v1", total_steps=100_000, zoo_steps=100_000, copies=8, rollout_steps=32,
            minibatch_size=256, epochs=20, learning_rate=1e-3, anneal=True, gamma=0.98,
            gae_lambda=0.8,
        ),
        Task(
            name="Acrobot-v1", total_steps=300_000, zoo_steps=1_000_000, copies=16,
            rollout_steps=256, epochs=4, gae_lambda=0.94, normalise=True,
        ),
        Task(
            name="Pendulum-v1", total_steps=100_000, zoo_steps=100_000, copies=4,
            rollout_steps=1024, epochs=10, learning_rate=1e-3, gamma=0.9, our_default_too=True,
        ),
        _lunar_lander("LunarLander-v3"),
        _lunar_lander("LunarLanderContinuous-v3"),
        # Rollouts have 8 rows, so rl-zoo3's minibatch of 256 is one of 8. Not gated: without
        # state-dependent exploration most seeds of either learner never see the goal.
        Task(
            name="MountainCarContinuous-v0", total_steps=20_000, zoo_steps=20_000, copies=1,
            rollout_steps=8, minibatch_size=8, epochs=10, learning_rate=7.77e-5, clip=0.1,
            gamma=0.9999, gae_lambda=0.9, entropy=0.00429, value_coefficient=0.19,
            max_grad_norm=5.0, normalise=True, gated=False,
        ),
    )
}  # fmt: skip


def train_ours(task: Task, config: PPOConfig, total_steps: int, seed: int) -> Act:
    """Train ours and return what it prefers to do."""
    agent = train(
        _vector_env(task.name, task.copies), config, total_steps=total_steps, seed=seed
    ).agent
    rng = np.random.default_rng(seed)
    return lambda observation: agent.act(observation, rng, deterministic=True)


def train_theirs(task: Task, total_steps: int, seed: int) -> Act:
    """Train stable-baselines3's PPO and return what it prefers to do."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    env = make_vec_env(task.name, n_envs=task.copies, seed=seed)
    if task.normalise:
        env = VecNormalize(env, gamma=task.gamma)
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **task.theirs())
    model.learn(total_steps)

    def act(observation: Array) -> Array:
        seen = env.normalize_obs(observation) if task.normalise else observation
        return np.asarray(model.predict(seen, deterministic=True)[0])

    return act


def mean_return(name: str, act: Act) -> float:
    """Return the mean undiscounted return of the first episode of each of 100 copies."""
    env = _vector_env(name, EPISODES)
    observation, _ = env.reset(seed=EVALUATION_SEED)  # copy i is seeded with this plus i
    total, running = np.zeros(EPISODES), np.ones(EPISODES, bool)
    while running.any():
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        total += reward * running
        running &= ~(terminated | truncated)
    return float(total.mean())


def _vector_env(name: str, copies: int) -> VectorEnv:
    return gym.make_vec(
        name,
        num_envs=copies,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )
