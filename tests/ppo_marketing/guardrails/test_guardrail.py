"""A guarded policy is a policy: it acts, says how likely that was, and cannot step outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import (
    Always,
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Context,
    Counted,
    Guardrail,
    GuardrailLimits,
    Interventions,
    Reason,
    Support,
)
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig

SIZE, CHOICES = 3, 4
SEEN = Support(low=(-1.0,) * SIZE, high=(1.0,) * SIZE, margin=1.0)
MENU = GuardrailLimits(choices=ChoiceLimits(choices=CHOICES, nothing=0, closed=(3,)), support=SEEN)
RANGE = GuardrailLimits(amounts=AmountLimits(floor=-0.3, cap=0.3, change=0.4), support=SEEN)


class Watched:
    """A policy that keeps what it was shown."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.shown: list[Any] = []

    def act(
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        self.shown.append((observation, mask))
        return np.full(len(observation), self.answer)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        return np.zeros(len(observation))


def learned(space: spaces.Space[Any], seed: int = 1) -> Agent:
    """An agent whose answers depend on what it sees."""
    rng = np.random.default_rng(seed)
    agent = Agent.create(
        spaces.Box(-np.inf, np.inf, (SIZE,)), space, PPOConfig(start="random"), rng
    )
    for weights in agent.actor.weights:
        weights.data.mul_(4.0)
    return agent


def kinds(limits: GuardrailLimits) -> list[Any]:
    """Every kind of policy: learned, always the same, one that answers nonsense."""
    if limits.choices is not None:
        return [learned(spaces.Discrete(CHOICES)), Always(2), Always(3), Watched(np.nan)]
    return [learned(spaces.Box(-1.0, 1.0, (1,))), Always((0.9,)), Always((0.0,)), Always((np.nan,))]


observations = hnp.arrays(
    np.float32, st.tuples(st.integers(0, 5), st.just(SIZE)), elements=st.floats(width=32)
)


@pytest.mark.parametrize("limits", [MENU, RANGE], ids=["choices", "amounts"])
@given(
    observation=observations, policy=st.integers(0, 3), fallback=st.integers(0, 3),
    deterministic=st.booleans(), data=st.data(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_policy_steps_outside_whatever_it_observes(
    limits: GuardrailLimits, observation: Any, policy: int, fallback: int, deterministic: bool,
    data: Any,
) -> None:  # fmt: skip
    policies = kinds(limits)
    rail = Guardrail(limits, policies[policy], policies[fallback])
    mask = None
    if limits.choices is not None:
        mask = data.draw(hnp.arrays(np.bool_, (len(observation), CHOICES)))
    guarded = rail.guarded(observation, np.random.default_rng(0), mask, deterministic=deterministic)
    if mask is not None:
        allowed = mask.copy()
        allowed[:, 3], allowed[:, 0] = False, True
        assert allowed[np.arange(len(observation)), guarded.action].all()
    else:
        assert (np.abs(guarded.action) <= 0.3).all()
        assert (np.abs(guarded.action - guarded.reference) <= 0.4).all()
    strange = (~np.isfinite(observation) | (np.abs(observation) > 3.0)).any(axis=1)
    assert (guarded.action[strange] == guarded.reference[strange]).all()
    assert guarded.interventions.decisions == len(observation)


def test_neither_policy_is_shown_what_training_never_saw() -> None:
    policy, fallback = Watched(1), Watched(2)
    rail = Guardrail(MENU, policy, fallback)
    observation = np.array([[0.0, 0.5, -0.5], [np.nan, np.inf, 1e30], [9.0, -9.0, 0.0]], np.float32)
    guarded = rail.guarded(observation, np.random.default_rng(0))
    for seen in (policy, fallback):
        shown, mask = seen.shown[0]
        assert shown.dtype == np.float32
        np.testing.assert_array_equal(shown[0], observation[0])
        assert (np.abs(shown) <= 3.0).all()
        assert mask.tolist() == [[True, True, True, False]] * 3
    assert guarded.action.tolist() == [1, 2, 2]
    assert guarded.interventions.counts == {Reason.NON_FINITE_INPUT: 1, Reason.OUT_OF_SUPPORT: 1}


def test_wide_limits_leave_a_policy_as_it_is(rng: np.random.Generator) -> None:
    agent = learned(spaces.Discrete(CHOICES))
    rail = Guardrail(GuardrailLimits(choices=ChoiceLimits(choices=CHOICES)), agent, Always(0))
    observation = rng.normal(size=(500, SIZE))
    mask = rng.random((500, CHOICES)) < 0.7
    mask[:, 1] = True
    same = np.random.default_rng(3), np.random.default_rng(3)
    guarded = rail.guarded(observation, same[0], mask)
    np.testing.assert_array_equal(guarded.action, agent.act(observation, same[1], mask))
    assert guarded.interventions == Interventions(decisions=500)
    np.testing.assert_allclose(
        rail.log_prob(observation, guarded.action, mask),
        agent.log_prob(observation, guarded.action, mask),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_limits_that_need_units_or_time_are_never_dropped_in_silence() -> None:
    limits = GuardrailLimits(
        choices=ChoiceLimits(choices=CHOICES, nothing=0), budget=Budget(day=1.0)
    )
    rail = Guardrail(limits, Always(1), Always(1))
    observation = np.zeros((2, SIZE))
    with pytest.raises(UserError, match="act knows no day, cost, which these limits need"):
        rail.act(observation, np.random.default_rng(0))
    with pytest.raises(UserError, match="log_prob knows no day, cost"):
        rail.log_prob(observation, np.zeros(2))
    with pytest.raises(UserError, match="needs an observation"):
        rail.decide(Context(day=1, cost=np.ones((2, CHOICES))), np.random.default_rng(0))
    alone = Guardrail(limits.alone(), Always(1), Always(1))
    assert alone.act(observation, np.random.default_rng(0)).tolist() == [1, 1]


def test_a_policy_is_not_offered_what_a_cap_has_used_up() -> None:
    limits = GuardrailLimits(
        choices=ChoiceLimits(choices=CHOICES, nothing=0),
        contact_caps=(ContactCap(contacts=1, days=7, choices=(2,)),),
    )
    policy = Watched(2)
    rail = Guardrail(limits, policy, Always(0))
    context = Context(observation=np.zeros((2, SIZE)), unit=["a", "b"], day=1)
    first = rail.decide(context, np.random.default_rng(0))
    assert first.action.tolist() == [2, 2]
    one = Context(observation=np.zeros((2, SIZE)), unit=["a", "c"], day=2)
    second = rail.decide(one, np.random.default_rng(0), first.state)
    assert policy.shown[-1][1].tolist() == [[True, True, False, True], [True] * 4]
    assert second.action.tolist() == [0, 2]


def test_the_probability_of_what_ships_is_its_own_and_what_was_moved_to_it() -> None:
    class Even:
        """Spreads itself over all choices, whatever is allowed."""

        def act(self, observation: Any, rng: Any, mask: Any = None, **_: Any) -> Any:
            return rng.integers(0, CHOICES, len(observation))

        def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
            return np.full(len(observation), np.log(1 / CHOICES))

    rail = Guardrail(MENU, Even(), Always(1))
    mask = np.array([[True, True, False, True]])

    def probability(choice: int) -> float:
        one = np.array([choice])
        return float(np.exp(rail.log_prob(np.zeros((1, SIZE)), one, mask))[0])

    # 2 is masked and 3 is closed: their half goes to the fallback's choice, 1.
    assert [probability(choice) for choice in range(4)] == pytest.approx([0.25, 0.75, 0.0, 0.0])
    shipped = rail.act(
        np.zeros((20_000, SIZE)), np.random.default_rng(0), np.tile(mask, (20_000, 1))
    )
    assert np.bincount(shipped, minlength=4) / 20_000 == pytest.approx(
        [0.25, 0.75, 0, 0], abs=0.015
    )
    elsewhere = rail.log_prob(np.full((2, SIZE), np.nan), np.array([1, 0]))
    assert elsewhere.tolist() == [0.0, -np.inf]


def test_amounts_have_a_density_inside_the_range_and_none_where_a_guard_puts_a_mass() -> None:
    agent = learned(spaces.Box(-1.0, 1.0, (1,)))
    held = GuardrailLimits(amounts=AmountLimits(floor=-0.3, cap=0.3), support=SEEN)
    rail = Guardrail(held, agent, Always((0.0,)))
    observation = np.zeros((3, SIZE), np.float32)
    amounts = np.array([[0.1], [-0.2], [0.5]])
    density = rail.log_prob(observation, amounts)
    np.testing.assert_allclose(density[:2], agent.log_prob(observation, amounts)[:2])
    assert density[2] == -np.inf
    with pytest.raises(UserError, match="not defined for 1 of 3 amounts"):
        rail.log_prob(observation, np.array([[0.1], [0.3], [0.0]]))
    with pytest.raises(UserError, match="not defined for 3 of 3 amounts"):
        rail.log_prob(observation + 99, amounts)
    with pytest.raises(UserError, match="while changes of an amount are limited"):
        Guardrail(RANGE, agent, Always((0.0,))).log_prob(observation, amounts)


def test_interventions_add_up_over_calls_and_survive_json() -> None:
    counted = Counted(Guardrail(MENU, Always(3), Always(1)))
    for _ in range(3):
        counted.act(np.zeros((4, SIZE)), np.random.default_rng(0))
    assert counted.interventions == Interventions(12, 12, {Reason.NOT_ELIGIBLE: 12})
    assert Interventions.from_dict(counted.interventions.as_dict()) == counted.interventions
    with pytest.raises(UserError) as refused:
        Interventions.from_dict({"decisions": -1, "count": {}, "counts": {"magic": 1.5}})
    for part in ("decisions is -1", "count: unknown", "counts.magic: no such reason", "1.5"):
        assert part in str(refused.value)


def test_always_is_a_policy_of_probabilities() -> None:
    assert Always(2).log_prob(np.zeros((2, 1)), np.array([2, 1])).tolist() == [0.0, -np.inf]
    both = Always((0.5, 1.0))
    assert both.act(np.zeros((0, 1)), np.random.default_rng(0)).shape == (0, 2)
    assert both.log_prob(np.zeros((1, 1)), np.array([[0.5, 1.0]])).tolist() == [0.0]
