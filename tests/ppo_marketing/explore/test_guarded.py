"""A policy explored under limits does what its guardrail ships, with the reasons named."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.core.words import ActionWords, StateVariable, Words
from ppo_marketing.explore.answers import Answers, learned
from ppo_marketing.explore.cases import Cases
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.guarded import CLOSED, HeldBack, held
from ppo_marketing.explore.inspector import inspect
from ppo_marketing.explore.mix import mix_beside
from ppo_marketing.guardrails import (
    Always,
    AmountLimits,
    ChoiceLimits,
    Guardrail,
    GuardrailLimits,
    Support,
)
from tests.support.agents import SIZE, agent_of, states

FIRST = StateVariable(name="first", label="First", help="a number", columns=(0,))
NAMES = ("none", "mail", "push", "call")
WHERE = Support(low=(-3.0,) * SIZE, high=(3.0,) * SIZE, margin=0.0)
STATES = 200


def explorer_of(kind: str, choices: tuple[str, ...] = ()) -> Explorer:
    """An explorer of an agent in random states, without a world or a log."""
    agent = agent_of(kind)
    observation, mask = states(agent, STATES)
    words = Words(
        variables=(FIRST,), action=ActionWords(label="Act", help="", unit="x", choices=choices)
    )
    decide = learned(agent, words)
    met: Any = SimpleNamespace(observation=observation, mask=mask, size=STATES)
    nothing: Any = None
    cases = Cases("a log", observation, None, np.zeros(STATES), np.ones(STATES))
    return Explorer(nothing, agent, nothing, words, met, cases, decide, decide(observation, mask))


@pytest.fixture(scope="module")
def chooser() -> Explorer:
    return explorer_of("one layer", NAMES)


@pytest.fixture(scope="module")
def setter() -> Explorer:
    return explorer_of("amounts, clipped")


def choices(**limits: Any) -> GuardrailLimits:
    return GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=0, **limits))


def behind(explorer: Explorer, limits: GuardrailLimits, fallback: Any = 0) -> Guardrail:
    return Guardrail(limits, explorer.agent, Always(fallback))


def test_a_closed_choice_leaves_its_probability_to_the_others_in_proportion(
    chooser: Explorer,
) -> None:
    unmasked: Any = SimpleNamespace(**{**vars(chooser.states), "mask": None})
    open_to_all = replace(chooser, states=unmasked)
    free = learned(chooser.agent, chooser.words)(chooser.states.observation, None).probability
    found = held(open_to_all, behind(chooser, choices(closed=(2,)))).explorer.answers.probability
    assert free is not None
    assert found is not None
    np.testing.assert_array_equal(found[:, 2], 0.0)
    expected = free / (1.0 - free[:, 2:3])
    np.testing.assert_allclose(found[:, [0, 1, 3]], expected[:, [0, 1, 3]], rtol=1e-5)


def test_the_distribution_is_the_guardrails_own(chooser: Explorer) -> None:
    guardrail = behind(chooser, replace(choices(closed=(1,)), support=WHERE))
    found = held(chooser, guardrail).explorer.answers.probability
    observation, mask = chooser.states.observation, chooser.states.mask
    assert found is not None
    for choice in range(4):
        everywhere = np.full(STATES, choice)
        told = np.exp(guardrail.log_prob(observation, everywhere, mask))
        np.testing.assert_allclose(found[:, choice], told, atol=1e-5)
    forced = (np.abs(observation) > 3).any(axis=1)
    assert 0 < forced.sum() < STATES
    np.testing.assert_array_equal(found[forced], np.eye(4)[0][None].repeat(forced.sum(), 0))


def test_the_reasons_are_counted_and_a_closed_choice_is_called_by_its_name(
    chooser: Explorer,
) -> None:
    found = held(chooser, behind(chooser, replace(choices(closed=(2,)), support=WHERE)))
    wanted = int((chooser.answers.choice == 2).sum())
    far = int((np.abs(chooser.states.observation) > 3).any(axis=1).sum())
    assert wanted > 0
    assert set(found.why) == {
        HeldBack(f"“push” is {CLOSED}", wanted),
        HeldBack("an observation was far outside what training saw", far),
    }
    assert [one.states for one in found.why] == sorted((wanted, far), reverse=True)
    shipped = found.explorer.answers.choice
    assert found.changed == pytest.approx((shipped != chooser.answers.choice).mean())


def test_one_state_says_what_holds_it_and_its_options_why_not(chooser: Explorer) -> None:
    found = held(chooser, behind(chooser, choices(closed=(2,))))
    observation, mask = chooser.states.observation, chooser.states.mask
    assert mask is not None
    (row, *_) = np.flatnonzero(chooser.answers.choice == 2)
    (other, *_) = np.flatnonzero(chooser.answers.choice == 3)
    assert found.why_here(observation[row], mask[row]) == (f"“push” is {CLOSED}",)
    assert found.why_here(observation[other], mask[other]) == ()
    told = inspect(
        found.explorer.decide, found.explorer.words, observation[row], mask[row], chooser.cases
    )
    push = next(one for one in told.options if one.choice == "push")
    assert (push.probability, push.allowed, push.why_not) == (0.0, False, CLOSED)
    assert told.action != "push"


@pytest.mark.parametrize("change", [None, 0.05])
def test_amounts_are_those_that_the_guardrail_ships(setter: Explorer, change: float | None) -> None:
    limits = GuardrailLimits(
        amounts=AmountLimits(floor=-0.2, cap=0.1, change=change), support=WHERE
    )
    guardrail = behind(setter, limits, (0.0, 0.0))
    found = held(setter, guardrail)
    rng = np.random.default_rng(0)
    shipped = guardrail.act(setter.states.observation, rng, deterministic=True)
    answers = found.explorer.answers
    np.testing.assert_allclose(answers.value, shipped[:, 0])
    assert answers.low is not None
    assert answers.high is not None
    least, most = (-0.2, 0.1) if change is None else (-0.05, 0.05)
    for ends in (answers.low, answers.value, answers.high):
        assert ends.min() >= least - 1e-9
        assert ends.max() <= most + 1e-9
    assert (answers.low <= answers.value).all()
    assert (answers.value <= answers.high).all()
    named = "the amount was above the cap" if change is None else "too far from the champion's"
    assert any(named in one.why for one in found.why)
    assert 0 < found.changed <= 1


def test_limits_that_nothing_breaks_change_nothing(setter: Explorer, chooser: Explorer) -> None:
    wide = GuardrailLimits(amounts=AmountLimits(floor=-1.0, cap=1.0))
    for explorer, limits in ((setter, wide), (chooser, choices())):
        found = held(explorer, behind(explorer, limits, 0 if explorer is chooser else (0.0, 0.0)))
        assert (found.why, found.not_asked) == ((), ())
        if explorer is setter:
            assert found.changed == 0.0
            np.testing.assert_array_equal(found.explorer.answers.value, setter.answers.value)


def test_before_and_after_stand_side_by_side() -> None:
    before = Answers(np.array([0.0, 1.0]), np.eye(2))
    after = Answers(np.array([0.0, 0.0]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    mix = mix_beside(before, after, ("free", "held"))
    assert mix.groups == ("free", "held")
    assert mix.share is not None
    np.testing.assert_allclose(mix.share, [[0.5, 0.5], [1.0, 0.0]])
    amounts = mix_beside(Answers(np.array([1.0, 3.0])), Answers(np.array([1.0, 1.0])), ("a", "b"))
    assert amounts.quantiles is not None
    np.testing.assert_allclose(amounts.quantiles[:, 2], [2.0, 1.0])
