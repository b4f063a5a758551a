"""Price levels: read from censored rows, and the parameters of their movement recovered."""

from __future__ import annotations

import numpy as np
import pytest

from envs.bidding.generator import PRESETS
from envs.bidding.level import (
    LevelModel,
    Levels,
    fit_level_model,
    read_levels,
    season_of,
    smoothed_levels,
)
from envs.bidding.prices import price_scale
from envs.bidding.truth import TrueSimulator
from tests.support.auctions import generated

SEASON = 0.25 * np.sin(2 * np.pi * (np.arange(48) - 16) / 48)


def noisy(levels: np.ndarray, sd: float, rng: np.random.Generator) -> Levels:
    return Levels(levels + sd * rng.standard_normal(levels.shape), np.full(levels.shape, sd**2))


def test_the_parameters_of_the_drift_are_recovered_from_noisy_levels() -> None:
    truth = LevelModel(SEASON, day_sd=0.15, drift_sd=0.10, persistence=0.9)
    estimates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        fitted = fit_level_model(noisy(truth.draw(40, rng), 0.06, rng), np.ones(40))
        estimates.append([fitted.day_sd, fitted.drift_sd, fitted.persistence])
    means = np.mean(estimates, axis=0)
    errors = np.std(estimates, axis=0, ddof=1) / np.sqrt(len(estimates))
    z = (means - [0.15, 0.10, 0.9]) / errors
    assert np.abs(z).max() < 3, (means, errors)
    assert (np.abs(means - [0.15, 0.10, 0.9]) < [0.02, 0.01, 0.03]).all()


def test_sampling_noise_is_not_mistaken_for_drift(rng: np.random.Generator) -> None:
    still = np.zeros((30, 48))
    fitted = fit_level_model(noisy(still, 0.15, rng), np.ones(30))
    assert fitted.drift_sd < 0.04
    assert fitted.day_sd < 0.04


def test_the_season_is_the_mean_over_days_weighted_by_day(rng: np.random.Generator) -> None:
    levels = Levels(np.array([[0.0] * 48, [1.0] * 48]), np.full((2, 48), 0.01))
    np.testing.assert_allclose(season_of(levels, np.array([1.0, 3.0])), 0.75)


def test_drawn_levels_have_the_covariance_of_the_model(rng: np.random.Generator) -> None:
    model = LevelModel(SEASON, day_sd=0.2, drift_sd=0.1, persistence=0.8)
    drawn = model.draw(20_000, rng)
    np.testing.assert_allclose(drawn.mean(axis=0), SEASON, atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), model.covariance(), atol=0.003)


def test_well_known_slots_keep_their_level_and_unknown_ones_follow_their_neighbours() -> None:
    model = LevelModel(np.zeros(48), day_sd=0.3, drift_sd=0.1, persistence=0.9)
    mean = np.full((1, 48), 0.4)
    variance = np.full((1, 48), 1e-6)
    mean[0, 20], variance[0, 20] = -3.0, 1e3
    smoothed = smoothed_levels(Levels(mean, variance), model)
    np.testing.assert_allclose(np.delete(smoothed[0], 20), 0.4, atol=0.01)
    assert smoothed[0, 20] == pytest.approx(0.4, abs=0.02)


def test_levels_are_read_from_won_and_lost_rows_as_they_were_under_the_true_law() -> None:
    auctions, price = generated("shock", 6, 3)
    simulator = TrueSimulator(PRESETS["shock"])
    levels = read_levels(simulator, simulator.stratum(auctions), auctions, price_scale(auctions))
    # The median log price of a slot is its level but for the round prices and the cap.
    smooth = ~np.isin(price, (20.0, 50.0, 70.0))
    seen = np.array(
        [
            np.median(np.log(price[(auctions.cell == cell) & smooth])) - 4.0
            for cell in range(auctions.cells)
        ]
    ).reshape(6, 48)
    error = levels.mean - seen
    assert abs(error.mean()) < 0.03
    assert np.corrcoef(levels.mean.ravel(), seen.ravel())[0, 1] > 0.95
    # The stated variance and the median's own error (1.25 sd / sqrt(n)) explain the difference.
    own = (1.25 * 0.95) ** 2 / auctions.volume
    assert (error**2 / (levels.variance + own)).mean() < 1.5
