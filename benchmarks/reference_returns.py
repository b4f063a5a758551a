"""Does our PPO reach what stable-baselines3's reaches? Both train in this run, on equal steps.

CartPole-v1 and Pendulum-v1 (plain Gaussian), rl-zoo3's settings, five seeds, 100 deterministic
episodes each on the same evaluation seeds. The claim: the paired interval of the difference of
interquartile means is not wholly below zero. Where rl-zoo3 keeps the learning rate constant, a
second row trains with ours annealed, which is our default. Writes results/reference_returns.json.

Run with `python -m benchmarks.reference_returns`, twenty minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from scipy import stats
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.report import write_result
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.train import train
from ppo_marketing.ppo.trust_region import Clip

Array = npt.NDArray[Any]

SEEDS = (1, 2, 3, 4, 5)
EPISODES = 100
EVALUATION_SEED = 10_000  # the first of the evaluation episodes' seeds, the same for both
RESAMPLES = 10_000


@dataclass(frozen=True)
class Task:
    """One environment with rl-zoo3's settings for it."""

    name: str
    total_steps: int
    copies: int
    rollout_steps: int
    minibatch_size: int
    epochs: int
    gamma: float
    gae_lambda: float
    anneal: bool  # learning rate (both) and clip (stable-baselines3), linearly to zero

    def ours(self) -> PPOConfig:
        """Return the same settings in our terms; our clip stays constant."""
        return PPOConfig(
            rollout_steps=self.rollout_steps,
            minibatch_size=self.minibatch_size,
            epochs=self.epochs,
            learning_rate=1e-3,
            anneal_learning_rate=self.anneal,
            trust_region=Clip(low=0.2, high=0.2),
            entropy_coefficient=0.0,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            normalise_observations=False,
            log_std_initial=0.0,
            start="random",
        )

    def theirs(self) -> dict[str, Any]:
        """Return the arguments of stable-baselines3's PPO."""
        return {
            "n_steps": self.rollout_steps,
            "batch_size": self.minibatch_size,
            "n_epochs": self.epochs,
            "learning_rate": (lambda left: left * 1e-3) if self.anneal else 1e-3,
            "clip_range": (lambda left: left * 0.2) if self.anneal else 0.2,
            "ent_coef": 0.0,
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
        }


TASKS = {
    "CartPole-v1": Task("CartPole-v1", 100_000, 8, 32, 256, 20, 0.98, 0.8, anneal=True),
    "Pendulum-v1": Task("Pendulum-v1", 100_000, 4, 1024, 64, 10, 0.9, 0.95, anneal=False),
}


def train_ours(
    task: Task, config: PPOConfig, total_steps: int, seed: int
) -> Callable[[Array], Array]:
    env = _vector_env(task.name, task.copies)
    agent = train(env, config, total_steps=total_steps, seed=seed).agent
    rng = np.random.default_rng(seed)
    return lambda observation: agent.act(observation, rng, deterministic=True)


def train_theirs(task: Task, total_steps: int, seed: int) -> Callable[[Array], Array]:
    env = make_vec_env(task.name, n_envs=task.copies, seed=seed)
    model = PPO("MlpPolicy", env, seed=seed, device="cpu", **task.theirs())
    model.learn(total_steps)
    return lambda observation: np.asarray(model.predict(observation, deterministic=True)[0])


def mean_return(name: str, act: Callable[[Array], Array]) -> float:
    """Return the mean undiscounted return of the first episode of each of 100 copies."""
    env = _vector_env(name, EPISODES)
    observation, _ = env.reset(seed=EVALUATION_SEED)  # copy i is seeded with this plus i
    total, running = np.zeros(EPISODES), np.ones(EPISODES, bool)
    while running.any():
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        total += reward * running
        running &= ~(terminated | truncated)
    return float(total.mean())


def compare(ours: Array, theirs: Array, rng: np.random.Generator) -> dict[str, Any]:
    """Return the paired 95 % bootstrap interval of the difference of interquartile means.

    Seeds are resampled in pairs; the interquartile mean is that of the middle half.
    """
    drawn = rng.integers(0, len(ours), (RESAMPLES, len(ours)))
    differences = _iqm(ours[drawn]) - _iqm(theirs[drawn])
    low, high = np.quantile(differences, [0.025, 0.975]).tolist()
    return {
        "difference": float(_iqm(ours) - _iqm(theirs)),
        "low": low,
        "high": high,
        "not_below": high >= 0.0,
    }


def _iqm(returns: Array) -> Array:
    return np.asarray(stats.trim_mean(returns, 0.25, axis=-1))


def _vector_env(name: str, copies: int) -> VectorEnv:
    return gym.make_vec(
        name,
        num_envs=copies,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )


def measure(task: Task, seeds: list[int], steps: int) -> dict[str, Any]:
    """Train with every learner and seed and return returns, times and comparisons."""
    configs = {"ours": task.ours()}
    if not task.anneal:
        configs["ours_annealed"] = replace(task.ours(), anneal_learning_rate=True)
    learners: dict[str, Callable[[int], Callable[[Array], Array]]] = {
        name: partial(train_ours, task, config, steps) for name, config in configs.items()
    }
    learners["stable_baselines3"] = partial(train_theirs, task, steps)
    returns: dict[str, list[float]] = {name: [] for name in learners}
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for seed in seeds:
        for name, learner in learners.items():
            began = time.perf_counter()
            act = learner(seed)
            seconds[name].append(time.perf_counter() - began)
            returns[name].append(mean_return(task.name, act))
            print(f"{task.name} seed {seed} {name}: {returns[name][-1]:.1f}", flush=True)
    theirs = np.array(returns["stable_baselines3"])
    return {
        "steps": steps,
        "copies": task.copies,
        "settings": {name: config.as_values() for name, config in configs.items()},
        "returns": returns,
        "interquartile_means": {name: float(_iqm(np.array(r))) for name, r in returns.items()},
        "median_seconds": {name: round(float(np.median(s)), 1) for name, s in seconds.items()},
        "against_stable_baselines3": {
            name: compare(np.array(returns[name]), theirs, np.random.default_rng(0))
            for name in configs
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, help="of each training; default: the task's own")
    parser.add_argument("--name", default="reference_returns", help="of the results file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # for both alike: two threads are slower on networks this small
    result = {
        name: measure(TASKS[name], arguments.seeds, arguments.steps or TASKS[name].total_steps)
        for name in arguments.tasks
    }
    config = {
        "claim": "not below stable-baselines3's PPO beyond the paired 95 % interval",
        "seeds": arguments.seeds,
        "evaluation_episodes": EPISODES,
        "evaluation_first_seed": EVALUATION_SEED,
        "stable_baselines3": version("stable-baselines3"),
    }
    write_result(arguments.name, config, result)


if __name__ == "__main__":
    main()
