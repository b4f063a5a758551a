"""PPO, vanilla policy gradient and REINFORCE: one core, three settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from ppo_marketing.config import build
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.losses import k3
from ppo_marketing.ppo.train import train
from ppo_marketing.rivals.learned import Array, Learned, OnCurve, Probe, last_half_mean, probed


class OwnWatch:
    """Follows a training: tells the curve of every update and measures how far it moved.

    KL(before, after) is estimated by e^l - 1 - l over the probe, at actions of the policy before.
    """

    def __init__(
        self, probe: Probe, on_curve: OnCurve, rng: np.random.Generator, rows: int, measured: int
    ) -> None:
        self._probe, self._on_curve, self._rng = probe, on_curve, rng
        self._rows, self._measured = rows, measured
        self._before: tuple[Array, Array] | None = None  # actions and their log-probabilities
        self._updates = 0
        self.kls: list[float] = []

    def __call__(self, agent: Agent) -> float:
        """Take note of the agent as it stands; `train` calls this at the start and every update."""
        observation, mask = self._probe
        if self._before is not None:
            self._updates += 1
            action, log_prob_old = self._before
            change = agent.log_prob(observation, action, mask) - log_prob_old
            # A float32 overflows at e^89.
            self.kls.append(float(k3(torch.from_numpy(change).double()).mean()))
        action = agent.act(observation, self._rng, mask)
        self._before = action, agent.log_prob(observation, action, mask)
        gathered = self._updates * self._rows + (self._measured if self._updates else 0)
        self._on_curve(gathered, agent)
        # Never better than the start, so that `train` copies no agent: `on_curve` keeps its own
        # best, and `train_own` gives back the last.
        return 0.0


def train_own(
    env: VectorEnv, ppo: Mapping[str, Any], *, steps: int, seed: int, on_curve: OnCurve
) -> Learned:
    """Train our own core with plain settings, as `Rival.train` says."""
    config = build(PPOConfig, ppo, "the algorithm")
    start_rng, probe_rng = (np.random.default_rng([seed, stream]) for stream in (1, 2))
    agent = Agent.create(env.single_observation_space, env.single_action_space, config, start_rng)
    if config.value_coefficient == 0:
        _without_baseline(agent)
    rows = config.rollout_steps * env.num_envs
    probe = probed(env, seed, probe_rng)
    measured = rows if config.normalise_observations else 0
    watch = OwnWatch(probe, on_curve, probe_rng, rows, measured)
    result = train(
        env, config, total_steps=steps, seed=seed, agent=agent, validate=watch, validate_every=1
    )
    clipped = [row.learning.clip_fraction for row in result.history]
    return Learned(
        policy=result.agent,
        steps=result.history[-1].steps,
        updates=len(result.history),
        largest_kl=max(watch.kls),
        mean_kl=last_half_mean(watch.kls),
        clip_fraction=float(np.mean(clipped)),
        entropy=_entropy(result.agent, probe, probe_rng),
    )


def _without_baseline(agent: Agent) -> None:
    """Make V = 0 everywhere; with no value loss it stays so, and advantages are plain returns."""
    for parameter in agent.critic.parameters():
        parameter.data.zero_()


def _entropy(agent: Agent, probe: Probe, rng: np.random.Generator) -> float:
    observation, mask = probe
    stored = torch.from_numpy(agent.head.from_environment(agent.act(observation, rng, mask)))
    with torch.no_grad():
        inputs, allowed = agent.inputs(observation), agent.allowed(mask, len(observation))
        return float(agent.evaluate(inputs, stored, allowed)[1].mean())
