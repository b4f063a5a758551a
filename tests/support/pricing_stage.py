"""A stage whose every number is known on paper: one price for all, chances given."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.core.words import plain_words
from ppo_marketing.policy import PolicyActor
from ppo_marketing.what_if.familiar import Familiar, HeldPolicy
from ppo_marketing.what_if.stage import POLICY, Stage
from tests.support.fourth_decision.pricing import DECISION
from tests.support.fourth_decision.pricing.rules import NO_OFFER, FixedPrice
from tests.support.fourth_decision.pricing.world import (
    CUSTOMERS,
    PRICES,
    PricingSettings,
    draw_world,
)

CHANCE = 0.4
PRICE = 2  # the third price, 3.00; an order costs .50 to serve


class OnePrice:
    """A policy that always takes the same choice."""

    def act(
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        return np.full(len(observation), PRICE)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        return np.zeros(len(observation))


def today() -> float:
    """What a day earns: customers x chance x margin."""
    return float(CUSTOMERS * CHANCE * (PRICES[PRICE] - 0.5))


def rules() -> dict[str, Any]:
    return {"one price": FixedPrice(index=0), "no offer": NO_OFFER}


def stage(episodes: int = 12) -> Stage:
    """Days on which every price is taken with the same chance."""
    settings = PricingSettings()
    chances = np.full((1, 2, len(PRICES)), CHANCE)
    world = draw_world(chances, episodes, settings, np.random.default_rng(0))
    seen = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    familiar = Familiar(plain_words(world), seen)
    return Stage(
        decision=DECISION,
        world=world,
        members=lambda: [
            draw_world(chances * f, episodes, settings, np.random.default_rng(1)) for f in (1, 0.5)
        ],
        member_episodes=episodes,
        policy=PolicyActor(POLICY, HeldPolicy(OnePrice(), familiar)),
        others=rules(),
        familiar=familiar,
        currency=settings.currency,
        episodes=episodes,
        seed=0,
    )
