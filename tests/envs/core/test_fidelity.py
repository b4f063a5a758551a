"""Checks, reports and the statistics behind them, against answers known on paper."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from envs.core.fidelity import (
    Check,
    Curve,
    FidelityReport,
    calibration_slope,
    count_ratio_bounds,
    ks_distance,
    ks_threshold,
    randomised_pit,
)


def check(value: float, low: float = 0.0, high: float = 1.0) -> Check:
    return Check(
        name="gap", value=value, low=low, high=high, n=3, unit="rows", meaning="How far apart."
    )


@pytest.mark.parametrize(
    ("value", "passed"), [(0.0, True), (1.0, True), (1.01, False), (-0.01, False), (np.nan, False)]
)
def test_a_check_passes_within_its_bounds_and_never_on_a_missing_number(
    value: float, passed: bool
) -> None:
    assert check(value).passed is passed


def test_a_report_passes_when_every_check_does_and_not_without_any() -> None:
    assert FidelityReport(checks=(check(0.5),)).passed
    assert not FidelityReport(checks=()).passed
    broken = FidelityReport(checks=(check(0.5), check(2.0)))
    assert not broken.passed
    assert [c.value for c in broken.failures] == [2.0]


def test_a_report_survives_json_with_open_bounds_and_missing_values() -> None:
    curve = Curve(name="c", x_label="x", y_label="y", x=(1.0,), observed=(2.0,), simulated=(3.0,))
    report = FidelityReport(checks=(check(0.5, -np.inf), check(np.nan)), curves=(curve,))
    again = FidelityReport.from_dict(json.loads(json.dumps(report.as_dict(), allow_nan=False)))
    assert again.curves == report.curves
    older = report.as_dict()
    for curve_of_then in older["curves"]:
        for part in ("kind", "n", "low", "high"):
            del curve_of_then[part]
    assert FidelityReport.from_dict(older).curves == report.curves
    assert again.checks[0] == report.checks[0]
    assert np.isnan(again.checks[1].value)
    assert not again.passed


def test_a_verdict_is_computed_from_the_numbers_and_cannot_be_written_into_a_file() -> None:
    saved = FidelityReport(checks=(check(2.0),)).as_dict()
    saved["passed"] = saved["checks"][0]["passed"] = True
    assert not FidelityReport.from_dict(saved).passed


def test_ks_distance_of_a_hand_made_pair() -> None:
    assert ks_distance(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.5
    assert ks_distance(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.0
    assert ks_distance(np.array([1.0]), np.array([2.0])) == 1.0


def test_the_ks_threshold_is_the_larger_of_its_floor_and_the_one_percent_point() -> None:
    assert ks_threshold(2000, 0.03) == pytest.approx(1.63 / np.sqrt(2000))
    assert ks_threshold(1_000_000, 0.03) == 0.03


def test_the_randomised_pit_of_a_discrete_law_is_uniform(rng: np.random.Generator) -> None:
    x = rng.poisson(2.0, 5_000)
    cdf = np.cumsum(np.exp(-2.0) * 2.0 ** np.arange(30) / np.cumprod([1, *range(1, 30)]))
    below = np.concatenate([[0.0], cdf])[x]
    assert kstest(randomised_pit(below, cdf[x], rng), "uniform").pvalue > 0.001
    assert kstest(randomised_pit(below * 0.8, cdf[x] * 0.8, rng), "uniform").pvalue < 1e-6


@given(expected=st.floats(1.0, 1e5), tolerance=st.floats(0.01, 0.5))
def test_a_count_ratio_may_always_use_its_whole_tolerance(
    expected: float, tolerance: float
) -> None:
    low, high = count_ratio_bounds(expected, tolerance, 0.01)
    assert low <= 1 - tolerance
    assert high >= 1 + tolerance


def test_count_ratio_bounds_tighten_to_the_tolerance_with_many_events() -> None:
    low, high = count_ratio_bounds(1e8, 0.05, 0.01)
    assert low == pytest.approx(0.95, abs=1e-3)
    assert high == pytest.approx(1.05, abs=1e-3)
    low, high = count_ratio_bounds(10.0, 0.05, 0.01)
    assert low < 0.4
    assert high > 1.8


@pytest.mark.parametrize("slope", [1.0, 0.5, 2.0])
def test_the_calibration_slope_recovers_how_overconfident_predictions_are(
    slope: float, rng: np.random.Generator
) -> None:
    logit = rng.normal(-2.0, 1.0, 40_000)
    event = rng.random(40_000) < 1 / (1 + np.exp(-slope * logit))
    estimate, error = calibration_slope(1 / (1 + np.exp(-logit)), event)
    assert abs(estimate - slope) < 4 * error
    assert error < 0.05
