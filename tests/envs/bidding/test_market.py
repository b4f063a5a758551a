"""Fitted markets: pairs, volumes and levels of drawn days are those of the log behind them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from envs.bidding.days import Days
from envs.bidding.market import MEMBERS, FittedMarket, Money, fit_market
from envs.bidding.response import Recalibration
from tests.support.auctions import generated

DAYS = 8
MONEY = Money(per_price_unit=0.01, per_click=2.0, bid_cap_cpm=300.0)
IDENTITY = Recalibration(np.zeros(1), np.zeros(1))


@cache
def market() -> FittedMarket:
    auctions, _ = generated("default", DAYS, 5)
    return fit_market(auctions, IDENTITY, IDENTITY, np.random.default_rng(0))


@cache
def drawn() -> Days:
    return market().draw_days(40, MONEY, np.random.default_rng(1))


def correlation(price: np.ndarray, value: np.ndarray) -> float:
    known = np.isfinite(price)
    return float(np.corrcoef(np.log(price[known]), np.log(value[known]))[0, 1])


def test_won_prices_of_own_days_are_the_logged_ones_and_lost_ones_lie_above_the_bid() -> None:
    auctions = market().auctions
    own = market().own_days(MONEY)
    logged = auctions.price_cpm * 1e-5
    np.testing.assert_allclose(own.price[auctions.won], logged[auctions.won], rtol=1e-5)
    lost = ~auctions.won
    assert (own.price[lost] > auctions.bid_cpm[lost] * 1e-5 * (1 - 1e-6)).all()
    np.testing.assert_allclose(own.value, auctions.probability * 2.0, rtol=1e-6)
    assert own.count == DAYS
    assert own.member.tolist() == [day % MEMBERS for day in range(DAYS)]


def test_imputed_prices_have_the_law_of_the_prices_kept_aside() -> None:
    _, truth = generated("default", DAYS, 5)
    lost = ~market().auctions.won
    own = np.sort(market().own_days(MONEY).price[lost] * 1e5)
    grid = np.arange(1.0, 300.0)
    kept_aside = np.sort(truth[lost])
    gap = np.searchsorted(own, grid, "right") - np.searchsorted(kept_aside, grid, "right")
    assert np.abs(gap).max() / lost.sum() < 0.03


def test_drawn_days_keep_the_correlation_of_price_and_value() -> None:
    _, truth = generated("default", DAYS, 5)
    expected = correlation(truth, market().auctions.probability)
    assert expected > 0.1
    days = drawn()
    assert correlation(days.price, days.value) == pytest.approx(expected, abs=0.04)


def test_drawn_days_have_the_volume_of_the_log_by_day_and_by_slot() -> None:
    volume = market().auctions.volume
    rows = np.diff(drawn().offset, axis=1)
    daily = rows.sum(axis=1)
    error = volume.sum(axis=1).std(ddof=1) * np.sqrt(1 / DAYS + 1 / 40)
    assert abs(daily.mean() - volume.sum(axis=1).mean()) < 4 * error
    share, simulated = volume.sum(axis=0) / volume.sum(), rows.sum(axis=0) / rows.sum()
    assert np.corrcoef(share, simulated)[0, 1] > 0.97


def test_levels_differ_between_drawn_days_as_the_fitted_model_says() -> None:
    days = drawn()
    slot_level = np.array(
        [
            [
                np.median(np.log(days.price[days.offset[d, t] : days.offset[d, t + 1]] + 1e-9))
                for t in range(48)
            ]
            for d in range(days.count)
        ]
    )
    observed = slot_level.mean(axis=1).std(ddof=1)
    models = [member.level_model for member in market().members]
    expected = np.mean([np.sqrt(model.covariance().mean()) for model in models])
    assert 0.6 * expected < observed < 1.6 * expected


def test_members_take_turns_and_clicks_follow_the_value() -> None:
    days = drawn()
    assert np.bincount(days.member).tolist() == [8] * MEMBERS
    expected = days.value.sum(dtype=np.float64) / MONEY.per_click
    assert abs(days.click.sum() - expected) < 4 * np.sqrt(expected)


def test_drawing_the_same_days_needs_only_the_same_generator() -> None:
    again = market().draw_days(3, MONEY, np.random.default_rng(9))
    first = market().draw_days(3, MONEY, np.random.default_rng(9))
    other = market().draw_days(3, MONEY, np.random.default_rng(10))
    np.testing.assert_array_equal(first.price, again.price)
    assert len(first.price) != len(other.price) or (first.price != other.price).any()


def test_bids_and_worth_may_rest_on_different_calibrations() -> None:
    auctions, _ = generated("default", 2, 6)
    doubled = Recalibration(np.zeros(1), np.array([np.log(2.0)]))
    fitted = fit_market(auctions, IDENTITY, doubled, np.random.default_rng(0))
    for days in (fitted.own_days(MONEY), fitted.draw_days(3, MONEY, np.random.default_rng(0))):
        np.testing.assert_allclose(days.value, 2 * days.signal, rtol=1e-6)
