"""Every card can say what its policies see and do, and which what-ifs it can be asked."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from envs.core.decision import Decision
from envs.core.scenario import knobs_of
from envs.core.words import Words, words_of
from envs.core.world import World
from ppo_marketing.config import TrainingSection
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import play
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.constraint import PIDLagrangian

NAMES = envs.decision_names()


@pytest.fixture(scope="module", params=NAMES)
def decision(request: pytest.FixtureRequest) -> Decision:
    return envs.load_decision(request.param)


@pytest.fixture(scope="module", params=(0, -1), ids=("first preset", "last preset"))
def world(decision: Decision, request: pytest.FixtureRequest) -> World[Any]:
    preset = decision.presets[request.param]
    return decision.true_world(preset, 6, decision.sample_settings(), np.random.default_rng(3))


@pytest.fixture(scope="module")
def words(decision: Decision, world: World[Any]) -> Words:
    return words_of(decision, None, world)


def played_states(world: World[Any]) -> list[Any]:
    """The states of a few steps of allowed play."""
    rng = np.random.default_rng(0)
    state, found = world.initial(6, rng), []
    for _ in range(min(world.horizon, 5)):
        found.append(state)
        mask = world.action_mask(state)
        if mask is None:
            action = rng.uniform(-1, 1, (6, *(world.action_space.shape or ())))
        else:
            action = np.array([rng.choice(np.flatnonzero(row)) for row in mask])
        state = world.step(state, world.control(state, action), rng).state
    return found


def test_limits_in_training_are_on_its_own_kpis_never_on_its_value_and_others_have_a_remedy(
    decision: Decision,
) -> None:
    assert set(decision.limitable) <= {kpi.name for kpi in decision.kpis} - {decision.value_kpi}
    assert len(set(decision.limitable)) == len(decision.limitable)
    assert decision.limit_instead

    def configure(kpi: str) -> None:
        own = decision.run_defaults.get("training", {})
        limit = PIDLagrangian(kpi=kpi, limit=1.0)
        learning.ppo_config(decision, TrainingSection(**own, constraint=limit))

    with pytest.raises(UserError, match=re.escape(decision.limit_instead)):
        configure(decision.value_kpi)
    for name in decision.limitable:
        configure(name)


def test_every_number_that_a_policy_sees_belongs_to_one_variable(
    world: World[Any], words: Words
) -> None:
    columns = sorted(column for one in words.variables for column in one.columns)
    assert columns == list(range((world.observation_space.shape or (0,))[0]))
    assert len({one.name for one in words.variables}) == len(words.variables)
    assert all(one.label and one.help for one in words.variables)


def test_what_is_shown_of_a_state_and_put_back_is_that_state(
    world: World[Any], words: Words
) -> None:
    for state in played_states(world):
        observation = world.observe(state)
        for one in words.variables:
            again = one.put(observation, one.shown(observation))
            np.testing.assert_allclose(again, observation, atol=1e-4, err_msg=one.name)


def test_the_mask_of_an_unchanged_state_is_its_own_and_every_refusal_has_a_reason(
    world: World[Any], words: Words
) -> None:
    for state in played_states(world):
        observation, mask = world.observe(state), world.action_mask(state)
        allowed = words.allowed(observation, mask)
        if mask is None:
            assert allowed is None
            continue
        np.testing.assert_array_equal(allowed, mask)
        for row, may in zip(observation, mask, strict=True):
            reasons = words.why_not(row, may)
            assert [not reason for reason in reasons] == may.tolist()


def test_actions_have_a_word_each_and_controls_are_told_as_the_actions_they_are(
    world: World[Any], words: Words
) -> None:
    space = world.action_space
    state = world.initial(6, np.random.default_rng(0))
    if isinstance(space, gymnasium.spaces.Discrete):
        assert len(words.action.choices) == space.n
        assert len(set(words.action.choices)) == space.n
        return
    action = np.linspace(-0.5, 0.5, 6, dtype=np.float32)[:, None]
    again = words.action.action_of(world, state, world.control(state, action))
    np.testing.assert_allclose(words.action.amount(again), words.action.amount(action), rtol=1e-5)
    assert (np.diff(words.action.amount(action)) > 0).all()
    assert words.action.as_before is not None
    idle = words.action.amount(np.zeros((1, 1), np.float32))
    assert idle[0] == pytest.approx(words.action.as_before)


def test_every_knob_has_a_label_help_and_a_range_around_today(decision: Decision) -> None:
    knobs = knobs_of(decision.scenario_type)
    assert knobs
    for name, knob in knobs.items():
        assert knob.label, name
        assert knob.help, name
        assert knob.low <= 1 <= knob.high, name
        for end in (knob.low, knob.high):
            decision.scenario_type(**{name: end})
    assert decision.spend_knob is None or decision.spend_knob in knobs
    assert (decision.spend_knob is None) == (decision.spend_kpi is None)


def test_every_knob_moves_something_in_some_market(decision: Decision) -> None:
    idle = dict(knobs_of(decision.scenario_type))
    for settings in (decision.sample_settings(), decision.settings_type()):
        for preset in decision.presets:
            world = decision.true_world(preset, 30, settings, np.random.default_rng(3))
            rule = decision.rules()[0].tuned(world, np.random.default_rng(0))

            def played(moved: dict[str, float], world: World[Any] = world, rule: Any = rule) -> Any:
                changed = world.under(decision.scenario_type(**moved))
                return play(rule, changed, 30, 0, "rule").kpis

            before = played({})
            for name, knob in list(idle.items()):
                for end in {knob.low, knob.high} - {1.0}:
                    after = played({name: end})
                    if any(not np.array_equal(before[kpi], after[kpi]) for kpi in before):
                        idle.pop(name, None)
            if not idle:
                return
    assert not idle, "these move nothing in any market"


def test_every_knob_at_its_ends_leaves_a_world_that_plays(
    decision: Decision, world: World[Any]
) -> None:
    rule = decision.rules()[0].tuned(world, np.random.default_rng(0))
    for name, knob in knobs_of(decision.scenario_type).items():
        for end in (knob.low, knob.high):
            changed = world.under(decision.scenario_type(**{name: end}))
            state = changed.initial(6, np.random.default_rng(0))
            arena = rule.arena(changed, np.random.default_rng(0))
            outcome = arena.step(
                state,
                rule.control(arena, state, np.random.default_rng(0)),
                np.random.default_rng(0),
            )
            assert np.isfinite(outcome.kpis[decision.value_kpi]).all(), (name, end)
            assert np.isfinite(changed.observe(outcome.state)).all(), (name, end)
