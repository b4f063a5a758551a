"""Size, power and duration: published answers, limits, and functions that undo each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm

from ppo_marketing.errors import UserError
from ppo_marketing.experiment.design import (
    Plan,
    design_effect,
    designed,
    minimum_detectable_effect,
    power_of,
    units_for,
)
from ppo_marketing.experiment.outcomes import Mean, Proportion

TENTH = Plan(outcome=Proportion(0.1))


def test_a_rise_from_10_to_12_per_cent_needs_3841_a_side() -> None:
    # R: power.prop.test(p1 = .10, p2 = .12, power = .80) gives n = 3840.847. With V_0 = V_1, the
    # unpooled formula, it would be 3838.1: 3,839.
    assert units_for(TENTH, 0.02) / 2 == pytest.approx(3840.847, abs=0.001)
    found = designed(TENTH, effect=0.02)
    assert (found.champion, found.challenger, found.units) == (3841, 3841, 7682)
    z = norm.ppf(0.975) + norm.ppf(0.8)
    assert z**2 * (0.1 * 0.9 + 0.12 * 0.88) / 0.02**2 == pytest.approx(3838.1, abs=0.05)


def test_the_examples_of_rs_own_page_come_out() -> None:
    # ?power.prop.test: p1 = .50, p2 = .75 with power .90 needs n = 76.7; n = 50 has power .740.
    half = Plan(outcome=Proportion(0.5), power=0.9)
    assert units_for(half, 0.25) / 2 == pytest.approx(76.7, abs=0.05)
    assert power_of(half, 0.25, 100) == pytest.approx(0.740, abs=0.0005)


def test_half_a_standard_deviation_needs_63_a_side() -> None:
    # 2 (1.96 + .8416)² / .5² = 62.8: the textbook's answer for z tests.
    assert designed(Plan(outcome=Mean(sd=2.0)), effect=1.0).champion == 63
    assert units_for(Plan(outcome=Mean(sd=2.0)), 1.0) / 2 == pytest.approx(62.791, abs=0.001)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.9])
def test_unequal_arms_cost_what_paper_says(share: float) -> None:
    even, uneven = (units_for(Plan(outcome=Mean(1.0), share=s), 0.1) for s in (0.5, share))
    assert uneven / even == pytest.approx(0.25 / (share * (1 - share)))
    found = designed(Plan(outcome=Mean(1.0), share=share), effect=0.1)
    assert found.challenger / found.units == pytest.approx(share, abs=2e-3)


def test_unequal_rates_follow_fleiss() -> None:
    # Fleiss, Levin and Paik, chapter 4, for r = n_2 / n_1 = 1/2, written out.
    p1, p2, r = 0.25, 0.40, 0.5
    pooled = (p1 + r * p2) / (1 + r)
    root = norm.ppf(0.975) * math.sqrt((r + 1) * pooled * (1 - pooled)) + norm.ppf(
        0.95
    ) * math.sqrt(r * p1 * (1 - p1) + p2 * (1 - p2))
    first = root**2 / (r * (p2 - p1) ** 2)
    plan = Plan(outcome=Proportion(p1), share=r / (1 + r), power=0.95)
    assert units_for(plan, p2 - p1) * (1 - plan.share) == pytest.approx(first)


def test_clusters_need_more_units_by_the_design_effect() -> None:
    assert design_effect(21, 0.05) == pytest.approx(2.0)
    assert design_effect(20, 0.05, 0.6) == pytest.approx(1 + ((1 + 0.36) * 20 - 1) * 0.05)
    assert design_effect(1, 1.0) == design_effect(30, 0.0) == 1.0
    assert design_effect(12, 1.0) == 12.0  # rows of a cluster that say the same count once
    clustered = replace(TENTH, design_effect=2.0)
    assert units_for(clustered, 0.02) == pytest.approx(2 * units_for(TENTH, 0.02))
    assert power_of(clustered, 0.02, 8000) == pytest.approx(power_of(TENTH, 0.02, 4000))


PLANS = st.builds(
    Plan,
    outcome=st.one_of(
        st.builds(Proportion, st.floats(0.001, 0.95)), st.builds(Mean, st.floats(0.01, 1e4))
    ),
    share=st.floats(0.05, 0.95),
    alpha=st.floats(0.001, 0.2),
    power=st.floats(0.5, 0.99),
    design_effect=st.floats(1.0, 10.0),
)


@given(PLANS, st.integers(200, 10**7))
def test_the_effect_that_units_show_is_shown_with_the_power_that_was_asked(
    plan: Plan, units: int
) -> None:
    try:
        effect = minimum_detectable_effect(plan, units)
    except UserError:
        assume(False)
    assert power_of(plan, effect, units) == pytest.approx(plan.power, abs=1e-7)
    assert units_for(plan, effect) == pytest.approx(units, rel=1e-5)
    assert power_of(plan, effect * 0.9, units) < plan.power


@given(PLANS, st.floats(0.001, 0.04))
def test_units_power_and_effect_undo_each_other(plan: Plan, effect: float) -> None:
    units = units_for(plan, effect)
    assert power_of(plan, effect, units) == pytest.approx(plan.power)
    assume(units > 2)
    assert minimum_detectable_effect(plan, units) == pytest.approx(effect, rel=1e-6)
    found = designed(plan, effect=effect)
    rounding = 1e-9 * units  # of floats beyond 10^15
    assert -rounding <= found.units - units < 2 + rounding


def test_where_nothing_is_there_half_of_alpha_is_found_on_the_right_side() -> None:
    assert power_of(TENTH, 0.0, 10_000) == pytest.approx(0.025)
    assert power_of(TENTH, 0.9, 10_000) == 1.0  # a rate of 1


def test_a_fall_is_planned_like_a_rise() -> None:
    assert designed(TENTH, effect=-0.02).units < designed(TENTH, effect=0.02).units
    mean = Plan(outcome=Mean(3.0))
    assert units_for(mean, -1.0) == units_for(mean, 1.0)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_simulated_tests_find_the_effect_as_often_as_planned(
    rng: np.random.Generator, share: float
) -> None:
    found = designed(replace(TENTH, share=share), effect=0.03)
    n1, n2 = found.champion, found.challenger
    a, b = rng.binomial(n1, 0.10, 20_000), rng.binomial(n2, 0.13, 20_000)
    pooled = (a + b) / (n1 + n2)
    z = (b / n2 - a / n1) / np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    assert (z > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.012)


def test_a_test_takes_whole_weeks_and_the_time_of_an_outcome() -> None:
    assert designed(TENTH, effect=0.02).weeks is None
    assert designed(TENTH, effect=0.02, units_a_week=7682).weeks == 1
    assert designed(TENTH, effect=0.02, units_a_week=7681).weeks == 2
    assert designed(TENTH, effect=0.02, units_a_week=2000, outcome_days=8).weeks == 4 + 2


def test_what_is_not_given_is_worked_out() -> None:
    shown = designed(TENTH, units=7682)
    assert shown.effect == pytest.approx(0.02, abs=1e-6)
    assert shown.relative_effect == pytest.approx(0.2, abs=1e-5)
    assert designed(TENTH, units=7682, effect=0.02).power == pytest.approx(0.8, abs=1e-4)
    few = designed(replace(TENTH, share=0.01), units=10, effect=0.5)
    assert (few.champion, few.challenger) == (9, 1)


def test_what_cannot_be_planned_is_refused_with_every_reason() -> None:
    with pytest.raises(UserError) as refused:
        Plan(outcome=Proportion(0.1), share=1.0, alpha=0.0, power=1.0, design_effect=0.5)
    for name in ("share", "alpha", "power", "design_effect"):
        assert f"{name} is" in str(refused.value)
    for rate in (0.0, 1.0, 10.0, math.nan):
        with pytest.raises(UserError, match="between 0 and 1"):
            Proportion(rate)
    with pytest.raises(UserError, match="must be a positive number"):
        Mean(0.0)
    with pytest.raises(UserError, match="infinitely many units"):
        designed(TENTH, effect=0.0)
    with pytest.raises(UserError, match=r"cannot change by 0\.95"):
        designed(TENTH, effect=0.95)
    with pytest.raises(UserError, match="show no rise of a rate"):
        designed(TENTH, units=4)
    with pytest.raises(UserError, match="give the effect that matters"):
        designed(TENTH)
    with pytest.raises(UserError, match="two or more are needed"):
        designed(TENTH, units=1, effect=0.1)
    with pytest.raises(UserError, match="units a week"):
        designed(TENTH, effect=0.1, units_a_week=0)
    with pytest.raises(UserError, match="-1 days"):
        designed(TENTH, effect=0.1, outcome_days=-1)
    with pytest.raises(UserError, match="a size of 1 or more"):
        design_effect(0.5, 0.1)
    with pytest.raises(UserError, match="0 units must be"):
        minimum_detectable_effect(Plan(outcome=Mean(1.0)), 0)
