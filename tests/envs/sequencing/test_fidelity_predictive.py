"""The ten statistics refuse what the simulator does not repeat, and not what it does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f as f_distribution

from envs.sequencing.fidelity_predictive import (
    STATISTICS_NEEDED,
    count_allowed,
    joint_p,
    predictive_checks,
    predictive_p,
)


def repetitions(rng: np.random.Generator, n: int) -> np.ndarray:
    """Ten statistics as the sample's: four follow one level, two are the same."""
    level = rng.normal(size=(n, 1))
    draws = 0.3 * rng.normal(size=(n, 10))
    draws[:, :4] += level
    draws[:, 3] = draws[:, 2]
    return draws


def checks_of(truth: np.ndarray, draws: np.ndarray) -> list[bool]:
    named = [{str(i): x for i, x in enumerate(row)} for row in (truth, *draws)]
    checks, _ = predictive_checks(named[0], named[1:])
    return [check.passed for check in checks]


def test_a_right_simulator_is_refused_once_in_a_hundred_and_by_a_fixed_eight_far_oftener() -> None:
    rng = np.random.default_rng(0)
    refused, below_eight = np.zeros(2), 0
    for _ in range(300):
        draws = repetitions(rng, 61)
        refused += ~np.array(checks_of(draws[0], draws[1:]))
        p = predictive_p(draws[0], draws[1:])
        below_eight += ((p >= 0.05) & (p <= 0.95)).sum() < STATISTICS_NEEDED
    assert (refused / 300 <= 0.04).all(), refused
    assert below_eight / 300 > 0.08


def test_independent_statistics_need_eight_or_as_many_as_chance_leaves() -> None:
    draws = np.random.default_rng(1).normal(size=(200, 10))
    assert count_allowed(draws) in (6, 7), "P(fewer than 7 of 10 inside) is 1.3 %, than 6 .16 %"
    assert count_allowed(np.zeros((50, 10))) == STATISTICS_NEEDED


def test_a_combination_that_no_single_statistic_shows_is_seen_jointly() -> None:
    rng = np.random.default_rng(2)
    draws = repetitions(rng, 100)
    odd = np.zeros(10)
    odd[0], odd[1] = 1.4, -1.4  # both are the level: they never part so far
    assert checks_of(odd, draws) == [True, False]


def test_the_joint_distance_of_one_statistic_is_the_prediction_interval_of_students_t() -> None:
    draws = np.random.default_rng(3).normal(size=(40, 1))
    observed = np.array([2.0])
    t = (observed - draws.mean()) / (draws.std(ddof=1) * np.sqrt(1 + 1 / 40))
    assert joint_p(observed, draws) == pytest.approx(float(f_distribution.sf(t[0] ** 2, 1, 39)))
