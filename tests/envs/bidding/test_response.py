"""Click probabilities: left alone when right, mended when wrong, fitted when absent."""

from __future__ import annotations

import numpy as np
import pytest

from envs.bidding.response import Recalibration, fitted_probability, recalibrate
from envs.core.calibration_folder import CalibrationError
from tests.support.auctions import generated


def drawn(
    rng: np.random.Generator, n: int, distortion: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, true probabilities (distortion x prediction) and clicks."""
    predicted = np.exp(rng.normal(-6.0, 1.0, n)).clip(1e-6, 0.2)
    truth = predicted * distortion
    return predicted, truth, rng.random(n) < truth


def test_a_correct_prediction_with_few_clicks_is_left_exactly_alone() -> None:
    unmoved = []
    for seed in range(20):
        predicted, _, click = drawn(np.random.default_rng(seed), 20_000, 1.0)
        unmoved.append(np.allclose(recalibrate(predicted, click)(predicted), predicted))
    assert sum(unmoved) >= 19  # the test's level is 1 %


@pytest.mark.parametrize("distortion", [0.5, 2.0])
def test_a_prediction_off_by_a_factor_is_mended(
    distortion: float, rng: np.random.Generator
) -> None:
    predicted, truth, click = drawn(rng, 400_000, distortion)
    mended = recalibrate(predicted, click)(predicted)
    assert mended.sum() / truth.sum() == pytest.approx(1.0, abs=0.1)


def test_the_map_is_the_identity_without_events_and_never_leaves_the_unit_interval() -> None:
    empty = recalibrate(np.empty(0), np.empty(0, np.bool_))
    assert empty(np.array([0.3]))[0] == np.float32(0.3)
    assert Recalibration(np.zeros(1), np.array([5.0]))(np.array([0.5]))[0] == 1.0


def test_recalibration_keeps_the_order_of_predictions(rng: np.random.Generator) -> None:
    predicted, _, _ = drawn(rng, 200_000, 1.0)
    click = rng.random(len(predicted)) < predicted**0.5 * 0.05
    mended = recalibrate(predicted, click)(np.sort(predicted))
    assert (np.diff(mended) >= -1e-7).all()


def test_a_fitted_response_finds_what_the_context_tells(rng: np.random.Generator) -> None:
    auctions, _ = generated("retargeting", 6, 0)
    exchange = rng.integers(0, 2, auctions.rows).astype(np.int32)
    rate = np.where(exchange == 1, 0.03, 0.005)
    auctions = auctions._replace(click=auctions.won & (rng.random(auctions.rows) < rate))
    fitted = fitted_probability(auctions, {"exchange": exchange}, 4, rng)
    for level, truth in ((0, 0.005), (1, 0.03)):
        assert fitted[exchange == level].mean() == pytest.approx(truth, rel=0.25)


def test_too_few_clicks_are_refused_with_what_to_do(rng: np.random.Generator) -> None:
    auctions, _ = generated("retargeting", 6, 0)
    none = auctions._replace(click=np.zeros(auctions.rows, np.bool_))
    with pytest.raises(CalibrationError, match=r"no pctr column and 0 clicks.*Add the pctr"):
        fitted_probability(none, {}, 4, rng)
