"""Intervals by hand, against standard errors, and with units kept whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ppo_marketing.ope.estimators import DR, IPS, SNIPS
from ppo_marketing.ope.feedback import Decisions, Floats, from_matrices
from ppo_marketing.ope.intervals import (
    bootstrap_values,
    empirical_bernstein,
    lower_bound,
    normal_interval,
    percentile_interval,
)
from ppo_marketing.ope.terms import influence, standard_error, value
from tests.support.one_step import bandit, paper

MANY = 4_000


def deviations(decisions: Decisions, rng: np.random.Generator) -> tuple[Floats, list[float]]:
    """Bootstrap deviations and standard errors of IPS, SNIPS and DR."""
    terms = [estimator.terms(decisions) for estimator in (IPS(), SNIPS(), DR())]
    draws = bootstrap_values(terms, decisions, rng, repetitions=MANY)
    assert draws.mean(axis=0) == pytest.approx([value(t, decisions) for t in terms], rel=0.01)
    errors = [standard_error(influence(t, decisions), decisions) for t in terms]
    return draws.std(axis=0), errors


def test_the_normal_interval_is_students_of_few_units() -> None:
    # t(.975) of 2 degrees of freedom is 4.3027; of many, 1.96.
    assert normal_interval(1.0, 0.1, 3) == pytest.approx((1 - 0.43027, 1 + 0.43027), abs=1e-5)
    assert normal_interval(1.0, 0.1, 10**6) == pytest.approx((0.804, 1.196), abs=1e-5)


def test_the_bootstrap_spreads_as_far_as_the_standard_error(rng: np.random.Generator) -> None:
    spread, errors = deviations(bandit(5_000, rng).decisions(), rng)
    assert spread == pytest.approx(errors, rel=0.08)


def test_the_bootstrap_never_parts_a_unit(rng: np.random.Generator) -> None:
    log = bandit(1_500, rng)
    copied: dict[str, Any] = {
        name: np.concatenate([column] * 4) for name, column in log.columns.items()
    }
    spread, errors = deviations(from_matrices(**copied), rng)
    assert spread == pytest.approx(errors, rel=0.08)
    rows, _ = deviations(from_matrices(**copied | {"unit": np.arange(6_000)}), rng)
    # Rows drawn apart would pass copies for evidence: half the deviation.
    assert rows == pytest.approx(spread / 2, rel=0.12)


def test_impressions_of_a_log_of_counts_are_drawn_one_by_one(rng: np.random.Generator) -> None:
    log = bandit(2_000, rng)
    counted = log.decisions(unit=None, weight=rng.integers(1, 50, 2_000))
    spread, errors = deviations(counted, rng)
    assert spread == pytest.approx(errors, rel=0.08)


def test_all_estimators_see_the_same_draws(rng: np.random.Generator) -> None:
    decisions = bandit(1_000, rng).decisions()
    terms = IPS().terms(decisions)
    draws = bootstrap_values([terms, terms], decisions, rng, repetitions=50)
    assert (draws[:, 0] == draws[:, 1]).all()
    assert len(set(draws[:, 0])) > 40


def test_the_same_generator_gives_the_same_draws(rng: np.random.Generator) -> None:
    decisions = bandit(3_000, rng).decisions()
    drawn = [
        bootstrap_values(
            [DR().terms(decisions)], decisions, np.random.default_rng(1), repetitions=9
        )
        for _ in range(2)
    ]
    assert (drawn[0] == drawn[1]).all()


def test_percentiles_leave_the_tails_out() -> None:
    draws = np.arange(1001.0)
    assert percentile_interval(draws) == pytest.approx((25.0, 975.0))
    assert percentile_interval(draws, level=0.5) == pytest.approx((250.0, 750.0))
    assert lower_bound(draws) == pytest.approx(50.0)


def test_empirical_bernstein_by_hand() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    # s² = 1/3, n = 4, log(4 / .05) = 4.382
    log = math.log(80.0)
    reach = math.sqrt(2 / 3 * log / 4) + 7 * 1 * log / (3 * 3)
    assert reach > 0.5
    assert empirical_bernstein(values, 0.0, 1.0) == pytest.approx((0.0, 1.0))
    many = np.tile(values, 250)
    variance = 0.25 * 1000 / 999
    reach = math.sqrt(2 * variance * log / 1000) + 7 * log / (3 * 999)
    assert empirical_bernstein(many, 0.0, 1.0) == pytest.approx((0.5 - reach, 0.5 + reach))
    counted = empirical_bernstein(values, 0.0, 1.0, weight=np.full(4, 250.0))
    assert counted == pytest.approx((0.5 - reach, 0.5 + reach))
    assert empirical_bernstein(values[:1], 0.0, 1.0) == (0.0, 1.0)


def test_empirical_bernstein_covers_where_the_normal_interval_does_not() -> None:
    rng, mean, n = np.random.default_rng(3), 0.004, 200
    exact = normal = 0
    for _ in range(300):
        values = (rng.random(n) < mean).astype(float)
        low, high = empirical_bernstein(values, 0.0, 1.0)
        exact += low <= mean <= high
        low, high = normal_interval(float(values.mean()), float(values.std() / n**0.5), n)
        normal += low <= mean <= high
    assert exact >= 0.95 * 300
    assert normal < 0.7 * 300


def test_a_paper_log_of_one_unit_cannot_be_redrawn_differently() -> None:
    decisions = paper(unit=[0, 0, 0, 0])
    draws = bootstrap_values([IPS().terms(decisions)], decisions, np.random.default_rng(0))
    assert (draws == draws[0]).all()
