"""Reading out: the textbooks' intervals, their limits, coverage, and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from ppo_marketing.errors import UserError
from ppo_marketing.experiment.readout import Arm, Results, fieller, read_out, sample_ratio_p
from ppo_marketing.intervals import newcombe


def results(champion: np.ndarray, challenger: np.ndarray) -> Results:
    n, m = len(champion), len(challenger)
    return Results(
        unit=np.arange(n + m),
        challenger=np.arange(n + m) >= n,
        outcome=np.concatenate([champion, challenger]).astype(float),
    )


def rates(events: int, n: int, other_events: int, other_n: int) -> Results:
    return results(np.arange(n) < events, np.arange(other_n) < other_events)


def test_rates_are_compared_by_newcombes_interval() -> None:
    found = read_out(rates(480, 1000, 560, 1000))
    assert found.method == "Newcombe"
    assert found.difference == pytest.approx(0.08)
    assert found.difference_bounds == pytest.approx(newcombe(560, 1000, 480, 1000))
    assert found.finding == "better"
    assert read_out(rates(560, 1000, 480, 1000)).finding == "worse"
    assert read_out(rates(500, 1000, 510, 1000)).finding == "open"


def test_amounts_are_compared_by_welchs_interval(rng: np.random.Generator) -> None:
    champion, challenger = rng.gamma(2.0, 10.0, 400), rng.gamma(2.0, 14.0, 380)
    found = read_out(results(champion, challenger))
    expected = ttest_ind(challenger, champion, equal_var=False).confidence_interval()
    assert found.method == "Welch"
    assert found.difference_bounds == pytest.approx((expected.low, expected.high))
    narrow = read_out(results(champion, challenger), level=0.8).difference_bounds
    assert found.difference_bounds.low < narrow.low < narrow.high < found.difference_bounds.high


def test_rows_of_a_unit_count_as_one_voice(rng: np.random.Generator) -> None:
    # Five rows a unit: the mean over rows is that of the units' means, and so is its error.
    people = rng.normal(10, 3, (300, 1)) + rng.normal(0, 1, (300, 5))
    side = np.arange(300) % 2 == 1
    rows = Results(
        unit=np.repeat(np.arange(300), 5), challenger=np.repeat(side, 5), outcome=people.ravel()
    )
    found = read_out(rows)
    means = people.mean(axis=1)
    expected = ttest_ind(means[side], means[~side], equal_var=False).confidence_interval()
    assert found.method == "clustered"
    assert (found.champion.units, found.champion.rows) == (150, 750)
    assert found.difference_bounds == pytest.approx((expected.low, expected.high))


def test_the_ends_of_fiellers_interval_are_where_the_data_contradict() -> None:
    champion, challenger, q = Arm(10.0, 0.5, 100), Arm(11.0, 0.7, 100), 1.96
    low, high = fieller(champion, challenger, q) or (0, 0)
    for ratio in (1 + low, 1 + high):
        gap = challenger.mean - ratio * champion.mean
        allowed = q**2 * (challenger.variance + ratio**2 * champion.variance)
        assert gap**2 == pytest.approx(allowed)
    assert low < 0.1 < high
    assert high - 0.1 > 0.1 - low  # skewed, as quotients are


def test_a_champion_known_exactly_makes_the_lift_the_difference_over_it() -> None:
    found = fieller(Arm(10.0, 0.0, 100), Arm(11.0, 0.25, 100), 2.0)
    assert found == pytest.approx((0.0, 0.2))


@given(st.floats(0.5, 100), st.floats(1e-6, 1), st.floats(0.5, 100), st.floats(1e-6, 1))
def test_the_lift_excludes_nothing_where_the_plain_difference_does(
    m: float, v: float, m2: float, v2: float
) -> None:
    champion, challenger = Arm(m, v, 50), Arm(m2, v2, 50)
    bounds = fieller(champion, challenger, 1.96)
    half = 1.96 * math.sqrt(v + v2)
    if bounds is not None and abs(abs(m2 - m) - half) > 1e-9:
        assert bounds.holds(0.0) == (abs(m2 - m) < half)


def test_a_lift_over_about_nothing_is_not_said(rng: np.random.Generator) -> None:
    found = read_out(results(rng.normal(0, 1, 200), rng.normal(1, 1, 200)))
    assert (found.lift, found.lift_bounds) == (None, None)
    assert found.finding == "better"
    nobody = read_out(rates(0, 500, 0, 500))
    assert nobody.difference_bounds.holds(0.0)
    assert nobody.lift is None
    everyone = read_out(results(np.full(50, 3.0), np.full(50, 6.0)))
    assert everyone.difference_bounds == (3.0, 3.0)
    assert everyone.lift_bounds == pytest.approx((1.0, 1.0))
    assert json.loads(json.dumps(nobody.to_dict(), allow_nan=False))["lift"] is None


def before_and_after(rng: np.random.Generator, n: int, effect: float) -> Results:
    """Correlation .8 between pre-period and outcome."""
    before = rng.normal(50, 10, n)
    side = rng.random(n) < 0.5
    outcome = 20 + 0.8 * before + rng.normal(0, 6, n) + effect * side
    return Results(unit=np.arange(n), challenger=side, outcome=outcome, before=before)


def test_a_pre_period_takes_the_squared_correlation_off_the_variance(
    rng: np.random.Generator,
) -> None:
    found = before_and_after(rng, 20_000, 1.0)
    adjusted, plain = read_out(found), read_out(replace(found, before=None))
    assert adjusted.variance_reduction == pytest.approx(0.64, abs=0.02)
    widths = [r.difference_bounds.high - r.difference_bounds.low for r in (adjusted, plain)]
    assert widths[0] / widths[1] == pytest.approx(0.6, abs=0.02)
    assert adjusted.difference == pytest.approx(1.0, abs=0.3)
    assert adjusted.champion.mean == pytest.approx(plain.champion.mean, abs=0.3)


def test_a_pre_period_that_says_nothing_changes_nothing(rng: np.random.Generator) -> None:
    plain = results(rng.normal(5, 1, 300), rng.normal(5, 1, 300))
    constant = read_out(replace(plain, before=np.full(600, 7.0)))
    assert constant.variance_reduction == 0.0
    assert constant.difference_bounds == read_out(plain).difference_bounds


@pytest.mark.parametrize("kind", ["rate", "amount", "clustered", "adjusted"])
def test_intervals_cover_the_truth_as_often_as_they_say(
    rng: np.random.Generator, kind: str
) -> None:
    difference, lift, runs = 0, 0, 400
    for _ in range(runs):
        if kind == "rate":
            data = results(rng.random(400) < 0.2, rng.random(400) < 0.26)
            truth = (0.06, 0.3)
        elif kind == "amount":
            data = results(rng.gamma(2, 10, 150), rng.gamma(2, 11, 150))
            truth = (2.0, 0.1)
        elif kind == "clustered":
            sizes = rng.integers(1, 8, 240)
            mean = np.where(np.arange(240) % 2, 11.0, 10.0) + rng.normal(0, 2, 240)
            unit = np.repeat(np.arange(240), sizes)
            data = Results(
                unit=unit, challenger=unit % 2 == 1,
                outcome=mean[unit] + rng.normal(0, 1, len(unit)),
            )  # fmt: skip
            truth = (1.0, 0.1)
        else:
            data = before_and_after(rng, 300, 6.0)
            truth = (6.0, 0.1)
        found = read_out(data)
        difference += found.difference_bounds.holds(truth[0])
        assert found.lift_bounds is not None
        lift += found.lift_bounds.holds(truth[1])
    # 95 % of 400 with a standard error of 1.1 points.
    assert 0.915 <= difference / runs <= 0.985
    assert 0.915 <= lift / runs <= 0.985


def test_arms_of_the_wrong_size_are_refused() -> None:
    # 4,800 and 5,200 of 10,000: χ² = 2 · 200² / 5,000 = 16, p = 6e-5. 4,850: χ² = 9, p = .0027.
    assert sample_ratio_p(rates(0, 4850, 0, 5150), 0.5) == pytest.approx(0.0027, abs=5e-5)
    assert read_out(rates(100, 4850, 120, 5150)).mismatch_p > 0.001
    with pytest.raises(UserError, match="4,800 and 5,200 units"):
        read_out(rates(100, 4800, 120, 5200))
    assert read_out(rates(100, 9000, 20, 1000), share=0.1).mismatch_p == 1.0
    with pytest.raises(UserError, match=r"shares of 0\.5 and 0\.5 were dealt"):
        read_out(rates(100, 9000, 20, 1000))


def test_the_check_of_sizes_counts_units_not_rows() -> None:
    # The challenger's units come back more often: that is an outcome, not a mismatch.
    unit = np.r_[np.arange(500), np.repeat(np.arange(500, 1000), 3)]
    data = Results(unit=unit, challenger=unit >= 500, outcome=np.arange(2000.0) % 7)
    assert read_out(data).mismatch_p == 1.0


def test_too_few_units_and_impossible_shares_are_refused() -> None:
    with pytest.raises(UserError, match="1 and 3 units: two or more each"):
        read_out(rates(1, 1, 2, 3))
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        read_out(rates(1, 10, 2, 10), share=1.0)
