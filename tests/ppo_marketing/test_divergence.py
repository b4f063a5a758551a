"""Distances between two decisions: answers on paper, limits, and never NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from ppo_marketing.divergence import (
    categorical_kl,
    categorical_variation,
    gaussian_kl,
    gaussian_variation,
)

NUMBER = st.floats(-30, 30)
LOG_STD = st.floats(-4, 4)
CERTAIN = -math.inf


def one(value: float) -> Any:
    return np.array([[value]])


def test_a_fair_coin_against_a_bent_one_is_what_paper_says() -> None:
    fair, bent = [[0.5, 0.5]], [[0.9, 0.1]]
    assert categorical_kl(fair, bent) == pytest.approx(0.5 * math.log(0.25 / 0.09))
    bent_to_fair = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert categorical_kl(bent, fair) == pytest.approx(bent_to_fair)
    assert categorical_variation(fair, bent) == pytest.approx(0.4)


def test_disjoint_choices_are_infinitely_far_and_an_absent_one_costs_nothing() -> None:
    p, q = [[0.5, 0.5, 0.0]], [[0.0, 0.5, 0.5]]
    assert categorical_kl(p, q) == math.inf
    assert categorical_kl([[1.0, 0.0]], [[0.5, 0.5]]) == pytest.approx(math.log(2))
    assert categorical_variation([[1.0, 0.0]], [[0.0, 1.0]]) == 1.0
    assert not np.isnan(categorical_kl([[1.0, 0.0]], [[0.0, 1.0]])).any()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(lambda p: sum(p) > 0.1))
def test_a_choice_is_at_no_distance_from_itself(weights: list[float]) -> None:
    p = np.array([weights]) / sum(weights)
    assert categorical_kl(p, p) == 0.0
    assert categorical_variation(p, p) == 0.0
    held = np.maximum(p, 1e-30)  # what single precision holds at all
    assert categorical_kl(held, held.astype(np.float32)) == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=2, max_size=6))
def test_variation_keeps_pinskers_inequality(pairs: list[tuple[float, float]]) -> None:
    p, q = (np.array([[pair[i] for pair in pairs]]) for i in (0, 1))
    assert categorical_variation(p, q)[0] <= math.sqrt(categorical_kl(p, q)[0] / 2) + 1e-12


def test_gaussians_are_as_far_apart_as_paper_says() -> None:
    # Equal σ: (Δμ)² / 2σ²; equal μ, σ doubled: log 2 + 1/8 - 1/2.
    assert gaussian_kl(one(1), one(0), one(0), one(0)) == pytest.approx(0.5)
    assert gaussian_kl(one(0), one(0), one(0), one(math.log(2))) == pytest.approx(
        math.log(2) + 1 / 8 - 1 / 2
    )
    # Several controls add up.
    both = gaussian_kl([[1.0, 0.0]], [0.0, 0.0], [[0.0, 0.0]], [0.0, math.log(2)])
    assert both == pytest.approx(0.5 + math.log(2) + 1 / 8 - 1 / 2)
    assert gaussian_variation(one(1), one(0), one(0), one(0)) == pytest.approx(
        2 * norm.cdf(0.5) - 1
    )


@given(NUMBER, LOG_STD, NUMBER, LOG_STD)
def test_variation_of_gaussians_is_the_integral_of_what_one_has_more(
    mean_p: float, log_std_p: float, mean_q: float, log_std_q: float
) -> None:
    p, q = norm(mean_p, math.exp(log_std_p)), norm(mean_q, math.exp(log_std_q))
    near, far = min(mean_p, mean_q), max(mean_p, mean_q)
    wide = 10 * math.exp(max(log_std_p, log_std_q))
    grid = np.unique(
        np.concatenate([
            np.linspace(near - wide, far + wide, 200_001),
            *(m + math.exp(s) * np.linspace(-10, 10, 20_001)
              for m, s in ((mean_p, log_std_p), (mean_q, log_std_q))),
        ])
    )  # fmt: skip
    expected = 0.5 * np.trapezoid(np.abs(p.pdf(grid) - q.pdf(grid)), grid)
    found = gaussian_variation(one(mean_p), one(log_std_p), one(mean_q), one(log_std_q))
    assert found == pytest.approx(expected, abs=2e-4)
    mirrored = gaussian_variation(one(mean_q), one(log_std_q), one(mean_p), one(log_std_p))
    assert mirrored == pytest.approx(found)


@given(NUMBER, LOG_STD)
def test_a_gaussian_is_at_no_distance_from_itself(mean: float, log_std: float) -> None:
    same = (one(mean), one(log_std), one(mean), one(log_std))
    assert gaussian_kl(*same) == 0.0
    assert gaussian_variation(*same) == 0.0


@pytest.mark.parametrize("difference", [1e-12, 1e-10, 1e-9, 2e-9, 1e-6])
@pytest.mark.parametrize("shift", [0.0, 1e-3, 1.0, 50.0])
def test_nearly_equal_widths_meet_the_formula_of_equal_ones(
    difference: float, shift: float
) -> None:
    found = gaussian_variation(one(shift), one(difference), one(0), one(0))
    assert found == pytest.approx(2 * norm.cdf(shift / 2) - 1, abs=1e-6)


def test_certainty_is_nowhere_near_anything_but_itself() -> None:
    assert gaussian_kl(one(2), [CERTAIN], one(2), [CERTAIN]) == 0.0
    assert gaussian_variation(one(2), [CERTAIN], one(2), [CERTAIN]) == 0.0
    for other in ((one(2.1), [CERTAIN]), (one(2), [0.0])):
        assert gaussian_kl(one(2), [CERTAIN], *other) == math.inf
        assert gaussian_kl(*other, one(2), [CERTAIN]) == math.inf
        assert gaussian_variation(one(2), [CERTAIN], *other) == 1.0


@pytest.mark.parametrize("p", [(0.0, -800.0), (1e300, 0.0), (0.0, 800.0), (0.0, CERTAIN)])
@pytest.mark.parametrize("q", [(0.0, -800.0), (-1e300, 0.0), (0.0, 800.0), (1.0, CERTAIN)])
def test_no_extreme_makes_a_number_that_is_none(
    p: tuple[float, float], q: tuple[float, float]
) -> None:
    arguments = (one(p[0]), one(p[1]), one(q[0]), one(q[1]))
    assert gaussian_kl(*arguments)[0] >= 0
    assert 0 <= gaussian_variation(*arguments)[0] <= 1


def test_of_several_controls_the_bound_lies_above_the_exact_value() -> None:
    means = np.array([[0.3, 0.4]])
    exact = 2 * norm.cdf(0.5 / 2) - 1  # equal σ: only the distance of the means counts
    bound = gaussian_variation(means, [0.0, 0.0], np.zeros((1, 2)), [0.0, 0.0])[0]
    assert exact <= bound <= exact + 0.15


def test_the_divergence_of_gaussians_is_its_integral() -> None:
    p, q = norm(0.3, 0.7), norm(-0.2, 1.6)
    expected = quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -8, 8)[0]
    found = gaussian_kl(one(0.3), one(math.log(0.7)), one(-0.2), one(math.log(1.6)))
    assert found == pytest.approx(expected, rel=1e-6)
