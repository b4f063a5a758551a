"""The slot step: clearing, the budget wall, pacing, rewards and observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.bidding.days import build_days, rebuilt
from envs.bidding.world import BiddingSettings, BiddingWorld, fit_shading
from tests.support.bidding import CAP, random_days, small_world
from tests.support.slot_oracle import play_slot


def test_compiled_slots_equal_the_plain_loop(rng: np.random.Generator) -> None:
    world = small_world(rng, tightness=(0.1, 0.4))
    state = world.initial(8, rng)
    for _ in range(world.days.slots):
        control = world.control(state, rng.uniform(-1, 1, (8, 1)))
        expected = [
            play_slot(
                world.days, int(state.day[i]), int(state.slot[i]), float(np.exp(-control[i])),
                float(state.budget_left[i]), CAP,
            )
            for i in range(8)
        ]  # fmt: skip
        running = ~state.stopped
        outcome = world.step(state, control, rng)
        for i in np.flatnonzero(running):
            wins, spend, value, clicks = expected[i]
            assert outcome.kpis["wins"][i] == wins
            assert outcome.kpis["spend"][i] == pytest.approx(spend, rel=1e-5, abs=1e-9)
            assert outcome.kpis["value"][i] == pytest.approx(value, rel=1e-5, abs=1e-9)
            assert outcome.kpis["clicks"][i] == clicks
        state = outcome.state


def test_the_budget_of_a_day_is_counted_once_however_early_it_is_spent(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng, tightness=(0.1, 0.4))
    state = world.initial(8, rng)
    level, counted = state.level.copy(), np.zeros(8)
    for _ in range(world.days.slots):
        outcome = world.step(state, world.control(state, np.ones((8, 1))), rng)
        counted += outcome.kpis["budget"]
        state = outcome.state
    np.testing.assert_allclose(counted, world.terms.budget[level])


def test_a_slot_in_which_money_runs_out_is_walked_in_arrival_order() -> None:
    # Arrival order dear, cheap; money for one: the earlier one is bought, not the better one.
    days = build_days(
        day=np.zeros(2, int),
        slot=np.zeros(2, int),
        signal=np.array([1.0, 1.0]),
        value=np.array([1.0, 1.0]),
        price=np.array([0.2, 0.1]),
        click=np.array([0, 1]),
        bid_cap=CAP,
        weekday=np.array([0]),
        slots=1,
    )
    world = BiddingWorld.planned(days, days, BiddingSettings(budget=0.25, bid_cap_cpm=300))
    outcome = world.step(
        world.initial(1, np.random.default_rng(0)), np.zeros(1), np.random.default_rng(0)
    )
    assert outcome.kpis["wins"][0] == 1
    assert outcome.kpis["spend"][0] == pytest.approx(0.2)


def test_bid_equal_to_the_price_wins() -> None:
    days = build_days(
        day=np.zeros(1, int),
        slot=np.zeros(1, int),
        signal=np.array([0.25]),
        value=np.array([0.25]),
        price=np.array([0.25]),
        click=np.array([1]),
        bid_cap=CAP,
        weekday=np.array([0]),
        slots=1,
    )
    world = BiddingWorld.planned(days, days, BiddingSettings(budget=5.0, bid_cap_cpm=300))
    start = world.initial(1, np.random.default_rng(0))
    assert world.step(start, np.zeros(1), np.random.default_rng(0)).kpis["wins"][0] == 1
    lower = world.step(start, np.full(1, 1e-5), np.random.default_rng(0))
    assert lower.kpis["wins"][0] == 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tightness=st.floats(0.005, 2.0),
    weight=st.sampled_from([1.0, 7.5]),
    first_price=st.booleans(),
    target=st.sampled_from([None, 0.05, 1.0]),
)
def test_no_actions_ever_spend_more_than_the_budget(
    seed: int, tightness: float, weight: float, first_price: bool, target: float | None
) -> None:
    rng = np.random.default_rng(seed)
    chosen = BiddingSettings(
        tightness=(tightness,),
        auction="first_price" if first_price else "second_price",
        target_cpa=target,
        bid_cap_cpm=CAP * 1000,
    )
    days = random_days(rng, days=2, slots=6, per_slot=20, weight=weight)
    world = BiddingWorld.planned(days, days, chosen)
    state = world.initial(4, rng)
    for _ in range(6):
        wild = rng.normal(0, 4, 4)
        outcome = world.step(state, world.control(state, rng.normal(0, 9, (4, 1))) + wild, rng)
        state = outcome.state
        assert (outcome.kpis["spend"] >= 0).all()
        average = outcome.kpis["spend"] / np.maximum(outcome.kpis["wins"], 1e-12)
        assert (average <= CAP * (1 + 1e-6)).all()
        assert (state.budget_left >= 0).all()
        assert world.observation_space.contains(world.observe(state)[0])
    assert (state.spend <= world.terms.budget[0] * (1 + 1e-9)).all()


def test_action_zero_is_the_pacing_rule(rng: np.random.Generator) -> None:
    world = small_world(rng)
    state = world.initial(4, rng)
    for _ in range(10):
        plan = world.terms.budget[0] * world.terms.plan_left[state.slot]
        expected = world.terms.log_lambda_0[0] - np.log(state.budget_left / plan)
        np.testing.assert_allclose(world.control(state, np.zeros((4, 1))), expected)
        state = world.step(state, world.control(state, np.zeros((4, 1))), rng).state


def test_a_positive_action_bids_more(rng: np.random.Generator) -> None:
    world = small_world(rng)
    state = world.initial(4, rng)
    more, less = (world.control(state, np.full((4, 1), a)) for a in (0.5, -0.5))
    assert (more < less).all(), "a lower lambda is a higher bid"


def test_agent_step_equals_control_and_step(rng: np.random.Generator) -> None:
    from envs.core.vector import WorldVectorEnv

    world = small_world(rng)
    env = WorldVectorEnv(world, 4)
    observation, _ = env.reset(seed=5)
    state = world.initial(4, np.random.default_rng(5))
    np.testing.assert_array_equal(observation, world.observe(state))
    for t in range(world.days.slots):
        action = rng.uniform(-1, 1, (4, 1)).astype(np.float32)
        observation, reward, terminated, truncated, info = env.step(action)
        outcome = world.step(state, world.control(state, action), rng)
        state = outcome.state
        np.testing.assert_allclose(reward, outcome.reward, atol=1e-12)
        assert not truncated.any()
        if terminated.any():
            assert t == world.days.slots - 1 or state.stopped[terminated].all()
            np.testing.assert_array_equal(
                info["final_obs"][terminated], world.observe(state)[terminated]
            )
            break
        np.testing.assert_array_equal(observation, world.observe(state))


def test_rewards_of_a_day_sum_to_its_value_in_units_of_the_ceiling(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng)
    state = world.initial(4, rng)
    total = np.zeros(4)
    for _ in range(world.days.slots):
        outcome = world.step(state, world.control(state, np.zeros((4, 1))), rng)
        state, total = outcome.state, total + outcome.reward
    np.testing.assert_allclose(total * world.terms.value_ref[0], state.value)
    for i in range(4):
        assert state.budget_left[i] + state.spend[i] == pytest.approx(world.terms.budget[0])


def test_value_beyond_the_cpa_target_is_penalised_quadratically(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng, target_cpa=0.05)
    state = world.initial(4, rng)
    for _ in range(world.days.slots):
        state = world.step(state, np.full(4, -3.0), rng).state
    ratio = state.spend / state.value
    expected = state.value * np.minimum(1, (0.05 / ratio) ** 2)
    assert (ratio > 0.05).any()
    np.testing.assert_allclose(state.score, expected)


def test_finished_copies_stay_as_they_are_and_earn_nothing(rng: np.random.Generator) -> None:
    world = small_world(rng)
    state = world.initial(3, rng)
    for _ in range(world.days.slots):
        state = world.step(state, world.control(state, np.zeros((3, 1))), rng).state
    outcome = world.step(state, np.full(3, -5.0), rng)
    assert outcome.terminated.all()
    assert (outcome.reward == 0).all()
    for before, after in zip(state, outcome.state, strict=True):
        np.testing.assert_array_equal(before, after)


def test_stepping_leaves_the_given_state_untouched(rng: np.random.Generator) -> None:
    world = small_world(rng)
    state = world.initial(3, rng)
    kept = [column.copy() for column in state]
    world.step(state, np.zeros(3), rng)
    for before, after in zip(kept, state, strict=True):
        np.testing.assert_array_equal(before, after)


def test_nothing_of_the_coming_slot_enters_the_observation(rng: np.random.Generator) -> None:
    world = small_world(rng)
    state = world.initial(4, rng)
    for _ in range(5):
        state = world.step(state, world.control(state, np.zeros((4, 1))), rng).state
    later = np.repeat(
        np.tile(np.arange(48) >= 5, world.days.count), np.diff(world.days.offset).ravel()
    )
    dearer = replace(
        world,
        days=rebuilt(
            world.days, bid_cap=CAP, price=np.where(later, 3 * world.days.price, world.days.price)
        ),
    )
    np.testing.assert_array_equal(world.observe(state), dearer.observe(state))


def test_episodes_are_drawn_without_repetition_while_the_days_last(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng)
    assert sorted(world.initial(4, rng).day) == [0, 1, 2, 3]
    assert sorted(world.initial(8, rng).day) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_impressions_turn_out_to_be_worth_is_never_observed(
    rng: np.random.Generator,
) -> None:
    world = small_world(rng, target_cpa=0.5)
    otherwise = replace(world, days=rebuilt(world.days, bid_cap=CAP, value=3 * world.days.value))
    one, other = (w.initial(4, np.random.default_rng(1)) for w in (world, otherwise))
    for _ in range(20):
        one = world.step(one, world.control(one, np.zeros((4, 1))), rng).state
        other = otherwise.step(other, world.control(other, np.zeros((4, 1))), rng).state
        np.testing.assert_allclose(world.observe(one), otherwise.observe(other), rtol=1e-6)
    assert (other.value > 2 * one.value).all(), "it is what judges all the same"


def test_no_lambda_however_low_wins_what_cannot_be_won(rng: np.random.Generator) -> None:
    world = small_world(rng, tightness=(100.0,))
    unwinnable = replace(
        world, days=rebuilt(world.days, bid_cap=CAP, price=np.full_like(world.days.price, 2 * CAP))
    )
    outcome = unwinnable.step(unwinnable.initial(4, rng), np.full(4, -800.0), rng)
    assert (outcome.kpis["wins"] == 0).all()


def test_settings_list_every_problem_at_once() -> None:
    with pytest.raises(ValueError, match=r"target_cpa is -1.*tightness is \(0.0,\)"):
        BiddingSettings(target_cpa=-1, tightness=(0.0,))


def test_first_price_bid_maximises_surplus_for_uniform_prices() -> None:
    # F uniform on (0, 1]: argmax_b (w - b) b = w / 2, on the 301-point grid.
    n = 30_000
    days = build_days(
        day=np.zeros(n, int),
        slot=np.zeros(n, int),
        signal=np.ones(n),
        value=np.ones(n),
        price=np.arange(1, n + 1) / n,
        click=np.zeros(n, int),
        bid_cap=1.0,
        weekday=np.array([0]),
        slots=1,
    )
    shading = fit_shading(days, 1.0)
    worth = np.exp(shading.worth_low + shading.worth_step * np.arange(len(shading.bid)))
    inside = (worth > 0.05) & (worth < 2)
    assert np.abs(shading.bid - worth / 2)[inside].max() <= 2 / 300


def test_first_price_pays_the_bid_and_shades_it(rng: np.random.Generator) -> None:
    world = small_world(rng, auction="first_price", tightness=(1.0,))
    state = world.initial(1, rng)
    level = np.zeros(1)
    outcome = world.step(state, level, rng)
    day, slot = int(state.day[0]), 0
    rows = slice(world.days.offset[day, slot], world.days.offset[day, slot + 1])
    terms = world.terms
    point = ((np.log(world.days.signal[rows]) - terms.worth_low) / terms.worth_step).astype(int)
    bid = np.minimum(terms.shading[np.clip(point, 0, len(terms.shading) - 1)], CAP)
    bid = np.minimum(bid, world.days.signal[rows])
    won = bid >= world.days.price[rows]
    assert 0 < won.sum() < len(won)
    assert outcome.kpis["spend"][0] == pytest.approx(bid[won].sum(), rel=1e-6)
    assert (bid < world.days.signal[rows]).all(), "shaded below the worth"
