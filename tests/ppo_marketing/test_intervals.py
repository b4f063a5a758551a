"""Intervals against the tables of the papers that gave them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.intervals import clustered_variance, newcombe, normal, wilson

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_wilsons_interval_is_that_of_newcombes_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        # Newcombe 1998, 17:873, table II, method 10.
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
        ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ],
)
def test_newcombes_interval_is_that_of_his_table(
    events: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    assert newcombe(*events) == pytest.approx(expected, abs=6e-5)


@given(COUNTS, COUNTS)
def test_the_interval_of_a_difference_turns_with_its_sides_and_stays_possible(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    low, high = newcombe(*one, *other)
    assert -1 - 1e-9 <= low <= one[0] / one[1] - other[0] / other[1] <= high <= 1 + 1e-9
    assert newcombe(*other, *one) == pytest.approx((-high, -low))


def test_a_row_a_cluster_is_the_plain_variance_of_a_mean(rng: np.random.Generator) -> None:
    y = rng.normal(size=50)
    score = (y - y.mean()) / 50
    assert clustered_variance(score, np.arange(50)) == pytest.approx(y.var(ddof=1) / 50)
    # Every unit written twice says nothing new.
    twice, unit = np.repeat(score, 2) / 2, np.repeat(np.arange(50), 2)
    assert clustered_variance(twice, unit) == pytest.approx(y.var(ddof=1) / 50)
    assert normal(1.0, 4.0) == pytest.approx((1 - 2 * 1.959964, 1 + 2 * 1.959964))
