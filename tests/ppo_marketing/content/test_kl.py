from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ppo_marketing.content.kl import AdaptiveKL, best_of_n_kl, k1, k2, k3
from ppo_marketing.errors import UserError

ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}


def moments(estimator: str, shift: float) -> tuple[float, float]:
    """Mean and deviation over x from N(0, 1) of the estimate of KL(N(0, 1), N(shift, 1))."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    log_ratio = torch.from_numpy(shift * nodes - shift**2 / 2)
    values = ESTIMATORS[estimator](log_ratio).numpy()
    weights = weights / weights.sum()
    mean = float(weights @ values)
    return mean, math.sqrt(float(weights @ (values - mean) ** 2))


@pytest.mark.parametrize(
    ("shift", "estimator", "bias_over_truth", "deviation_over_truth"),
    [
        # Schulman 2020: the true KL is .005, then .5.
        (0.1, "k1", 0.0, 20.0),
        (0.1, "k2", 0.002, 1.42),
        (0.1, "k3", 0.0, 1.42),
        (1.0, "k1", 0.0, 2.0),
        (1.0, "k2", 0.25, 1.73),
        (1.0, "k3", 0.0, 1.7),
    ],
)
def test_the_estimators_have_the_published_bias_and_deviation(
    shift: float, estimator: str, bias_over_truth: float, deviation_over_truth: float
) -> None:
    truth = shift**2 / 2
    mean, deviation = moments(estimator, shift)
    assert mean / truth - 1.0 == pytest.approx(bias_over_truth, abs=0.001)
    assert deviation / truth == pytest.approx(deviation_over_truth, abs=0.02)


def test_the_kl_of_the_best_of_n_is_that_of_the_largest_of_n_uniforms() -> None:
    # The largest of n uniforms has the density n u^(n-1).
    u = (np.arange(1_000_000) + 0.5) / 1_000_000
    for n in (1, 2, 16):
        density = n * u ** (n - 1)
        assert best_of_n_kl(n) == pytest.approx(float((density * np.log(density)).mean()), abs=1e-4)
    assert best_of_n_kl(1) == 0.0


def test_the_controller_moves_the_price_by_the_bounded_error_of_its_target() -> None:
    start = AdaptiveKL(coefficient=0.1, target_kl=4.0)
    assert start.updated(4.0, 512) == start
    assert start.updated(4.4, 1000).coefficient == pytest.approx(0.1 * (1 + 0.1 * 0.1))
    assert start.updated(400.0, 1000).coefficient == pytest.approx(0.1 * (1 + 0.2 * 0.1))
    assert start.updated(0.0, 1000).coefficient == pytest.approx(0.1 * (1 - 0.2 * 0.1))
    assert start.updated(0.0, 10**9).coefficient == pytest.approx(0.08)


def test_without_a_target_the_price_stays() -> None:
    assert AdaptiveKL(coefficient=0.0).updated(50.0, 512).coefficient == 0.0


def test_a_price_of_zero_cannot_follow_a_target() -> None:
    with pytest.raises(UserError, match="zero times anything stays zero"):
        AdaptiveKL(coefficient=0.0, target_kl=4.0)
