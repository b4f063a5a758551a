"""Every decision can be explored and asked what if, through its card alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import envs
from envs.core.decision import Decision
from ppo_marketing.evaluation import play
from ppo_marketing.explore.explorer import Explorer, explorer_of
from ppo_marketing.explore.flip import smallest_flips
from ppo_marketing.explore.heat_map import heat_map
from ppo_marketing.explore.inspector import inspect
from ppo_marketing.explore.surrogate import surrogate_tree
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.what_if.answers import asked
from ppo_marketing.what_if.curve import spend_curve
from ppo_marketing.what_if.fan import fan
from ppo_marketing.what_if.scenarios import TODAY
from ppo_marketing.what_if.stage import POLICY, Stage, stage_of
from tests.support.truth import Truth, without_log

EPISODES = 6


@pytest.fixture(scope="module", params=envs.decision_names())
def decision(request: pytest.FixtureRequest) -> Decision:
    return envs.load_decision(request.param)


@cache
def agent_for(name: str, preset: str) -> Agent:
    """An agent with a mind of its own, untrained."""
    decision = envs.load_decision(name)
    truth: Any = Truth(decision, preset)
    world = truth.history_world(decision.sample_settings())
    made = Agent.create(
        world.observation_space,
        world.action_space,
        PPOConfig(start="random", hidden=(8,)),
        np.random.default_rng(0),
    )
    made.actor.weights[-1].data.mul_(100.0)
    return made


@cache
def stage_for(name: str, preset: str) -> Stage:
    decision = envs.load_decision(name)
    truth: Any = Truth(decision, preset)
    agent, settings = agent_for(name, preset), decision.sample_settings()
    return stage_of(without_log(decision), truth, settings, agent, (), seed=3, episodes=EPISODES)


@pytest.fixture(scope="module")
def agent(decision: Decision) -> Agent:
    return agent_for(decision.name, decision.presets[0])


@pytest.fixture(scope="module")
def stage(decision: Decision) -> Stage:
    return stage_for(decision.name, decision.presets[0])


@pytest.fixture(scope="module")
def explorer(decision: Decision, agent: Agent) -> Explorer:
    truth: Any = Truth(decision, decision.presets[0])
    settings = decision.sample_settings()
    card = without_log(decision)
    return explorer_of(card, truth, settings, agent, seed=3, episodes=48, states=60)


def test_today_is_what_the_policy_itself_earns_in_the_judging_world(
    decision: Decision, agent: Agent, stage: Stage
) -> None:
    (answer,) = asked(stage, (TODAY,))
    itself = PolicyActor(POLICY, agent)
    played = play(itself, stage.world, EPISODES, stage.seed, "policy")
    assert answer.value.value == float(np.mean(played.kpis[decision.value_kpi]))
    assert answer.surroundings.warning == "", "today is where the policy was trained"


def test_a_fan_ends_where_its_episodes_do(decision: Decision, stage: Stage) -> None:
    found = fan(stage, TODAY, draws=2)
    assert found.paths.shape[0] == 2 * found.members
    assert (np.diff(found.bands, axis=0) >= 0).all()
    means = []
    for world in stage.members():
        kpis = play(stage.policy, world, EPISODES, stage.seed, "policy").kpis
        means.append(float(np.mean(kpis[decision.value_kpi])))
    if stage.world.horizon > 1:
        assert found.paths[:, -1].mean() == pytest.approx(np.mean(means))


def test_a_curve_of_spend_starts_with_nothing_and_passes_today(
    decision: Decision, stage: Stage
) -> None:
    if decision.spend_knob is None:
        pytest.skip(f"{decision.name} spends nothing: refusals are tested elsewhere")
    found = spend_curve(stage, TODAY)
    assert found.spend[0] == 0
    assert (np.diff(found.spend) > 0).all()
    (answer,) = asked(stage, (TODAY,))
    assert decision.spend_kpi is not None
    assert found.now == answer.kpis[decision.spend_kpi].value
    assert found.value_at(found.now) == pytest.approx(answer.value.value)


def test_what_is_said_of_a_state_is_what_the_agent_does(explorer: Explorer, agent: Agent) -> None:
    states = explorer.states
    shipped = agent.act(
        states.observation, np.random.default_rng(0), states.mask, deterministic=True
    )
    expected = explorer.words.action.amount(shipped) if not explorer.actions else shipped
    np.testing.assert_allclose(explorer.answers.value, expected, rtol=1e-5)
    itself = explorer.of(PolicyActor("policy", agent))
    np.testing.assert_allclose(itself.value, expected, rtol=1e-4)


def test_the_outlook_of_the_best_state_is_above_all_others(explorer: Explorer) -> None:
    states = explorer.states
    value = explorer.agent.value(states.observation)
    best, worst = states.observation[value.argmax()], states.observation[value.argmin()]
    assert explorer.outlook(best) == pytest.approx((value < value.max()).mean(), abs=0.05)
    assert explorer.outlook(worst) < 0.05


def test_pictures_cases_and_counterfactuals_are_made_for_every_card(explorer: Explorer) -> None:
    words, states, seen = explorer.words, explorer.states, explorer.cases.observation
    first, second = words.variables[0].name, words.variables[1].name
    found = heat_map(
        explorer.decide, words, states.observation, states.mask, first, second, seen=seen, points=5
    )
    assert np.isfinite(found.value).all()
    mask = None if states.mask is None else states.mask[0]
    told = inspect(explorer.decide, words, states.observation[0], mask, explorer.cases)
    assert len(told.shown) == len(words.variables)
    assert len(told.options) == explorer.actions
    assert told.neighbours
    if told.options:
        assert sum(option.probability for option in told.options) == pytest.approx(1.0)
        assert all(o.probability < 1e-6 and o.why_not for o in told.options if not o.allowed)
    for flip in smallest_flips(explorer.decide, words, states.observation[0], mask, seen=seen):
        assert flip.before != flip.after
    tree = surrogate_tree(explorer.answers, words, states.observation, states.episode)
    assert sum(leaf.share for leaf in tree.leaves) == pytest.approx(1.0)
