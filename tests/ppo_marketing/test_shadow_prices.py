"""What limits cost, in a world whose values are sums on paper."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

from envs.core.moments import Moments
from envs.core.world import Outcome
from ppo_marketing.guardrails import (
    Always,
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    GuardrailLimits,
    Holdout,
    Quiet,
)
from ppo_marketing.lifts import paired_lift
from ppo_marketing.limit_parts import not_simulated, simulated
from ppo_marketing.shadow_prices import LimitPrice, ShadowPrices, shadow_prices

WIDEST = AmountLimits(floor=-1.0, cap=1.0)


class At(NamedTuple):
    step: Any
    worth: Any


class Paying:
    """Two steps; episode i pays (i + 1) times what `pays` says of each action."""

    horizon = 2
    episodes = 4

    def __init__(self, action_space: spaces.Space[Any], pays: Any) -> None:
        self.action_space, self.pays = action_space, pays
        self.observation_space = spaces.Box(0.0, 10.0, (1,), np.float32)

    def initial(self, n: int, rng: Any) -> At:
        return At(np.zeros(n), np.arange(1.0, n + 1.0))

    def observe(self, state: At) -> Any:
        return state.worth[:, None].astype(np.float32)

    def action_mask(self, state: At) -> Any:
        return None

    def control(self, state: At, action: Any) -> Any:
        return np.asarray(action)

    def step(self, state: At, control: Any, rng: Any) -> Outcome[At]:
        earned = state.worth * self.pays(np.asarray(control).reshape(len(state.worth)))
        after = At(state.step + 1, state.worth)
        over = after.step >= self.horizon
        return Outcome(after, earned, over, np.zeros_like(over), {"value": earned})


class Dated(Paying):
    """Its episodes begin at noon and go on at ten in the evening, one weekday each from Monday."""

    def moments(self, state: At) -> Moments:
        return Moments(
            weekday=(state.worth - 1).astype(np.int64), hour=np.where(state.step == 0, 12.0, 22.0)
        )


def priced(
    world: Paying, policy: Any, limits: GuardrailLimits, units: int | None = None
) -> ShadowPrices:
    return shadow_prices(
        world,  # type: ignore[arg-type] # as much of a world as is played
        policy,
        Always(0 if limits.choices else (0.0,)),
        limits,
        widest=WIDEST if limits.amounts else None,
        value_kpi="value",
        unit="EUR",
        telling=np.array([True, True, True, False]),
        seed=1,
        rng=np.random.default_rng(1),
        units=units,
    )


def of(found: ShadowPrices, name: str, allows: str | None = None) -> LimitPrice:
    return next(x for x in found.limits if x.limit == name and allows in (None, x.allows))


def test_a_cap_costs_what_the_policy_would_earn_beyond_it() -> None:
    # The policy wants .8, worth .8 x (1, 2, 3) in each of two steps; the cap allows .5.
    world = Paying(spaces.Box(-1.0, 1.0, (1,)), lambda amount: amount)
    limits = GuardrailLimits(amounts=AmountLimits(floor=-1.0, cap=0.5))
    found = priced(world, Always((0.8,)), limits)
    assert found.unguarded.value == pytest.approx(2 * 0.8 * 2)
    assert found.guarded.value == pytest.approx(2 * 0.5 * 2)
    assert found.cost.value == pytest.approx(2 * 0.3 * 2)
    assert [price.limit for price in found.limits] == ["amounts.cap"]
    cap = of(found, "amounts.cap")
    assert (cap.changed, cap.decisions) == (8, 8), "four episodes of two decisions"
    assert cap.alone == cap.price == found.cost, "the only limit costs the same either way"
    assert found.cost.low < found.cost.value < found.cost.high


def test_the_shadow_price_is_beside_the_other_limits_and_not_alone() -> None:
    # A change of at most .4 from the fallback's 0 binds first; lifting the cap of .5 gains nothing.
    world = Paying(spaces.Box(-1.0, 1.0, (1,)), lambda amount: amount)
    limits = GuardrailLimits(amounts=AmountLimits(floor=-1.0, cap=0.5, change=0.4))
    found = priced(world, Always((0.8,)), limits)
    cap, change = of(found, "amounts.cap"), of(found, "amounts.change")
    assert cap.price.value == 0.0
    assert cap.alone.value == pytest.approx(2 * 0.3 * 2)
    assert change.price.value == pytest.approx(2 * 0.1 * 2)
    assert change.alone.value == pytest.approx(2 * 0.4 * 2)


def test_a_limit_that_keeps_the_policy_from_harm_has_a_negative_price() -> None:
    world = Paying(spaces.Box(-1.0, 1.0, (1,)), lambda amount: -amount)
    limits = GuardrailLimits(amounts=AmountLimits(floor=-1.0, cap=0.5))
    assert priced(world, Always((0.8,)), limits).cost.value == pytest.approx(-2 * 0.3 * 2)


class Favourite:
    """Wants the highest choice that it is offered."""

    def act(self, observation: Any, rng: Any, mask: Any = None, **_: Any) -> Any:
        allowed = np.ones((len(observation), 3), bool) if mask is None else mask
        return 2 - np.argmax(allowed[:, ::-1], axis=1)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        raise NotImplementedError


def test_every_closed_choice_has_a_price_of_its_own() -> None:
    # Choices pay 0, 1 and 5: closing 2 leaves 1; closing 1 as well leaves nothing.
    world = Paying(spaces.Discrete(3), lambda choice: np.array([0.0, 1.0, 5.0])[choice])
    found = priced(
        world, Favourite(), GuardrailLimits(choices=ChoiceLimits(choices=3, closed=(1, 2)))
    )
    first, second = of(found, "choices.closed", "not 1"), of(found, "choices.closed", "not 2")
    assert found.cost.value == pytest.approx(2 * 5 * 2)
    assert first.alone.value == 0.0
    assert first.price.value == pytest.approx(2 * 1 * 2)
    assert (first.changed, second.changed) == (0, 8), "what is wanted is counted, not what is shown"
    assert second.alone.value == pytest.approx(2 * 4 * 2)
    assert second.price.value == pytest.approx(2 * 5 * 2)


def test_no_limits_cost_nothing_and_have_no_price() -> None:
    world = Paying(spaces.Box(-1.0, 1.0, (1,)), lambda amount: amount)
    found = priced(world, Always((0.8,)), GuardrailLimits(amounts=WIDEST))
    assert found.limits == ()
    assert found.cost.value == found.cost.low == found.cost.high == 0.0


def test_quiet_times_cost_what_is_earned_in_them() -> None:
    # Choice 1 pays the episode's number in both steps: at noon, and at ten in the evening.
    world = Dated(spaces.Discrete(2), lambda choice: choice.astype(float))
    quiet = Quiet(hours=(21, 8), weekdays=(1,))
    limits = GuardrailLimits(choices=ChoiceLimits(choices=2, nothing=0), quiet=quiet)
    found = priced(world, Always(1), limits)
    # Mean of 2 x (1, 2, 3); Tuesday's is the second; evenings are half of every day.
    assert found.unguarded.value == pytest.approx(4)
    hours, weekdays = of(found, "quiet.hours"), of(found, "quiet.weekdays")
    assert (hours.allows, weekdays.allows) == ("not from 21 to 8 h", "not on Tue")
    assert hours.alone.value == pytest.approx(2)
    assert weekdays.alone.value == pytest.approx(4 / 3)
    # Beside the other: Tuesday's evening is quiet either way.
    assert hours.price.value == pytest.approx(4 / 3)
    assert weekdays.price.value == pytest.approx(2 / 3)
    assert found.cost.value == pytest.approx(4 - 4 / 3)
    assert (hours.changed, weekdays.changed) == (4, 2)
    assert hours.price.low < hours.price.value < hours.price.high, "paired, and episodes differ"
    assert found.not_simulated == ()


def test_a_suppression_list_and_a_holdout_cost_what_their_share_of_units_earns() -> None:
    world = Paying(spaces.Discrete(3), lambda choice: choice.astype(float))
    menu = ChoiceLimits(choices=3, nothing=0)
    everybody = GuardrailLimits(choices=menu, suppressed=frozenset({"ann", "bob"}))
    found = priced(world, Always(2), everybody, units=2)
    suppressed = of(found, "suppressed")
    assert suppressed.allows == "not 2 ids, at most 1 of units"
    assert suppressed.price.value == found.cost.value == found.unguarded.value == 8
    few = of(priced(world, Always(2), everybody, units=10**9), "suppressed")
    assert few.price.value == 0.0
    held = GuardrailLimits(choices=menu, holdout=Holdout(share=1.0, salt="test"))
    holdout = of(priced(world, Always(2), held, units=10), "holdout.share")
    assert holdout.allows == "100% get champion"
    assert holdout.price.value == pytest.approx(8), "the champion leaves everybody alone"


def test_the_listed_units_are_the_same_whatever_else_is_asked_and_as_many_as_said() -> None:
    class Many(Paying):
        episodes = 2000

    world = Many(spaces.Discrete(2), lambda choice: choice.astype(float))
    limits = GuardrailLimits(
        choices=ChoiceLimits(choices=2, nothing=0),
        suppressed=frozenset(f"unit {number}" for number in range(100)),
        holdout=Holdout(share=0.5, salt="test"),
    )
    found = shadow_prices(
        world,  # type: ignore[arg-type]
        Always(1), Always(0), limits, widest=None, value_kpi="value", unit="EUR",
        telling=np.ones(2000, bool), seed=1, rng=np.random.default_rng(1), units=1000,
    )  # fmt: skip
    listed, held = of(found, "suppressed"), of(found, "holdout.share")
    share = listed.changed / listed.decisions
    assert share == pytest.approx(0.1, abs=0.025)
    assert held.changed / held.decisions == pytest.approx(0.5, abs=0.04)
    # The two are drawn apart: together they leave .9 x .5.
    assert 1 - found.changed / found.decisions == pytest.approx(0.9 * 0.5, abs=0.04)


def test_what_no_simulated_episode_can_ask_is_named() -> None:
    limits = GuardrailLimits(
        choices=ChoiceLimits(choices=3, nothing=0, closed=(1,)),
        budget=Budget(day=5),
        contact_caps=(ContactCap(contacts=1, days=7),),
        quiet=Quiet(weekdays=(6,), weeks=(51,), hours=(21, 8)),
        suppressed=frozenset({"a"}),
    )
    always = ("budget", "contact_caps")
    calendar = ("quiet.hours", "quiet.weekdays", "quiet.weeks")
    assert not_simulated(limits, simulated(limits)) == (*always, *calendar, "suppressed")
    told = Moments(week=np.zeros(1))
    asked = simulated(limits, told, units=5)
    assert asked.quiet == Quiet(weeks=(51,))
    assert not_simulated(limits, asked) == (*always, "quiet.hours", "quiet.weekdays")
    amounts = AmountLimits(floor=0.0, cap=1.0, nothing=0.0, daily_change=1.0)
    daily = GuardrailLimits(amounts=amounts)
    assert not_simulated(daily, simulated(daily)) == ("amounts.daily_change",)


def test_a_paired_lift_is_certain_where_every_episode_gains_the_same() -> None:
    theirs = np.array([1.0, 5.0, 30.0])
    lift = paired_lift(
        theirs + 2, theirs, unit="EUR", repetitions=200, rng=np.random.default_rng(0)
    )
    assert (lift.value.value, lift.value.low, lift.value.high) == pytest.approx((2.0, 2.0, 2.0))
    assert lift.probability == 1.0
    assert lift.mine.low < lift.theirs.value + 2 < lift.mine.high


def test_the_probability_of_a_lift_is_a_half_where_gains_and_losses_mirror_each_other() -> None:
    gains = np.tile([1.0, -1.0], 200)
    lift = paired_lift(
        gains, np.zeros(400), unit="EUR", repetitions=4000, rng=np.random.default_rng(0)
    )
    # 4,000 draws: a standard error of .008; ties at exactly 0 (4 % of draws) are no lift.
    assert lift.probability == pytest.approx(0.48, abs=0.035)
