"""Every decision can be exported: its policy as a bundle, and as a table where it has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.core.decision import Decision
from envs.core.world import World
from ppo_marketing.export.bundle import bundle_files, load_bundle
from ppo_marketing.export.decision_table import decision_table
from ppo_marketing.export.whole_folder import write_whole
from ppo_marketing.guardrails.section import GuardrailsSection
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


@pytest.fixture(scope="module")
def agent(world: World[Any]) -> Agent:
    rng = np.random.default_rng(5)
    config = PPOConfig(start="random")
    made = Agent.create(world.observation_space, world.action_space, config, rng)
    made.actor.weights[-1].data.mul_(100.0)  # away from the start
    return made


def test_an_exported_policy_plays_as_the_agent_does(
    world: World[Any], agent: Agent, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    state = world.initial(EPISODES, rng)
    observation, mask = world.observe(state), world.action_mask(state)
    limits = GuardrailsSection().limits(world.action_space)
    files = bundle_files(
        agent,
        observation=observation,
        mask=mask,
        limits=limits,
        about={},
        documents={},
        manifest={},
    )
    write_whole(tmp_path / "bundle", files)
    bundle = load_bundle(tmp_path / "bundle")
    for _ in range(5):
        observation, mask = world.observe(state), world.action_mask(state)
        ours = bundle.policy.act(observation, rng, mask, deterministic=True)
        theirs = agent.act(observation, rng, mask, deterministic=True)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        state = world.step(state, world.control(state, theirs), rng).state


def test_a_decisions_table_is_made_of_what_its_policy_may_see_and_do(
    decision: Decision, world: World[Any], agent: Agent
) -> None:
    if decision.decision_table is None:
        return  # its card says so: observations are too rich for a table
    grid = decision.decision_table(world)
    space = world.observation_space
    assert grid.observation.dtype == np.float32
    assert grid.observation.shape[1:] == space.shape
    assert (grid.observation >= space.low).all()
    assert (grid.observation <= space.high).all()
    assert (grid.mask is not None) == isinstance(world.action_space, gymnasium.spaces.Discrete)
    table = decision_table(agent, grid, GuardrailsSection().limits(world.action_space))
    assert len({row["decision_id"] for row in table.rows}) == len(table.rows)
    assert set(table.amounts) <= set(table.decided)
    assert set(table.meaning) == {*table.key, *table.decided}
    assert table.csv().count(b"\r\n") == len(table.rows) + 1
    again = decision_table(agent, decision.decision_table(world), None)
    assert again.rows == table.rows


def test_a_decision_that_is_served_names_what_goes_in_and_comes_out(
    decision: Decision, world: World[Any]
) -> None:
    if decision.live_form is None:
        return  # it is asked by numbers alone
    form = decision.live_form(world, None)
    space, columns = world.action_space, set(decision.schema.names)
    assert world.observation_space.shape == (len(form.fields),)
    assert len({field.name for field in form.fields}) == len(form.fields)
    if isinstance(space, gymnasium.spaces.Discrete):
        assert len({tuple(choice.items()) for choice in form.choices}) == space.n
        assert form.amounts == ()
    else:
        assert world.action_space.shape == (len(form.amounts),)
        assert form.choices == ()
    # What is decided live can be read as the decision's own log.
    assert {column for choice in form.choices for column in choice} <= columns
    assert set(form.logged) <= columns
    assert set(form.logged.values()) <= {"time", "id", "unit", "propensity"}
    json.dumps(form.terms, allow_nan=False)
