"""What-if on a market: each knob changes what it says, by as much as it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from envs.bidding.days import join_days, rebuilt
from envs.bidding.scenario import BiddingScenario
from envs.bidding.world import BiddingSettings, BiddingWorld
from tests.support.bidding import CAP, random_days, small_world
from tests.support.slot_oracle import play_day


def test_dearer_markets_buy_less_and_richer_budgets_more(rng: np.random.Generator) -> None:
    world = small_world(rng)

    def value_under(scenario: BiddingScenario) -> float:
        changed = world.under(scenario)
        state = changed.initial(4, np.random.default_rng(1))
        for _ in range(48):
            control = changed.control(state, np.zeros((4, 1)))
            state = changed.step(state, control, rng).state
        return float(state.value.sum())

    today = value_under(BiddingScenario())
    assert value_under(BiddingScenario(price=1.5)) < today < value_under(BiddingScenario(budget=2))
    doubled = value_under(BiddingScenario(response=2.0))
    assert doubled > today


def test_a_scenario_that_changes_nothing_is_the_same_market(rng: np.random.Generator) -> None:
    world = small_world(rng)
    same = world.under(BiddingScenario())
    control = [-1.0] * 48
    assert play_day(same.days, 0, 1.0, control, CAP) == play_day(world.days, 0, 1.0, control, CAP)


def test_clicks_follow_a_change_of_response(rng: np.random.Generator) -> None:
    world = small_world(rng)
    doubled = world.under(BiddingScenario(response=2.0))
    assert doubled.days.click.sum() == pytest.approx(2 * world.days.click.sum(), rel=0.15)
    assert world.under(BiddingScenario(budget=10.0)).terms.budget[0] == pytest.approx(
        10 * world.terms.budget[0]
    )


def test_competition_makes_what_is_worth_twice_as_much_dearer_by_its_factor(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng)
    contested = world.under(BiddingScenario(competition=1.5)).days
    relative = world.days.value / world.days.value.mean()
    expected = world.days.price * relative ** np.log2(1.5)
    within = expected <= CAP
    np.testing.assert_allclose(contested.price[within], expected[within], rtol=1e-5)
    assert np.isinf(contested.price[expected > CAP * (1 + 1e-6)]).all()


def test_another_mix_draws_impressions_slot_by_slot_by_what_they_are_worth(
    rng: np.random.Generator,
) -> None:
    days = random_days(rng, days=2, slots=4, per_slot=4000)
    world = BiddingWorld.planned(days, days, BiddingSettings(bid_cap_cpm=CAP * 1000))
    mixed = world.under(BiddingScenario(mix=2.0)).days
    np.testing.assert_array_equal(mixed.offset, days.offset)
    for start, stop in zip(days.offset[0], days.offset[0][1:], strict=False):
        value = days.value[start:stop].astype(float)
        # Weights are the values themselves: the mean becomes E[v^2] / E[v].
        expected = (value**2).mean() / value.mean()
        assert mixed.value[start:stop].mean() == pytest.approx(expected, rel=0.02)
        assert np.isin(mixed.value[start:stop], days.value[start:stop]).all()
    # An impression brings its own price and click with it.
    known = set(zip(days.value.tolist(), days.price.tolist(), days.click.tolist(), strict=True))
    assert (
        set(zip(mixed.value.tolist(), mixed.price.tolist(), mixed.click.tolist(), strict=True))
        <= known
    )


def test_a_season_brings_the_traffic_and_the_prices_of_the_history_own_busy_days(
    rng: np.random.Generator,
) -> None:
    parts = [random_days(rng, days=1, slots=4, per_slot=rows) for rows in (500, 1000, 1500, 2000)]
    # A price that rises with the root of the day's traffic, and a value that does not move.
    parts = [
        rebuilt(
            day,
            bid_cap=CAP,
            price=np.full(len(day.price), 0.2 * CAP * np.sqrt(len(day.price) / 4000)),
            value=np.full(len(day.price), 0.3 * CAP),
        )
        for day in parts
    ]
    history = join_days(parts)
    world = BiddingWorld.planned(parts[1], history, BiddingSettings(bid_cap_cpm=CAP * 1000))
    busy = world.under(BiddingScenario(season=1.44))
    assert busy.days.weight == pytest.approx(1.44 * world.days.weight)
    np.testing.assert_allclose(busy.days.price, 1.2 * world.days.price, rtol=1e-5)
    np.testing.assert_array_equal(busy.days.value, world.days.value)
    both = world.under(BiddingScenario(season=1.44, price=1.5, traffic=2.0))
    np.testing.assert_allclose(both.days.price, 1.8 * world.days.price, rtol=1e-5)
    assert both.days.weight == pytest.approx(2.88 * world.days.weight)
    assert [one.beyond for one in world.remarks(BiddingScenario(season=1.44))] == [False]
    assert [one.beyond for one in world.remarks(BiddingScenario(season=1.7))] == [False, True]
    assert world.remarks(BiddingScenario(price=1.5)) == ()


@pytest.mark.parametrize("auction", ["second_price", "first_price"])
def test_no_bid_is_above_a_lowered_cap(rng: np.random.Generator, auction: str) -> None:
    world = small_world(rng, auction=auction, tightness=(100.0,))
    lowered = world.under(BiddingScenario(bid_cap=0.5))
    outcome = lowered.step(lowered.initial(4, rng), np.full(4, -20.0), rng)
    paid = outcome.kpis["spend"] / np.maximum(outcome.kpis["wins"], 1)
    assert (outcome.kpis["wins"] > 0).all()
    assert (paid <= 0.5 * CAP + 1e-6).all()
    np.testing.assert_array_equal(lowered.terms.budget, world.terms.budget)
    assert np.isinf(lowered.days.price[world.days.price > 0.5 * CAP]).all()


@pytest.mark.parametrize("knob", ["budget", "price", "traffic", "response"])
def test_scenarios_out_of_range_are_refused_by_name(knob: str) -> None:
    with pytest.raises(ValueError, match=f"{knob} is 0.0: it must be in"):
        BiddingScenario(**{knob: 0.0})
