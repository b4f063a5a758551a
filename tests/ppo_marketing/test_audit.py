"""What the gate judges is measured right: every number against one worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.logged import LoggedDecisions
from envs.core.world import Outcome
from ppo_marketing.audit import (
    LEAST_GROUP_ROWS,
    audited,
    effective_positives,
    lower_percentile,
    proposed,
    residuals,
    unsupported_share,
)
from ppo_marketing.gate import GateRules, Reason, judge
from ppo_marketing.ope.feedback import LEAST_ROWS
from tests.support.fourth_decision.pricing import DECISION
from tests.support.fourth_decision.pricing.rules import FixedPrice
from tests.support.fourth_decision.pricing.world import PricingSettings, PricingWorld
from tests.support.logged_decisions import logged

Floats = NDArray[np.float64]


Ints = NDArray[np.int64]


def events(n: int, count: int) -> Floats:
    """`count` events, then none."""
    return (np.arange(n) < count).astype(np.float64)


def z_of(log: LoggedDecisions) -> float:
    (found,) = residuals(log, np.ones(log.size, np.bool_))
    return found.z


def test_a_residual_without_spread_is_the_excess_over_the_noise() -> None:
    (found,) = residuals(logged(event=events(200, 10)), np.ones(200, np.bool_))
    assert (found.group, found.rows, found.observed) == ("all", 200.0, 10.0)
    assert found.foretold == pytest.approx(20.0)
    # The noise is 200 x .1 x .9 = 18, more than the rows' squares, 10 x .81 + 190 x .01 = 10.
    assert found.z == pytest.approx(10 / np.sqrt(18))


def test_the_spread_of_the_members_counts_as_well() -> None:
    # Members foretell 18 and 22: a variance of 8.
    two = np.repeat([[0.09], [0.11]], 200, axis=1)
    assert z_of(logged(event=events(200, 10), foretold=two)) == pytest.approx(10 / np.sqrt(26))


def test_the_spread_counts_for_at_most_the_noise_so_that_ignorance_excuses_nothing() -> None:
    # Members foretell 10 and 30: a variance of 200, of which 18 count.
    two = np.repeat([[0.05], [0.15]], 200, axis=1)
    assert z_of(logged(event=events(200, 10), foretold=two)) == pytest.approx(10 / np.sqrt(36))


def test_events_of_one_customer_are_not_independent_of_each_other() -> None:
    # Ten customers of 20 rows: one has all ten events, 8 more than foretold; nine have 2 too few.
    log = logged(event=events(200, 10), unit=np.arange(200) // 20)
    assert z_of(log) == pytest.approx(10 / np.sqrt(8**2 + 9 * 2**2))


def test_a_row_of_ten_impressions_counts_for_ten() -> None:
    log = logged(20, weight=np.full(20, 10.0), event=events(20, 1))
    (found,) = residuals(log, np.ones(20, np.bool_))
    assert (found.rows, found.observed) == (200.0, 10.0)
    # 10 x .9 too many in one row, 10 x .1 too few in nineteen.
    assert found.z == pytest.approx(10 / np.sqrt(9**2 + 19 * 1**2))


def test_more_events_than_were_foretold_are_below_zero() -> None:
    # 20 too many; the rows' squares, 40 x .81 + 160 x .01 = 34, are more than 18.
    assert z_of(logged(event=events(200, 40))) == pytest.approx(-20 / np.sqrt(34))


def test_only_rows_that_agree_count_and_groups_of_fewer_than_200_are_left_out() -> None:
    n = 2 * LEAST_GROUP_ROWS
    group = (np.arange(n) >= LEAST_GROUP_ROWS).astype(np.int64)
    log = logged(n, group=group, groups=("first", "second"), event=events(n, 10))
    agrees = np.ones(n, np.bool_)
    agrees[-1] = False
    (found,) = residuals(log, agrees)
    assert found.group == "first"
    agrees[0] = False
    assert residuals(log, agrees) == ()
    assert [r.group for r in residuals(log, np.ones(n, np.bool_))] == ["first", "second"]


def test_events_of_equal_chance_are_counted() -> None:
    log = logged(event=events(200, 30))
    assert effective_positives(log, np.ones(200, np.bool_)) == pytest.approx(30.0)
    assert effective_positives(log, np.arange(200) >= 20) == pytest.approx(10.0)
    assert effective_positives(log, np.zeros(200, np.bool_)) == 0.0


def test_one_rare_event_outweighs_the_common_ones() -> None:
    propensity = np.full(200, 0.5)
    propensity[2] = 0.01
    log = logged(event=events(200, 3), propensity=propensity)
    # Weights 2, 2 and 100: 104 squared over 4 + 4 + 10,000.
    found = effective_positives(log, np.ones(200, np.bool_))
    assert found == pytest.approx(104**2 / 10_008)


def test_a_row_of_many_impressions_holds_many_events() -> None:
    log = logged(2, weight=np.array([70.0, 30.0]), event=np.array([1.0, 1.0]))
    assert effective_positives(log, np.ones(2, np.bool_)) == pytest.approx(100.0)


@given(propensity=arrays(np.float64, 50, elements=st.floats(0.001, 1.0)), count=st.integers(1, 50))
def test_there_are_never_more_effective_events_than_events(propensity: Floats, count: int) -> None:
    log = logged(50, event=events(50, count), propensity=propensity)
    found = effective_positives(log, np.ones(50, np.bool_))
    assert 1 - 1e-9 <= found <= count * (1 + 1e-9)


@dataclass(frozen=True)
class Fixed:
    """Always one action; draws another where it is not asked for its most likely one."""

    action: int

    def act(
        self, observation: Any, rng: Any, mask: Any = None, *, deterministic: bool = False
    ) -> Any:
        return np.full(len(observation), self.action if deterministic else 0)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        return np.where(action == self.action, 0.0, -np.inf)


def test_a_policy_is_judged_by_its_most_likely_action() -> None:
    log = logged(4, action=np.array([0, 1, 1, 0]))
    found = proposed(Fixed(1), log, np.random.default_rng(0))
    assert found.action.tolist() == [1, 1, 1, 1]
    assert found.agrees.tolist() == [False, True, True, False]


def priced(regular: list[list[int]], chance: float = 0.5) -> PricingWorld:
    """Days of six customers, regular or not, each of whom buys with the same chance."""
    days = len(regular)
    return PricingWorld(
        regular=np.array(regular),
        luck=np.full((days, 6), 0.4),
        chance=np.full((days, 2, 4), chance),
        settings=PricingSettings(),
    )


def share_of(world: PricingWorld, price: int, seen: Floats) -> float:
    actor: Any = FixedPrice(index=price)
    return unsupported_share(actor, world, logged(seen=seen), world.episodes, 0)


def test_the_unsupported_share_is_of_decisions_where_the_log_has_fewer_than_30_rows() -> None:
    world = priced([[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]])  # a quarter are regular
    seen = np.full((2, 4), float(LEAST_ROWS))
    assert share_of(world, 2, seen) == 0.0
    seen[1, 2] = LEAST_ROWS - 1
    assert share_of(world, 2, seen) == pytest.approx(0.25)
    assert share_of(world, 1, seen) == 0.0
    seen[0, 2] = 0.0
    assert share_of(world, 2, seen) == 1.0


class Walk(NamedTuple):
    """How long each copy's episode is and how far it has come, `[n]`."""

    length: Ints
    place: Ints


class Corridor:
    """Episodes of one step and of three; the cell is the place."""

    horizon = 3
    episodes = 2

    def initial(self, n: int, rng: Generator) -> Walk:
        return Walk(np.where(np.arange(n) % 2 == 0, 1, 3), np.zeros(n, np.int64))

    def observe(self, state: Walk) -> Any:
        return state.place[:, None].astype(np.float32)

    def step(self, state: Walk, control: Any, rng: Generator) -> Outcome[Walk]:
        after = Walk(state.length, np.minimum(state.place + 1, 2))
        over = state.place + 1 >= state.length
        return Outcome(after, np.zeros(len(over)), over, np.zeros_like(over), {})


@dataclass(frozen=True)
class Always:
    """One control in any world."""

    index: int
    name: str = "always"

    def arena(self, world: Any, rng: Any) -> Any:
        return world

    def control(self, world: Any, state: Any, rng: Any) -> Any:
        return np.full(len(state[0]), self.index)


def test_a_copy_that_has_ended_decides_no_more() -> None:
    seen = np.array([[99.0, 99.0], [99.0, 0.0], [99.0, 99.0]])
    corridor: Any = Corridor()
    # Of two episodes with one and three steps one decision in four is at the second place.
    assert unsupported_share(Always(1), corridor, logged(seen=seen), 2, 0) == pytest.approx(0.25)
    assert unsupported_share(Always(0), corridor, logged(seen=seen), 2, 0) == 0.0


def test_the_lower_percentile_is_of_members() -> None:
    assert lower_percentile(np.arange(101.0)) == pytest.approx(5.0)
    assert lower_percentile([2.0]) == 2.0


@dataclass(frozen=True)
class Market:
    """As much of a calibration as the audit asks for: three members that sell ever better."""

    heldout: PricingWorld | None

    def member_worlds(
        self, episodes: int, settings: Any, rng: Generator
    ) -> tuple[PricingWorld, ...]:
        return tuple(priced([[1] * 6] * 4, chance) for chance in (0.2, 0.4, 0.6))

    def heldout_world(self, settings: Any) -> PricingWorld | None:
        return self.heldout

    def heldout_decisions(self, settings: Any) -> None:
        return None


def audit_of(market: Market, **changed: Any) -> Any:
    calibration: Any = market
    return audited(
        replace(DECISION, **changed), calibration, PricingSettings(), Fixed(2),
        (FixedPrice(index=1), FixedPrice(index=0, name="cheap")),
        training_value=10.0, judging_value=8.0, seed=0, episodes=4, bootstrap=50,
    )  # fmt: skip


def test_held_out_days_that_can_be_replayed_are_compared_day_by_day() -> None:
    # Each of six customers pays 3 rather than 1 half the time, at a cost of .5 an order.
    market = Market(priced([[1] * 6] * 5))
    audit = audit_of(market, logging_rule=lambda calibration: FixedPrice(index=0))
    assert audit.lift.value == pytest.approx(6 * 0.5 * (2.5 - 0.5))
    assert audit.lift.low == pytest.approx(audit.lift.value)
    assert audit.lift.logging == pytest.approx(6 * 0.5 * 0.5)
    assert audit.lift.effective_n == 5
    assert audit.positives == 30  # the luck of .4 is below every chance of .5
    assert audit.unsupported is None
    assert audit.not_applicable.keys() == {"support", "residual"}
    assert audit.optimism_gap == pytest.approx(0.25)


def test_the_ensemble_is_compared_with_the_best_rule_member_by_member() -> None:
    audit = audit_of(Market(None))
    assert audit.best_rule == "one price"
    # Members: 6 x chance x (2.5 - 1.5) = 1.2, 2.4, 3.6; a twentieth of the way is 1.32.
    assert audit.ensemble_lift == pytest.approx(1.32)


def test_a_log_that_says_nothing_of_its_own_policy_shows_nothing_to_be_better() -> None:
    audit = audit_of(Market(None))
    assert audit.lift is None
    assert audit.positives is None
    assert Reason.NOT_SHOWN_BETTER in judge(audit, GateRules()).reasons
