"""The ceiling against a second solver, cases known on paper, and every rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from envs.bidding.days import Days, build_days
from envs.bidding.generator import PRESETS, GeneratedMarket
from envs.bidding.oracle import penalised, solve, solve_day
from envs.bidding.rules import FixedLambda, rules
from envs.bidding.tuning import PerBudget, day_scores
from envs.bidding.world import BiddingSettings, BiddingWorld
from tests.support.bidding import small_world

CAP = 100.0


def one_day(value: list[float], price: list[float], *, weight: float = 1.0) -> Days:
    """All impressions in one slot of one day; a price above 100 can never be won."""
    return build_days(
        day=np.zeros(len(value), int),
        slot=np.zeros(len(value), int),
        signal=np.array(value),
        value=np.array(value),
        price=np.array(price),
        click=np.zeros(len(value), int),
        bid_cap=CAP,
        weekday=np.array([0]),
        slots=1,
        weight=weight,
    )


def drawn_day(seed: int, count: int) -> Days:
    rng = np.random.default_rng(seed)
    return one_day(
        rng.lognormal(0, 1, count).tolist(), np.minimum(rng.lognormal(0, 1, count), CAP).tolist()
    )


def amounts(days: Days) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return days.value.astype(np.float64), days.price.astype(np.float64)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 12), share=st.floats(0.05, 1.5))
def test_value_and_dual_equal_a_general_linear_program(seed: int, count: int, share: float) -> None:
    days = drawn_day(seed, count)
    value, price = amounts(days)
    budget = share * price.sum()
    answer = linprog(-value, A_ub=[price], b_ub=[budget], bounds=(0, 1), method="highs")
    assert answer.fun is not None, answer.message
    found, spend, lambda_star = solve_day(days, 0, float(budget))
    assert found == pytest.approx(-answer.fun, rel=1e-9)
    assert spend == pytest.approx(min(budget, price.sum()), rel=1e-9)
    if share < 0.99:  # beyond, money is worth nothing and lambda_star is what still wins everything
        marginal = -answer.ineqlin.marginals[0]
        on_an_edge = np.isclose(np.cumsum(np.sort(price)), budget).any()
        assert on_an_edge or lambda_star == pytest.approx(marginal, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), limit=st.floats(0.2, 3.0), share=st.floats(0.1, 1.2))
def test_cost_limit_takes_the_best_prefix_up_to_one_impression(
    seed: int, limit: float, share: float
) -> None:
    days = drawn_day(seed, 12)
    value, price = amounts(days)
    budget = float(share * price.sum())
    found, spend, _ = solve_day(days, 0, budget, limit)

    # A second computation: the whole curve of S along the prefixes, whole or in part.
    order = np.argsort(price / value)
    whole, affordable = np.append(0, np.cumsum(price[order])), min(budget, float(price.sum()))
    spent = np.append(np.linspace(0, affordable, 20_000), whole[whole <= affordable])
    earned = np.interp(spent, whole, np.append(0, np.cumsum(value[order])))
    curve = penalised(earned, spent, limit)
    between_points = np.diff(np.sort(earned)).max()
    assert found <= curve.max() + between_points
    assert found >= curve.max() * (1 - 1e-9)

    # The hard constraint allows less than the soft penalty, which lets the target be passed.
    hard = linprog(-value, A_ub=[price, price - limit * value], b_ub=[budget, 0.0], bounds=(0, 1))
    assert hard.fun is not None, hard.message
    assert -hard.fun <= curve.max() * (1 + 1e-3) + 1e-9
    assert spend <= budget * (1 + 1e-12)


def test_a_cost_limit_that_does_not_bind_changes_nothing() -> None:
    days = drawn_day(3, 50)
    np.testing.assert_array_equal(solve(days, 10.0, 1e6), solve(days, 10.0))


def test_soft_penalty_on_paper() -> None:
    days = one_day([1.0, 1.0], [1.0, 3.0])
    # Both: R = 2, spend 4, S = 2 (2 limit / 4)^2; the first alone: S = 1 when limit >= 1.
    assert solve_day(days, 0, 10.0, 1.0) == (1.0, 1.0, 1.0)
    # At 1.8 the second is bought up to spend = 1.8 R: 1 + 3 f = 1.8 (1 + f), f = 2 / 3, R = 5 / 3,
    # which beats both whole, S = 2 (.9)^2.
    assert solve_day(days, 0, 10.0, 1.8)[0] == pytest.approx(5 / 3)
    assert solve_day(days, 0, 10.0, 2.0)[0] == 2.0


def test_penalty_is_one_within_the_limit_and_quadratic_beyond() -> None:
    value, spend = np.array([0.0, 2.0, 2.0, 2.0]), np.array([1.0, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(penalised(value, spend, 1.0), [0.0, 2.0, 2.0, 0.5])
    np.testing.assert_array_equal(penalised(value, spend, np.inf), value)


def test_last_impression_is_bought_in_part() -> None:
    days = one_day([4.0, 3.0, 1.0], [1.0, 1.0, 1.0])
    value, spend, lambda_star = solve_day(days, 0, 1.5)
    assert (value, spend) == (4.0 + 3.0 / 2, 1.5)
    assert lambda_star == 3.0, "the value per money of the impression bought in part"


def test_budget_beyond_everything_buys_everything_and_no_more() -> None:
    value, spend, lambda_star = solve_day(one_day([4.0, 1.0], [1.0, 2.0]), 0, 1e9)
    assert (value, spend, lambda_star) == (5.0, 3.0, 0.5)


@pytest.mark.parametrize(("budget", "expected"), [(1.0, 1.5), (2.0, 3.0), (5.0, 3.0)])
def test_one_impression(budget: float, expected: float) -> None:
    assert solve_day(one_day([3.0], [2.0]), 0, budget)[0] == expected


def test_prices_above_the_cap_and_worthless_impressions_are_never_bought() -> None:
    assert solve_day(one_day([9.0], [CAP + 1]), 0, 1e6) == (0.0, 0.0, np.inf)
    assert solve_day(one_day([0.0], [1.0]), 0, 1e6) == (0.0, 0.0, np.inf)
    assert solve_day(one_day([9.0, 1.0], [CAP + 1, 1.0]), 0, 1e6) == (1.0, 1.0, 1.0)


def test_a_day_without_impressions_is_worth_nothing() -> None:
    assert solve_day(one_day([], []), 0, 1.0) == (0.0, 0.0, np.inf)


def test_a_row_that_stands_for_many_scales_value_and_spend_but_not_lambda() -> None:
    value, price = [4.0, 3.0, 1.0], [1.0, 2.0, 3.0]
    once, hundredfold = one_day(value, price), one_day(value, price, weight=100.0)
    single, many = solve_day(once, 0, 2.5), solve_day(hundredfold, 0, 250.0)
    assert many == pytest.approx((100 * single[0], 100 * single[1], single[2]))


def test_every_day_has_its_own_budget() -> None:
    days = GeneratedMarket(PRESETS["default"]).draw_days(2, np.random.default_rng(1))
    both = solve(days, np.array([0.5, 2.0]))
    assert (both.value[0], both.value[1]) == (
        solve_day(days, 0, 0.5)[0],
        solve_day(days, 1, 2.0)[0],
    )


@pytest.mark.parametrize("tightness", [1 / 2, 1 / 8, 1 / 32])
def test_hindsight_lambda_all_day_attains_the_ceiling(
    rng: np.random.Generator, tightness: float
) -> None:
    days = GeneratedMarket(PRESETS["shock"]).draw_days(3, rng)
    terms_of = BiddingSettings(tightness=(tightness,), currency_per_price_unit=0.01)
    for day in range(days.count):
        world = BiddingWorld.planned(days, days, terms_of)
        ceiling, _, lambda_star = solve_day(days, day, float(world.terms.budget[0]))
        shift = np.log(lambda_star) - world.terms.log_lambda_0
        constant = FixedLambda("hindsight", shift=PerBudget.of(world.terms, shift))
        attained = day_scores(world, constant, rng)[0, day]
        assert 0.999 <= attained / ceiling <= 1 + 1e-6


@pytest.mark.parametrize("auction", ["second_price", "first_price"])
def test_no_rule_beats_the_ceiling_on_any_day(rng: np.random.Generator, auction: str) -> None:
    world = small_world(rng, tightness=(0.05, 0.3), auction=auction)
    ceiling = np.array([solve(world.days, float(budget)).value for budget in world.terms.budget])
    compared: Any = rules()
    for rule in compared:
        tuned = rule.tuned(world, rng)
        score = day_scores(tuned.arena(world, rng), tuned, rng)
        assert (score <= ceiling * (1 + 1e-5)).all(), rule.name
