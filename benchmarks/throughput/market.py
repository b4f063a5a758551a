"""What is trained on and by which settings; imports nothing that a user's training does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from envs import load_decision
from envs.bidding.generator import PRESETS, GeneratedMarket
from ppo_marketing.config import TrainingSection
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.config import PPOConfig

DECISION = load_decision("bidding")
PRESET = "default"
SHIPPED = TrainingSection()


@dataclass(frozen=True)
class Layout:
    """What an update works on, alike for everyone."""

    name: str
    copies: int
    rollout_steps: int
    minibatch_size: int
    epochs: int

    @property
    def rows(self) -> int:
        """Rows of one rollout."""
        return self.copies * self.rollout_steps


def make_world(episodes: int, fresh: int | None = None) -> Any:
    """The generator's own market, planned with four weeks of its history; the same every time.

    `fresh` numbers other days, planned with that same history: what is judged on.
    """
    rng = np.random.default_rng(0)
    world: Any = DECISION.true_world(PRESET, episodes, DECISION.sample_settings(), rng)
    if fresh is None:
        return world
    days = GeneratedMarket(PRESETS[PRESET]).draw_days(episodes, np.random.default_rng([0, fresh]))
    return replace(world, days=days)


def shipped_config() -> PPOConfig:
    """Our own defaults with the decision's, as `ppo-marketing train` has them."""
    return learning.ppo_config(DECISION, SHIPPED)


def laid_out(layout: Layout) -> PPOConfig:
    """Our defaults in that layout; without statistics of observations, which nobody keeps then."""
    return replace(
        shipped_config(),
        rollout_steps=layout.rollout_steps,
        minibatch_size=layout.minibatch_size,
        epochs=layout.epochs,
        normalise_observations=False,
    )
