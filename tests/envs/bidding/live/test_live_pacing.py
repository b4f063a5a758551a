"""A live day is the simulator's day: fed with the same wins it sees and bids the same."""

from __future__ import annotations

import numpy as np
import pytest

from envs import load_decision
from envs.bidding.live import pacing
from envs.bidding.live.plan import Plan, plan_of, price_of, shaded
from envs.bidding.live_form import live_terms
from envs.bidding.world import BiddingSettings, BiddingWorld

HALF_HOUR = 1800.0


def world_of(**settings: object) -> BiddingWorld:
    card = load_decision("bidding")
    from envs.bidding.env import sample_settings

    chosen = BiddingSettings(**sample_settings(settings))
    world = card.true_world("default", 3, chosen, np.random.default_rng(1))
    assert isinstance(world, BiddingWorld)
    return world


def plan(world: BiddingWorld, budget: float | None = None) -> Plan:
    return plan_of(live_terms(world, None)["plan"], budget)


@pytest.mark.parametrize("target_cpa", [None, 2.0])
def test_fed_with_a_simulated_days_wins_it_observes_what_the_simulator_does(
    target_cpa: float | None,
) -> None:
    world = world_of(target_cpa=target_cpa)
    terms, rng = plan(world), np.random.default_rng(0)
    state = world.initial(1, rng)
    weekday = int(world.days.weekday[state.day[0]])
    day = 7 + (weekday - pacing.THURSDAY) % 7  # a day since 1970 with that weekday
    live = pacing.begun(day, 0, terms)
    compared = 0
    for slot in range(world.horizon):
        live = pacing.moved_to(live, day, slot, terms)
        np.testing.assert_allclose(
            pacing.observed(live, terms), world.observe(state)[0], atol=2e-4, err_msg=str(slot)
        )
        action = np.array([[rng.uniform(-1, 1)]], np.float32)
        control = world.control(state, action)
        live.log_lambda = pacing.log_lambda_of(live, terms, float(action[0, 0]))
        assert live.log_lambda == pytest.approx(float(control[0]), abs=1e-6)
        before = state
        outcome = world.step(state, control, rng)
        state = outcome.state
        wins, spend = (float(outcome.kpis[name][0]) for name in ("wins", "spend"))
        promised = float(state.promised[0] - before.promised[0])
        live.slot_seen = float(outcome.kpis["impressions"][0])
        for _ in range(round(wins)):
            pacing.won(live, spend / wins, promised / wins)
        live.clicks += float(outcome.kpis["clicks"][0])
        compared += 1
        if outcome.terminated[0]:
            break
    assert compared > 20
    assert live.spend == pytest.approx(float(state.spend[0]), rel=1e-6)


def test_bids_are_the_simulators_formula() -> None:
    second, first = world_of(), world_of(auction="first_price")
    terms = plan(second)
    assert price_of(terms, 0.002, np.log(2.0)) == pytest.approx(0.001)
    assert price_of(terms, 1e9, 0.0) == terms.bid_cap
    assert price_of(terms, 1.0, -1000.0) == terms.bid_cap  # finite whatever lambda is
    shading = plan(first)
    grid = np.exp(shading.worth_low + np.arange(len(shading.shading)) * shading.worth_step)
    for point in (100, 400, 900):
        worth = float(grid[point] * 1.0001)
        assert shaded(shading, worth) == min(worth, shading.shading[point])
    assert shaded(shading, 0.0) == 0.0


def test_slots_without_a_request_are_closed_as_empty_ones() -> None:
    terms = plan(world_of())
    live = pacing.begun(10, 3, terms)
    pacing.won(live, 0.001, 0.002)
    live.slot_seen = 10.0
    live = pacing.moved_to(live, 10, 9, terms)
    assert live.slot == 9
    assert live.win_rate == 0.1
    assert live.slot_wins == 0.0
    assert live.pace_average < -1.0  # nothing was spent for hours


def test_a_new_day_begins_afresh_and_a_noted_one_goes_on() -> None:
    terms = plan(world_of())
    live = pacing.begun(10, 3, terms)
    pacing.won(live, 0.5, 0.6)
    values = live.as_plain()
    assert pacing.noted(values, 10, 5, terms) == live
    assert pacing.noted(values, 11, 0, terms).spend == 0.0
    assert pacing.noted(None, 10, 5, terms).spend == 0.0
    assert pacing.moved_to(live, 11, 0, terms).spend == 0.0


def test_slots_are_half_hours_of_the_utc_day() -> None:
    terms = plan(world_of())
    assert pacing.slot_of(0.0, terms) == (0, 0)
    assert pacing.slot_of(86_400 + HALF_HOUR * 47.99, terms) == (1, 47)


def test_a_budget_far_from_the_trained_ones_is_refused() -> None:
    world = world_of()
    trained = float(world.terms.budget[0])
    near = plan(world, trained * 1.5)
    assert near.budget == trained * 1.5
    assert near.log_tightness == pytest.approx(float(world.terms.log_tightness[0]) + np.log(1.5))
    with pytest.raises(ValueError, match="train it for this one"):
        plan(world, trained * 3)
