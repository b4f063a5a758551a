"""Where scenarios are played: loaded once, then asked many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from envs.core.decision import Calibration, Decision, Rule
from envs.core.words import words_of
from envs.core.world import World
from ppo_marketing.pipeline.streams import (
    EARLIER_EPISODES,
    JUDGING_EPISODES,
    MEMBER_EPISODES,
    stream,
)
from ppo_marketing.policy import Actor, Policy, PolicyActor
from ppo_marketing.reference_states import reference_states
from ppo_marketing.what_if.familiar import Familiar, HeldPolicy

EPISODES = 200
"""A mean over them is known to a fifteenth of an episode's deviation."""
SEEN_STATES = 20_000
POLICY = "PPO"


@dataclass(frozen=True, eq=False)
class Stage:
    """A policy with the markets that it is asked about.

    `world` holds `episodes` episodes of the later part, the same that evidence of as many episodes
    and the same seed rests on. `members` simulates `member_episodes` of each member of the earlier
    part's ensemble when it is first asked, and keeps them. `others` are compared with the policy.
    """

    decision: Decision
    world: World[Any]
    members: Callable[[], Sequence[World[Any]]]
    member_episodes: int
    policy: Actor
    others: Mapping[str, Actor]
    familiar: Familiar
    currency: str
    episodes: int
    seed: int

    def beside(self, rules: Sequence[Rule[Any]]) -> Stage:
        """The same stage with tuned rules to compare with, and doing nothing."""
        others: dict[str, Actor] = {one.name: one for one in (*rules, self.decision.do_nothing)}
        return replace(self, others=others)


def stage_of(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Policy,
    rules: Sequence[Rule[Any]],
    *,
    seed: int,
    episodes: int = EPISODES,
    member_episodes: int | None = None,
) -> Stage:
    """Simulate the episodes that scenarios are played on, and note what the policy has met.

    `policy` is what would be shipped; `rules` are tuned. `member_episodes` None: as many as
    `episodes`.
    """
    of_member = episodes if member_episodes is None else member_episodes
    world = calibration.judging_world(episodes, settings, stream(seed, JUDGING_EPISODES))
    practised = decision.training_settings(settings)
    trained = calibration.training_world(of_member, practised, stream(seed, EARLIER_EPISODES))
    itself = PolicyActor(POLICY, policy)
    met = [
        reference_states(one, itself, seed=seed, states=SEEN_STATES).observation
        for one in (trained, world)
    ]

    @cache
    def members() -> Sequence[World[Any]]:
        return calibration.member_worlds(of_member, settings, stream(seed, MEMBER_EPISODES))

    familiar = Familiar(words_of(decision, calibration, world), np.concatenate(met))
    return Stage(
        decision=decision,
        world=world,
        members=members,
        member_episodes=of_member,
        policy=PolicyActor(POLICY, HeldPolicy(policy, familiar)),
        others={one.name: one for one in (*rules, decision.do_nothing)},
        familiar=familiar,
        currency=settings.currency,
        episodes=episodes,
        seed=seed,
    )
