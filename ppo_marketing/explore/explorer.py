"""Everything that exploring one policy needs, made once and asked many times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envs.core.decision import Calibration, Decision
from envs.core.words import Words, words_of
from envs.core.world import Array, World
from ppo_marketing.explore.answers import Answers, Decider, learned, played
from ppo_marketing.explore.cases import Cases, historical_cases
from ppo_marketing.pipeline.streams import JUDGING_EPISODES, stream
from ppo_marketing.policy import Actor, PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.reference_states import ReferenceStates, reference_states

EPISODES = 256
STATES = 2_000
"""A share of decisions then has a standard error below .012."""


@dataclass(frozen=True, eq=False)
class Explorer:
    """A policy, the states that it meets itself, what it does there, and the log's own cases."""

    decision: Decision
    agent: Agent
    world: World[Any]
    words: Words
    states: ReferenceStates
    cases: Cases
    decide: Decider
    answers: Answers

    @property
    def actions(self) -> int:
        """A; 0 where actions are amounts."""
        return len(self.words.action.choices)

    def outlook(self, observation: Array) -> float:
        """The share of the states met in which the critic expects less than in this one `[obs]`."""
        here = self.agent.value(observation[None])[0]
        return float((self.agent.value(self.states.observation) < here).mean())

    def of(self, actor: Actor) -> Answers:
        """What a rule or another policy does in the same states."""
        return played(actor, self.states, self.words, self.actions)


def explorer_of(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    agent: Agent,
    *,
    seed: int,
    episodes: int = EPISODES,
    states: int = STATES,
) -> Explorer:
    """Let the policy meet states of the later part's simulator, and fetch the log's cases.

    Raises:
        UserError: the policy's actions are of a kind that cannot be explored.
    """
    world = calibration.judging_world(episodes, settings, stream(seed, JUDGING_EPISODES))
    if world.horizon == 1:  # a decision an episode: as many of these as states are wanted
        world = calibration.judging_world(states, settings, stream(seed, JUDGING_EPISODES))
    words = words_of(decision, calibration, world)
    decide = learned(agent, words)
    itself = PolicyActor("policy", agent)
    met = reference_states(world, itself, seed=seed, states=states)
    return Explorer(
        decision=decision,
        agent=agent,
        world=world,
        words=words,
        states=met,
        cases=historical_cases(decision, calibration, settings, words, itself, seed=seed),
        decide=decide,
        answers=decide(met.observation, met.mask),
    )
