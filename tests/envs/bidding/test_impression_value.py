"""The dynamic program against answers known on paper, brute force and bounds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import binom

from envs.bidding.impression_value import (
    FloatArray,
    Market,
    ValueFunction,
    smoothed_price_pmf,
    solve,
)


def rows_of(value: ValueFunction) -> FloatArray:
    """V_0 .. V_{N-1} as one table."""
    return np.stack(list(value.descending())[::-1])


def price_law(weights: list[int]) -> FloatArray:
    law = np.array(weights, dtype=np.float64)
    return np.asarray(law / law.sum())


laws = (
    st.lists(st.integers(0, 9), min_size=2, max_size=6)
    .filter(lambda weights: sum(weights) > 0)
    .map(price_law)
)
click_rates = st.floats(0.001, 1.0)


@settings(deadline=None, max_examples=40)
@given(law=laws, ctr=click_rates, auctions=st.integers(1, 6), budget=st.integers(1, 9))
def test_value_is_the_best_over_every_bid_in_every_state(
    law: FloatArray, ctr: float, auctions: int, budget: int
) -> None:
    @cache
    def best(left: int, money: int) -> float:
        if left == 0 or money == 0:
            return 0.0
        worth = [
            sum(
                law[price] * (ctr + best(left - 1, money - price))
                if price <= bid
                else law[price] * best(left - 1, money)
                for price in range(law.size)
            )
            for bid in range(min(money, law.size - 1) + 1)
        ]
        return float(max(worth))

    table = rows_of(solve(Market(law, ctr), auctions, budget))
    by_hand = [[best(n, b) for b in range(budget + 1)] for n in range(auctions)]
    np.testing.assert_allclose(table, by_hand, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cheap", [0.2, 0.5, 0.9])
def test_two_price_auction_has_its_closed_form(cheap: float) -> None:
    """Prices 1 and 2, two to spend: wait for cheap auctions, pay 2 for the very last one only."""
    ctr, auctions = 0.01, 12
    table = rows_of(solve(Market(np.array([0.0, cheap, 1 - cheap]), ctr), auctions + 1, 2))
    waiting = binom(auctions - 1, cheap)
    none, one = waiting.pmf(0), waiting.pmf(1)
    assert table[auctions, 1] == pytest.approx(ctr * (1 - (1 - cheap) ** auctions))
    assert table[auctions, 2] == pytest.approx(
        ctr * (none * 1 + one * (1 + cheap) + (1 - none - one) * 2)
    )


@settings(deadline=None, max_examples=40)
@given(law=laws, ctr=click_rates, budget=st.integers(1, 40))
def test_value_grows_with_money_and_with_auctions_and_never_by_more_than_a_click(
    law: FloatArray, ctr: float, budget: int
) -> None:
    table = rows_of(solve(Market(law, ctr), 20, budget))
    slack = 1e-8  # a row is filled with its limit once it is within 1e-10 of it
    for step in (np.diff(table, axis=0), np.diff(table, axis=1)[:, 1:]):
        assert (step >= -slack).all()
        assert (step <= ctr + slack).all()


@settings(deadline=None, max_examples=20)
@given(law=laws, ctr=click_rates, budget=st.integers(1, 40))
def test_value_is_at_most_what_the_mean_auction_would_allow(
    law: FloatArray, ctr: float, budget: int
) -> None:
    auctions = 15
    prices = np.arange(law.size)
    fluid = linprog(-law, A_ub=[auctions * law * prices], b_ub=[budget], bounds=[(0, 1)] * law.size)
    assert fluid.x is not None, fluid.message
    table = rows_of(solve(Market(law, ctr), auctions + 1, budget))
    assert table[auctions, budget] <= (law @ fluid.x) * auctions * ctr + 1e-8


def test_money_that_never_binds_is_worth_every_auction() -> None:
    market = Market(smoothed_price_pmf(np.array([0, 5, 0, 9])), 0.02)
    table = rows_of(solve(market, 30, 29 * market.bid_cap_cpm))
    np.testing.assert_allclose(table[:, -1], 0.02 * np.arange(30), rtol=1e-12)


def test_recomputed_rows_are_those_of_a_shorter_episode() -> None:
    law = smoothed_price_pmf(np.random.default_rng(3).integers(0, 50, 61))
    market = Market(law, 0.004)
    long, short = solve(market, 103, 900), solve(market, 10, 900)
    assert long.stride > short.stride
    np.testing.assert_array_equal(rows_of(long)[:10], rows_of(short))


def test_kept_rows_grow_with_the_root_of_the_auctions() -> None:
    market = Market(smoothed_price_pmf(np.array([1, 2, 3])), 0.1)
    assert solve(market, 1000, 50).kept_rows.shape == (32, 51)
    assert rows_of(solve(market, 1000, 50)).shape == (1000, 51)


def test_smoothing_adds_one_impression_to_each_price() -> None:
    np.testing.assert_allclose(smoothed_price_pmf(np.array([0, 3, 1])), [1 / 7, 4 / 7, 2 / 7])


def test_an_impossible_market_is_refused_with_every_reason() -> None:
    with pytest.raises(ValueError, match=r"price_pmf sums to 1.2.*mean_ctr is 0"):
        Market(np.array([0.6, 0.6]), 0.0)


@pytest.mark.parametrize(("auctions", "budget"), [(0, 5), (5, 0)])
def test_an_episode_without_auctions_or_money_is_refused(auctions: int, budget: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        solve(Market(np.array([0.5, 0.5]), 0.1), auctions, budget)
