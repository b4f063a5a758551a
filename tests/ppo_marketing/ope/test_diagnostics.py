"""What weights say of a log, on paper."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_marketing.ope.diagnostics import diagnose, kish, weight_tail
from tests.support.one_step import bandit, paper


def test_four_rows_on_paper() -> None:
    # w = 2, 1/2, 1, 4; w r = 2, 0, 1, 8
    found = diagnose(paper(unit=["a", "a", "b", "c"], unsupported=[0.0, 0.1, 0.1, 0.4]))
    assert (found.rows, found.impressions, found.units) == (4, 4.0, 3)
    assert found.effective_n == pytest.approx(7.5**2 / 21.25)
    assert found.effective_units == pytest.approx(7.5**2 / (2.5**2 + 1 + 16))
    assert found.mean_weight == pytest.approx(7.5 / 4)
    assert found.largest_weight == 4.0
    assert found.unsupported == pytest.approx(0.15)
    assert found.positives == 3.0
    assert found.effective_positives == 3.0
    assert found.positive_ess == pytest.approx(11**2 / (4 + 1 + 64))


def test_rewards_that_the_target_cannot_have_are_not_effective() -> None:
    found = diagnose(paper(chosen=[0.5, 0.25, 0.0, 0.5]))
    assert found.positives == 3.0
    assert found.effective_positives == 2.0


def test_a_row_of_many_impressions_is_as_many_draws() -> None:
    weights, counts = np.array([2.0, 0.5]), np.array([3.0, 2.0])
    spelt = np.array([2.0, 2.0, 2.0, 0.5, 0.5])
    assert kish(weights, counts) == pytest.approx(kish(spelt))
    assert weight_tail(weights, counts).top_share == pytest.approx(0.05 * 2 / 7)


def test_equal_weights_are_all_effective_and_have_no_tail() -> None:
    found = diagnose(paper(chosen=[0.25, 0.5, 0.5, 0.125]))
    assert found.effective_n == pytest.approx(4.0)
    assert found.mean_weight == 1.0
    tail = weight_tail(np.ones(1_000), np.ones(1_000))
    assert tail.top_share == pytest.approx(0.01)
    assert tail.hill == 0.0


def test_the_tail_index_of_a_power_law_is_its_reciprocal_exponent(rng: np.random.Generator) -> None:
    for exponent in (1.5, 4.0):
        weights = (1 - rng.random(100_000)) ** (-1 / exponent)
        hill = weight_tail(weights, np.ones(100_000)).hill
        assert hill == pytest.approx(1 / exponent, rel=0.1)


def test_the_share_of_the_top_percent_is_what_its_rows_weigh(rng: np.random.Generator) -> None:
    weights = rng.pareto(2.0, 5_000)
    top = np.sort(weights)[-50:].sum() / weights.sum()
    assert weight_tail(weights, np.ones(5_000)).top_share == pytest.approx(top)


def test_a_target_that_nobody_followed_has_nothing_effective() -> None:
    found = diagnose(paper(chosen=[0.0] * 4))
    assert found.effective_n == found.positive_ess == found.top_share == 0.0
    assert found.tail_index is None


def test_weights_of_right_propensities_have_the_mean_one(rng: np.random.Generator) -> None:
    found = diagnose(bandit(20_000, rng).decisions())
    assert abs(found.mean_weight - 1.0) < 3 * found.mean_weight_error
    assert 0.03 < found.effective_n / 20_000 < 0.04
