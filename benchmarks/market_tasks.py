"""Our environments as tasks: an algorithm trains on the generator's world and is judged there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

import envs
from benchmarks.reference_tasks import EVALUATION_SEED
from envs.core.decision import Decision
from envs.core.forms import form_of
from ppo_marketing.config import TrainingSection, load_config
from ppo_marketing.pipeline import learning
from ppo_marketing.rivals.table import RIVALS, Given
from ppo_marketing.trial import ChoosingActor


@dataclass(frozen=True)
class MarketTask:
    """An environment, its decision and how the decision trains by default."""

    env_id: str
    decision: Decision
    training: TrainingSection

    def reached(
        self, algorithm: str, seed: int, steps: int, overrides: Mapping[str, Any] | None = None
    ) -> float:
        """Train and return the last policy's share of the ceiling on fresh episodes.

        Every seed trains on episodes of its own; all are judged on the same.
        """
        world = self._world(self.training.episodes, seed)
        ppo = learning.ppo_config(self.decision, self.training)
        rival = RIVALS[algorithm]
        settings = rival.resolved(
            Given(ppo, self.training.copies, world.horizon),
            form_of(world.action_space),
            overrides or {},
        )
        env = learning.training_env(world, settings["copies"], regret=self.training.regret)
        learned = rival.train(
            env, settings, steps=steps, seed=seed, on_curve=lambda at, policy: None
        )
        episodes = self.training.validation_episodes
        judging = self._world(episodes, EVALUATION_SEED)
        score = learning.validation(self.decision, judging, episodes, 0)
        return score(ChoosingActor(algorithm, learned.policy, "own"))

    def _world(self, episodes: int, world_seed: int) -> Any:
        env: Any = gym.make_vec(self.env_id, num_envs=1, days=episodes, world_seed=world_seed)
        return env.unwrapped.world


def market_task(env_id: str) -> MarketTask:
    """The task of a registered environment."""
    module, _ = envs.environments()[env_id]
    decision = envs.load_decision(module.split(".")[1])
    return MarketTask(env_id, decision, load_config(None, {"decision": decision.name}).training)
