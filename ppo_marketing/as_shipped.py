"""A policy as it would be shipped: behind its guardrails, beside the champion, before the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.core.decision import Calibration, Decision, Rule
from envs.core.world import Array
from ppo_marketing.audit import audited
from ppo_marketing.behaviour import Behaviour, Choices
from ppo_marketing.config import EvaluationSection
from ppo_marketing.drift import Drift, DriftBounds, drift
from ppo_marketing.evaluation import Judgement
from ppo_marketing.gate import Audit
from ppo_marketing.guardrails import Counted, Guardrail, Support
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.pipeline.streams import JUDGING_EPISODES, stream
from ppo_marketing.policy import Policy, PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.reference_states import ReferenceStates, behaviour_of, reference_states


def audit_policy(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Policy,
    rules: Sequence[Rule[Any]],
    judgement: Judgement,
    evaluation: EvaluationSection,
    drift: Drift | None,
    seed: int,
) -> Audit:
    """What the gate judges: the log's own word beside the simulators' values of the judgement."""
    return audited(
        decision, calibration, settings, policy, rules,
        training_value=judgement.earlier.policy.value.value,
        judging_value=judgement.later.policy.value.value,
        limit_excess=None if judgement.limit is None else judgement.limit.excess,
        drift=None if drift is None else drift.reasons,
        episodes=evaluation.episodes, seed=seed,
    )  # fmt: skip


def guarded(
    calibration: Calibration,
    settings: Any,
    section: GuardrailsSection,
    policy: Agent,
    fallback: Agent,
    seed: int,
) -> Counted | None:
    """The policy behind the guardrails of a configuration, as far as a simulated world can ask.

    None where nothing is configured. Simulated episodes have neither ids nor dates: limits that
    need them hold where the policy is shipped, not here.
    """
    if section == GuardrailsSection():
        return None
    world = calibration.history_world(settings)
    met = None
    if section.support_margin is not None:
        met = Support.seen(
            reference_states(world, PolicyActor("policy", policy), seed=seed).observation
        )
    limits = section.limits(world.action_space, met)
    return Counted(Guardrail(limits.alone(), policy, fallback))


def held(
    calibration: Calibration,
    settings: Any,
    section: GuardrailsSection,
    policy: Agent,
    fallback: Agent,
    seed: int,
) -> Policy:
    """As `guarded`; the policy itself where nothing is configured."""
    rail = guarded(calibration, settings, section, policy, fallback, seed)
    return policy if rail is None else rail


def drift_between(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    champion: Agent,
    challenger: Agent,
    *,
    bounds: DriftBounds,
    episodes: int,
    seed: int,
) -> Drift:
    """What the challenger does otherwise in the states that the champion meets; both act alike."""
    world = calibration.judging_world(episodes, settings, stream(seed, JUDGING_EPISODES))
    states = reference_states(world, PolicyActor("champion", champion), seed=seed)
    logged = calibration.heldout_decisions(settings)
    return drift(
        shipped_behaviour(decision, champion, champion, states),
        shipped_behaviour(decision, challenger, challenger, states),
        segment=thirds(states),
        labels=None if logged is None else logged.actions,
        bounds=bounds,
    )


def shipped_behaviour(
    decision: Decision, agent: Agent, shipped: Policy, states: ReferenceStates
) -> Behaviour:
    """What an agent's distribution is in reference states, and what it ships there: `shipped`."""
    action = shipped.act(
        states.observation, np.random.default_rng(0), states.mask, deterministic=True
    )
    control = np.asarray(states.world.control(states.state, action))
    kpis = states.world.step(states.state, control, np.random.default_rng(0)).kpis
    spent = None if decision.spend_kpi is None else kpis[decision.spend_kpi]
    found = behaviour_of(agent, states, spent)
    if shipped is agent:
        return found
    if isinstance(found, Choices):
        # Menus that do not begin with 0 are told apart by what the agent itself would take.
        own = agent.act(
            states.observation, np.random.default_rng(0), states.mask, deterministic=True
        )
        return replace(found, action=found.action + (action - own))
    return replace(found, control=control.reshape(states.size))


def thirds(states: ReferenceStates) -> Array | None:
    """Which third of its episode each reference state lies in; None where episodes are one step."""
    horizon = states.world.horizon
    names = np.array(["1st third", "2nd third", "3rd third"])
    return None if horizon == 1 else names[np.minimum(3 * states.step // horizon, 2)]
