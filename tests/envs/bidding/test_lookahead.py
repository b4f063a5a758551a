"""Model-predictive control: its table of history and the lambda it solves for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.bidding.days import rebuilt
from envs.bidding.generator import PRESETS, GeneratedMarket
from envs.bidding.lookahead import Lookahead, ModelPredictive
from envs.bidding.oracle import solve
from envs.bidding.tuning import day_scores, history_of
from envs.bidding.world import BiddingSettings, BiddingWorld
from tests.support.bidding import CAP, random_days, small_world


def world_of_one_day(rng: np.random.Generator, **settings: object) -> BiddingWorld:
    """A generated day that the campaign already knows, as another day of the same content."""
    day = GeneratedMarket(PRESETS["default"]).draw_days(1, rng)
    chosen = BiddingSettings(**{"currency_per_price_unit": 0.01, **settings})  # type: ignore[arg-type]
    return BiddingWorld.planned(day._replace(price=day.price.copy()), day, chosen)


@pytest.mark.parametrize("tightness", [0.02, 0.125, 0.5])
def test_first_lambda_is_the_days_dual_when_history_is_the_day(
    rng: np.random.Generator, tightness: float
) -> None:
    world = world_of_one_day(rng, tightness=(tightness,))
    mpc = ModelPredictive().tuned(world, rng)
    dual = solve(world.days, float(world.terms.budget[0])).lambda_star[0]
    first = mpc.control(world, world.initial(1, rng), rng)
    assert first[0] == pytest.approx(np.log(dual), abs=0.01)
    ceiling = solve(world.days, float(world.terms.budget[0])).value[0]
    assert day_scores(world, mpc, rng)[0, 0] >= 0.99 * ceiling


def test_a_binding_cost_limit_lets_money_lie(rng: np.random.Generator) -> None:
    world = world_of_one_day(rng, tightness=(0.5,), target_cpa=0.3)
    terms = world.terms
    ceiling = solve(world.days, float(terms.budget[0]), terms.cost_per_value_limit)
    assert ceiling.spend[0] < 0.9 * terms.budget[0], "the limit binds, not the budget"
    mpc = ModelPredictive().tuned(world, rng)
    assert day_scores(world, mpc, rng)[0, 0] >= 0.995 * ceiling.value[0]


@pytest.mark.parametrize("auction", ["second_price", "first_price"])
def test_table_holds_what_each_slot_would_cost_and_yield(
    rng: np.random.Generator, auction: str
) -> None:
    world = small_world(rng, auction=auction, tightness=(0.1, 0.3))
    table = Lookahead.of(world, rng)
    past = history_of(world)
    rich = replace(past, terms=past.terms._replace(budget=np.full(2, 1e6)))
    point, state, cost = 60, rich.initial(1, rng), []
    for _ in range(rich.days.slots):
        outcome = rich.step(state, table.log_lambda[[point]], rng)
        cost.append(outcome.kpis["spend"][0])
        state = outcome.state
    expected = np.append(np.cumsum(cost[::-1])[::-1], 0.0)
    np.testing.assert_allclose(table.spend[state.day[0], :, point], expected)
    assert table.value[state.day[0], 0, point] == pytest.approx(state.value[0])
    assert (np.diff(table.spend, axis=2) >= -1e-9).all(), "a lower lambda never costs less"


def test_the_judged_day_of_history_is_left_out(rng: np.random.Generator) -> None:
    cheap = random_days(rng, days=2, per_slot=60)
    first = np.arange(len(cheap.price)) < cheap.offset[1, 0]
    days = rebuilt(cheap, bid_cap=CAP, price=np.where(first, cheap.price / 3, cheap.price))
    settings = BiddingSettings(tightness=(0.1,), bid_cap_cpm=CAP * 1000)
    world = BiddingWorld.planned(days, days, settings)
    mpc = ModelPredictive().tuned(world, rng)
    state = world.initial(2, rng)
    duals = solve(days, float(world.terms.budget[0])).lambda_star
    other_day = 1 - state.day
    np.testing.assert_allclose(mpc.control(world, state, rng), np.log(duals[other_day]), atol=0.05)
    assert abs(np.log(duals[0] / duals[1])) > 0.2, "the two days disagree"


def test_every_second_slot_keeps_the_last_lambda(rng: np.random.Generator) -> None:
    world = small_world(rng)
    mpc = ModelPredictive().tuned(world, rng)
    state = world.initial(4, rng)
    for slot in range(world.days.slots):
        control = mpc.control(world, state, rng)
        if slot % 2:
            np.testing.assert_array_equal(control, state.log_lambda)
        state = world.step(state, control, rng).state


def test_more_traffic_than_history_had_raises_lambda(rng: np.random.Generator) -> None:
    world = small_world(rng)
    mpc = ModelPredictive().tuned(world, rng)
    start = world.initial(1, rng)
    midday = start._replace(slot=np.full_like(start.slot, 24), budget_left=start.budget_left / 2)
    assert mpc.lookahead is not None
    expected = mpc.lookahead.impressions_before[:, 24].mean()
    usual, busy = (
        mpc.control(world, midday._replace(seen=np.array([factor * expected])), rng)
        for factor in (1.0, 2.0)
    )
    assert busy[0] > usual[0] + 0.1


def test_no_money_means_the_highest_lambda_and_plenty_the_lowest_that_wins_more(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng)
    table = Lookahead.of(world, rng)
    spend, value = table.spend[:1, 0], table.value[:1, 0]
    zero = np.zeros(1)
    poor = table.solved(spend, value, np.array([-1.0]), zero, zero, np.inf)
    rich = table.solved(spend, value, np.array([1e9]), zero, zero, np.inf)
    assert poor[0] == table.log_lambda[0]
    assert np.interp(-rich[0], -table.log_lambda, value[0]) == pytest.approx(value[0].max())


def test_mpc_untuned_says_what_to_do(rng: np.random.Generator) -> None:
    world = small_world(rng)
    with pytest.raises(ValueError, match="MPC knows no history yet"):
        ModelPredictive().control(world, world.initial(1, rng), rng)
