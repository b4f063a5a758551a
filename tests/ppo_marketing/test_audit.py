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
    log_lift,
    lower_percentile,
    proposed,
    residuals,
    unsupported_share,
)
from ppo_marketing.gate import GateRules, Reason, judge
from ppo_marketing.ope.feedback import LEAST_ROWS
from ppo_marketing.ope.lift import lift_over_logging
from tests.support.fourth_decision.pricing import DECISION
from tests.support.fourth_decision.pricing.rules import FixedPrice
from tests.support.fourth_decision.pricing.world import PricingSettings, PricingWorld
from tests.support.small_mdp import SmallMdp, draw_log, small_mdp

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def logged(n: int = 200, **changed: Any) -> LoggedDecisions:
    """`n` decisions that stand alone, each of another customer, all in one group and one cell."""
    rows = np.arange(n)
    plain: dict[str, Any] = {
        "observation": np.zeros((n, 1), np.float32),
        "mask": None,
        "action": np.zeros(n, np.int64),
        "propensity": np.full(n, 0.5),
        "propensities": "logged",
        "reward": np.zeros(n),
        "event": np.zeros(n),
        "weight": np.ones(n),
        "unit": rows,
        "sequence": rows,
        "step": np.zeros(n, np.int64),
        "terminal": True,
        "cell": np.zeros(n, np.int64),
        "cell_of": lambda observation: np.asarray(observation[:, 0], np.int64),
        "seen": np.full((1, 2), 1000.0),
        "group": np.zeros(n, np.int64),
        "groups": ("all",),
        "foretold": np.full((1, n), 0.1),
        "expected": lambda index: np.zeros((len(index), 2)),
        "actions": ("stay", "go"),
        "discount": 1.0,
    }
    return LoggedDecisions(**plain | changed)


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


def alone(n: int = 4000, *, seed: int = 0, go: float = 0.5) -> LoggedDecisions:
    """Going pays 1.2 on average, staying 1; a model that is a tenth too high throughout."""
    rng = np.random.default_rng(seed)
    action = (rng.random(n) < go).astype(np.int64)
    reward = np.where(action == 1, 1.2, 1.0) + 0.5 * rng.normal(size=n)
    return logged(
        n,
        action=action,
        propensity=np.where(action == 1, go, 1 - go),
        reward=reward,
        expected=lambda index: np.tile([1.1, 1.3], (len(index), 1)),
    )


def test_the_lift_of_rows_is_the_doubly_robust_one_less_the_logs_mean() -> None:
    log = alone()
    found = log_lift(log, np.ones(log.size, np.int64), 400, np.random.default_rng(1))
    w = (log.action == 1) / log.propensity
    q = np.where(log.action == 1, 1.3, 1.1)
    robust = (1.3 + w * (log.reward - q)).mean()
    assert found.logging == pytest.approx(log.reward.mean())
    assert found.value == pytest.approx(robust - log.reward.mean())
    assert found.effective_n == pytest.approx((log.action == 1).sum())
    assert found.low is not None
    assert 0 < found.low < 0.1 < found.value + 0.05
    assert found.cannot == ()
    assert "doubly robust" in found.method
    assert "logged" in found.method


def test_impressions_of_a_row_weigh_as_many_rows_and_what_runs_today_has_no_lift() -> None:
    log = alone(600)
    weighted = replace(log, weight=np.where(np.arange(600) < 300, 3.0, 1.0))
    twice = np.r_[np.repeat(np.arange(300), 3), np.arange(300, 600)]
    repeated = logged(
        len(twice),
        action=log.action[twice],
        propensity=log.propensity[twice],
        reward=log.reward[twice],
        expected=log.expected,
    )
    every = [
        log_lift(one, np.ones(one.size, np.int64), 50, np.random.default_rng(0)).value
        for one in (weighted, repeated)
    ]
    assert every[0] == pytest.approx(every[1])
    as_logged = replace(log, propensity=np.ones(600))
    same = log_lift(as_logged, as_logged.action, 50, np.random.default_rng(0))
    assert same.value == pytest.approx(0.0, abs=1e-12)


def test_a_log_that_hardly_went_there_gives_no_bound_and_says_why() -> None:
    thin = alone(go=0.02)
    found = log_lift(thin, np.ones(thin.size, np.int64), 50, np.random.default_rng(0))
    assert found.low is None
    assert "the effective sample size is" in found.cannot[0]
    assert found.effective_n < 200


def test_rows_that_the_simulator_never_learnt_from_give_no_bound() -> None:
    blind = replace(alone(), seen=np.array([[1000.0, LEAST_ROWS - 1.0]]))
    found = log_lift(blind, np.ones(blind.size, np.int64), 50, np.random.default_rng(0))
    assert found.low is None
    assert "hardly in the log" in found.cannot[0]
    known = replace(blind, seen=np.array([[1000.0, float(LEAST_ROWS)]]))
    # What the log did and the policy does not do need not be known.
    elsewhere = replace(blind, seen=np.array([[0.0, 1000.0]]))
    for enough in (known, elsewhere):
        again = log_lift(enough, np.ones(blind.size, np.int64), 50, np.random.default_rng(0))
        assert again.low is not None


def followed(
    mdp: SmallMdp, customers: int, steps: int, *, terminal: bool, seed: int = 3
) -> LoggedDecisions:
    """A log of the small problem as the gate reads it; each trajectory is a customer."""
    log = draw_log(mdp, customers, steps, np.random.default_rng(seed)).cells
    return logged(
        len(log.step),
        action=log.action,
        propensity=mdp.logging[log.cell, log.action],
        reward=log.reward,
        unit=log.trajectory,
        sequence=log.trajectory,
        step=log.step,
        terminal=terminal,
        cell=log.cell,
        seen=np.full((log.cells, log.actions), 1000.0),
        expected=None,
        actions=("a", "b", "c"),
        discount=mdp.discount,
    )


def greedy(mdp: SmallMdp) -> Floats:
    """The most likely action of the target, one-hot `[S, A]`."""
    return np.asarray(np.eye(mdp.target.shape[1])[mdp.target.argmax(axis=1)])


@pytest.mark.parametrize(
    ("mdp", "steps", "terminal", "horizon"),
    [
        (small_mdp(0.9), 150, True, None),  # to the end
        (small_mdp(0.9, ends=0.0), 8, False, None),  # without end, from histories cut after 8
        (small_mdp(1.0, ends=0.0), 6, False, 6),  # so many steps, undiscounted
    ],
)
def test_the_lift_of_sequences_is_the_exact_one_within_its_error(
    mdp: SmallMdp, steps: int, terminal: bool, horizon: int | None
) -> None:
    log = followed(mdp, 1500, steps, terminal=terminal)
    policy = greedy(mdp)
    exact = mdp.value(policy, horizon) - mdp.value(mdp.logging, horizon)
    action = policy.argmax(axis=1)[log.cell]
    found = log_lift(log, action, 100, np.random.default_rng(0))
    assert found.low is not None
    error = (found.value - found.low) / 1.645
    assert 0 < error < 0.25
    assert found.value == pytest.approx(exact, abs=3 * error)
    assert found.logging == pytest.approx(mdp.value(mdp.logging, horizon), rel=0.1)
    assert found.effective_n == 1500
    assert found.unit == "customer"


def test_the_bound_of_a_lift_of_sequences_is_one_sided_at_95_percent() -> None:
    mdp = small_mdp()
    cells = draw_log(mdp, 800, 150, np.random.default_rng(3)).cells
    log = followed(mdp, 800, 150, terminal=True)
    action = greedy(mdp).argmax(axis=1)[log.cell]
    two_sided = lift_over_logging(
        cells, greedy(mdp), discount=mdp.discount, rng=np.random.default_rng(0), repetitions=100,
        level=0.90,
    )  # fmt: skip
    found = log_lift(log, action, 100, np.random.default_rng(0))
    assert found.low == pytest.approx(two_sided.lift.low)


def test_sequences_in_which_a_step_is_hardly_in_the_log_give_no_bound() -> None:
    mdp = small_mdp()
    never = mdp.logging.copy()
    never[:, 2] = 0.0
    blind = mdp._replace(logging=never / never.sum(1, keepdims=True))
    log = followed(blind, 400, 60, terminal=True)
    found = log_lift(log, np.full(log.size, 2), 20, np.random.default_rng(0))
    assert found.low is None
    assert "100 % of its decisions in some step are hardly in the log" in found.cannot[0]


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
