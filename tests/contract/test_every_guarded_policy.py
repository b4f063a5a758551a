"""Every decision can be played by a guarded policy: learned, constant, or a rule."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.core.decision import Decision
from envs.core.world import World
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import play
from ppo_marketing.guardrails import (
    Always,
    AmountLimits,
    Budget,
    ChoiceLimits,
    Counted,
    GuardedActor,
    Guardrail,
    GuardrailLimits,
    Reason,
    Support,
)
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig

EPISODES = 6


@pytest.fixture(scope="module", params=envs.decision_names())
def decision(request: pytest.FixtureRequest) -> Decision:
    return envs.load_decision(request.param)


@pytest.fixture(scope="module")
def world(decision: Decision) -> World[Any]:
    rng = np.random.default_rng(3)
    return decision.true_world(decision.presets[0], EPISODES, decision.sample_settings(), rng)


def agent_of(world: World[Any]) -> Agent:
    agent = Agent.create(
        world.observation_space, world.action_space, PPOConfig(start="random"),
        np.random.default_rng(5),
    )  # fmt: skip
    agent.actor.weights[-1].data.mul_(
        300.0
    )  # away from the start, so that there is something to hold
    return agent


def closest(world: World[Any]) -> tuple[GuardrailLimits, Any]:
    """Limits that leave next to nothing, and a fallback inside them."""
    space = world.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        closed = tuple(range(2, int(space.n)))
        return GuardrailLimits(choices=ChoiceLimits(choices=int(space.n), closed=closed)), Always(0)
    size = space.shape[0] if space.shape else 1
    return GuardrailLimits(amounts=AmountLimits(floor=-0.1, cap=0.1)), Always((0.0,) * size)


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one.kpis[name], other.kpis[name]) for name in one.kpis)


class Shipping:
    """A policy that keeps what passed through it."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.actions: list[Any] = []

    def act(
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        self.actions.append(self.policy.act(observation, rng, mask, deterministic=deterministic))
        return self.actions[-1]

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        return self.policy.log_prob(observation, action, mask)


def test_limits_as_wide_as_the_actions_change_no_result(world: World[Any]) -> None:
    agent = agent_of(world)
    limits = GuardrailsSection().limits(world.action_space)
    counted = Counted(Guardrail(limits, agent, agent))
    guarded = play(PolicyActor("guarded", counted), world, EPISODES, 1, "policy")
    free = play(PolicyActor("free", agent), world, EPISODES, 1, "policy")
    assert same(guarded, free)
    assert counted.interventions.changed == 0
    assert counted.interventions.decisions >= EPISODES


def test_a_learned_policy_ships_only_what_its_limits_leave(world: World[Any]) -> None:
    limits, fallback = closest(world)
    counted = Counted(Guardrail(limits, agent_of(world), fallback))
    shipping = Shipping(counted)
    play(PolicyActor("guarded", shipping), world, EPISODES, 1, "policy")
    shipped = np.concatenate(shipping.actions)
    if limits.choices is None:
        assert (np.abs(shipped) <= 0.1).all()
        assert counted.interventions.of(Reason.CAP) + counted.interventions.of(Reason.FLOOR) > 0
    else:
        assert set(shipped.tolist()) <= {0, 1}
    assert counted.interventions.decisions == len(shipped)


def test_a_policy_outside_its_support_plays_as_the_fallback(world: World[Any]) -> None:
    (size,) = world.observation_space.shape
    nowhere = Support(low=(98.0,) * size, high=(99.0,) * size)
    space = GuardrailsSection().limits(world.action_space)
    limits = GuardrailLimits(amounts=space.amounts, choices=space.choices, support=nowhere)
    _, fallback = closest(world)
    counted = Counted(Guardrail(limits, agent_of(world), fallback))
    guarded = play(PolicyActor("guarded", counted), world, EPISODES, 1, "policy")
    inside = Counted(Guardrail(space, fallback, fallback))
    assert same(guarded, play(PolicyActor("fallback", inside), world, EPISODES, 1, "policy"))
    found = counted.interventions
    assert found.of(Reason.OUT_OF_SUPPORT) == found.decisions > 0


def test_an_actor_that_answers_nonsense_plays_as_the_tuned_rule(
    decision: Decision, world: World[Any]
) -> None:
    rng = np.random.default_rng(0)
    rules = [rule.tuned(world, rng) for rule in decision.rules()]
    rule = next(one for one in reversed(rules) if one.arena(world, rng) is world)

    class Nonsense:
        name = "nonsense"

        def arena(self, world: World[Any], rng: Any) -> World[Any]:
            return world

        def control(self, world: World[Any], state: Any, rng: Any) -> Any:
            wanted = np.asarray(rule.control(world, state, np.random.default_rng(0)))
            return np.full(wanted.shape, np.nan)

    space = world.action_space
    limits = (
        GuardrailLimits(choices=ChoiceLimits(choices=int(space.n)))
        if isinstance(space, gymnasium.spaces.Discrete)
        else GuardrailLimits(amounts=AmountLimits(floor=-1e6, cap=1e6))
    )
    actor = GuardedActor("guarded", limits, Nonsense(), rule)
    found = play(actor, world, EPISODES, 1, "policy")
    plain = play(rule, world, EPISODES, 1, "rule")
    np.testing.assert_allclose(
        found.kpis[decision.value_kpi], plain.kpis[decision.value_kpi], rtol=1e-9
    )
    assert actor.interventions.of(Reason.NON_FINITE_OUTPUT) == actor.interventions.decisions > 0


def test_limits_that_a_simulated_world_cannot_feed_are_refused_there(world: World[Any]) -> None:
    wide = GuardrailLimits(
        amounts=AmountLimits(floor=0.0, cap=1.0, nothing=0.0), budget=Budget(day=1.0)
    )
    actor: Any = PolicyActor("any", agent_of(world))
    with pytest.raises(UserError, match="a simulated world tells no day, cost"):
        GuardedActor("guarded", wide, actor, actor)
