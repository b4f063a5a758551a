"""Kaplan-Meier by hand and against known truth; shrinkage; what is not known stays unknown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks.kaplan_meier import measure
from envs.bidding.auctions import Auctions
from envs.bidding.landscape import (
    SHRINKAGE_ROWS,
    Evidence,
    hazards,
    kaplan_meier,
    shrunk_hazards,
    shrunk_survival,
)
from envs.bidding.prices import price_scale


def auctions_of(
    bid: np.ndarray, price: np.ndarray, probability: np.ndarray, days: int = 2
) -> Auctions:
    """Auctions spread evenly over the slots of `days` days, clicks aside."""
    n = len(bid)
    place = np.arange(n) * days * 48 // n
    won = bid >= price
    return Auctions(
        day=(place // 48).astype(np.int16),
        slot=(place % 48).astype(np.int8),
        context=np.zeros(n, np.int16),
        bid_cpm=bid.astype(np.float32),
        won=won,
        price_cpm=np.where(won, price, np.nan).astype(np.float32),
        probability=probability.astype(np.float32),
        click=np.zeros(n, np.bool_),
        dates=np.datetime64("2024-01-01") + np.arange(days),
        weight=1.0,
    )


def test_kaplan_meier_of_a_hand_computed_example() -> None:
    # Wins at prices 1, 2, 2, 4; losses whose bids were 1, 2, 3 (a loss at 2 exceeds 2).
    wins = np.array([0.0, 1.0, 2.0, 0.0, 1.0])
    survivals = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    hazard, at_risk = hazards(wins, survivals)
    assert at_risk.tolist() == [7.0, 7.0, 5.0, 2.0, 1.0]
    assert hazard.tolist() == [0.0, 1 / 7, 2 / 5, 0.0, 1.0]
    survival, known = kaplan_meier(wins, survivals)
    np.testing.assert_allclose(survival, [1, 6 / 7, 18 / 35, 18 / 35, 0])
    assert known.all()


def test_without_losses_kaplan_meier_is_the_empirical_law() -> None:
    wins = np.array([2.0, 0.0, 3.0, 5.0])
    survival, _ = kaplan_meier(wins, np.zeros(4))
    np.testing.assert_allclose(1 - survival, np.cumsum(wins) / 10)


def test_above_the_largest_bid_nothing_is_identified() -> None:
    survival, known = kaplan_meier(np.array([1.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0]))
    assert known.tolist() == [True, True, False]
    assert survival[-1] == 0.75


@given(counts=hnp.arrays(np.float64, (2, 6), elements=st.integers(0, 50).map(float)))
def test_survival_falls_from_one_and_stays_a_probability(
    counts: np.ndarray,
) -> None:
    survival, _ = kaplan_meier(counts[0], counts[1])
    assert (np.diff(survival) <= 0).all()
    assert ((survival >= 0) & (survival <= 1)).all()


def test_a_stratum_without_rows_has_its_parents_hazard() -> None:
    parent = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(shrunk_hazards(np.zeros(3), np.zeros(3), parent), parent)


def test_a_large_stratum_has_its_own_hazard_and_500_rows_weigh_as_much_as_the_parent() -> None:
    parent = np.array([0.5])
    wins, losses = np.array([2e9]), np.array([8e9])
    np.testing.assert_allclose(shrunk_hazards(wins, losses, parent), 0.2, rtol=1e-6)
    half = shrunk_hazards(np.array([0.0]), np.array([SHRINKAGE_ROWS]), parent)
    np.testing.assert_allclose(half, 0.25)


def test_a_band_borrows_what_its_low_bids_cannot_see_from_the_next_band_up() -> None:
    wins = np.zeros((1, 2, 3))
    losses = np.zeros((1, 2, 3))
    wins[0, 0] = [5e6, 0, 0]
    losses[0, 0] = [5e6, 0, 0]  # the low band never bids above the first price
    wins[0, 1] = [0, 8e6, 2e6]
    survival = shrunk_survival(wins, losses)
    np.testing.assert_allclose(survival[0], [0.5, 0.1, 0.0], atol=1e-3)


def test_a_fitted_law_reproduces_prices_and_imputes_none_below_a_lost_bid(
    rng: np.random.Generator,
) -> None:
    n = 60_000
    price = np.clip(np.rint(np.exp(rng.normal(4.0, 0.8, n))), 1, 1000)
    bid = np.exp(rng.normal(3.8, 1.0, n)).round(2)
    auctions = auctions_of(bid, price, np.full(n, 0.01))
    scale = price_scale(auctions)
    evidence = Evidence.of(auctions, scale, rng)
    law = evidence.price_law(np.zeros((2, 48)), np.ones(2))
    grid = np.arange(5.0, 300.0)
    fitted = 1 - law.above(np.zeros(len(grid), np.int64), scale.edge(grid), np.zeros(1))
    truth = np.searchsorted(np.sort(price), grid, side="right") / n
    assert np.abs(fitted - truth).max() < 0.02

    lost = ~auctions.won
    drawn = law.impute_moving(evidence.stratum[lost], evidence.log_price[lost], rng)
    sticky = law.impute_sticky(evidence.stratum[lost], evidence.log_price[lost], rng)
    imputed = scale.written(drawn, sticky)
    assert (imputed > auctions.bid_cpm[lost]).all()
    known = np.isfinite(imputed)
    assert abs(np.median(imputed[known]) / np.median(price[lost][known]) - 1) < 0.03


def test_mass_above_the_largest_bid_is_drawn_as_never_won(rng: np.random.Generator) -> None:
    n = 20_000
    price = rng.integers(1, 201, n).astype(float)  # a quarter of prices lies above 150
    auctions = auctions_of(rng.uniform(100, 150, n), price, np.full(n, 0.01))
    scale = price_scale(auctions)
    law = Evidence.of(auctions, scale, rng).price_law(np.zeros((2, 48)), np.ones(2))
    assert law.unknown_mass[0] == pytest.approx(0.25, abs=0.02)
    lost = ~auctions.won
    edge = scale.edge(auctions.bid_cpm[lost])
    drawn = law.impute_moving(np.zeros(int(lost.sum()), np.int64), edge, rng)
    assert np.exp(drawn[np.isfinite(drawn)]).max() < 152
    expected = 0.25 / (1 - auctions.bid_cpm[lost].mean() / 200)
    assert np.isinf(drawn).mean() == pytest.approx(expected, abs=0.05)


def test_prices_kept_aside_are_recovered_from_a_log_that_wins_a_third_of_its_auctions() -> None:
    measured = measure("default", 1)
    assert measured["win_rate"] == pytest.approx(0.35, abs=0.03)
    assert measured["kaplan_meier"] <= 0.02
    assert measured["winners_only"] > 0.2
