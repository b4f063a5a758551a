"""A limit held by a price: the controller by hand, and what it does to rewards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.constraint import PIDLagrangian


def volume(**gains: Any) -> PIDLagrangian:
    return PIDLagrangian(**{"kpi": "contacts", "limit": 4.0, "margin": 0.0, **gains})


def test_the_price_follows_the_three_terms_by_hand() -> None:
    first = volume(proportional=0.5, integral=0.1, derivative=2.0).updated(np.array([[4.0], [6.0]]))
    assert first.error == pytest.approx(0.25)  # mean 5 of at most 4
    assert first.price == pytest.approx(0.5 * 0.25 + 0.1 * 0.25)  # nothing before: no rise
    second = first.updated(np.array([[6.0]]))
    assert second.accumulated == pytest.approx(0.1 * (0.25 + 0.5))
    assert second.price == pytest.approx(0.5 * 0.5 + 0.075 + 2.0 * 0.25)


def test_without_its_other_terms_it_is_the_plain_lagrangian() -> None:
    plain = volume(proportional=0.0, integral=0.1, derivative=0.0)
    for total, price in [(6.0, 0.05), (6.0, 0.10), (2.0, 0.05), (0.0, 0.0), (0.0, 0.0)]:
        plain = plain.updated(np.array([[total]]))
        assert plain.price == pytest.approx(price)


def test_it_aims_below_the_limit_by_the_margin_and_violations_stay_those_of_the_limit() -> None:
    wary = volume(margin=0.2)
    at_the_limit = np.array([[4.0]])
    assert wary.violation(at_the_limit) == 0.0
    assert wary.updated(at_the_limit).error == pytest.approx(0.25)
    assert wary.updated(np.array([[3.2]])).error == pytest.approx(0.0)


def test_one_absurd_measurement_does_not_wind_the_integral_up() -> None:
    assert volume(integral=0.1).updated(np.array([[4e6]])).accumulated == pytest.approx(0.1)


def test_a_limit_out_of_reach_winds_the_integral_up_to_a_ceiling_and_no_further() -> None:
    constraint, unused = volume(), np.array([[0.0]])
    for _ in range(1000):
        constraint = constraint.updated(np.array([[12.0]]))  # three times the limit
    assert constraint.accumulated == 10.0
    assert constraint.price == 10.0 + 0.5  # and k_P of the largest error
    adjustments = 0
    while constraint.price > 0:
        constraint, adjustments = constraint.updated(unused), adjustments + 1
    assert adjustments <= math.ceil(10.0 / 0.03)


def test_rewards_pay_the_price_of_what_they_used() -> None:
    constraint = PIDLagrangian(kpi="contacts", limit=4.0, price=1.0)
    priced = constraint.priced(np.array([1.0, 0.0]), np.array([[1.0], [0.0]]))
    assert priced.tolist() == [(1.0 - 0.25) / 2, 0.0]


def test_without_a_price_rewards_stay_as_they_are() -> None:
    reward = np.array([[0.3, -1.0]])
    assert volume().priced(reward, np.ones((1, 2, 1))) == pytest.approx(reward)


def test_a_ratio_is_over_the_totals_and_its_cost_vanishes_at_the_limit() -> None:
    cpa = PIDLagrangian(kpi="spend", per="clicks", limit=2.0, integral=0.1)
    totals = np.array([[10.0, 5.0], [14.0, 3.0]])  # 24 / 8 = 3 per click
    assert cpa.violation(totals) == pytest.approx(0.5)
    cpa = cpa.updated(totals)
    assert cpa.below == 4.0
    free = cpa.priced(np.zeros(1), np.array([[2.0, 1.0]]))  # bought exactly at the limit
    assert free.tolist() == [0.0]
    dear = cpa.priced(np.zeros(1), np.array([[24.0, 4.0]]))  # an episode at three times it
    assert dear == pytest.approx([-cpa.price * 2.0 / (1 + cpa.price)])


def test_a_window_without_a_click_keeps_the_scale_of_a_cpa_and_so_of_the_rewards() -> None:
    cpa = PIDLagrangian(kpi="spend", per="clicks", limit=2.0)
    cpa = cpa.updated(np.array([[30.0, 10.0]])).updated(np.array([[5.0, 0.0]]))
    assert cpa.below == 10.0
    amounts = np.array([[5.0, 0.0], [0.0, 10.0]])  # spent for nothing; clicks for nothing
    share = cpa.price / (1.0 + cpa.price)
    priced = cpa.priced(np.zeros(2), amounts)
    assert priced == pytest.approx([-share * (5.0 / 2.0) / 10.0, share * 1.0])


def test_the_scale_of_a_cpa_falls_to_a_half_at_most_and_follows_a_fall_that_lasts() -> None:
    cpa = PIDLagrangian(kpi="spend", per="clicks", limit=2.0).updated(np.array([[30.0, 10.0]]))
    seen = []
    for _ in range(5):
        cpa = cpa.updated(np.array([[30.0, 1.0]]))
        seen.append(cpa.below)
    assert seen == [5.0, 2.5, 1.25, 1.0, 1.0]
    assert cpa.updated(np.array([[30.0, 40.0]])).below == 40.0


def test_before_the_first_click_the_scale_is_one_and_the_first_clicks_set_it() -> None:
    cpa = PIDLagrangian(kpi="spend", per="clicks", limit=2.0).updated(np.array([[5.0, 0.0]]))
    share = cpa.price / (1.0 + cpa.price)
    assert cpa.priced(np.zeros(1), np.array([[5.0, 0.0]])) == pytest.approx([-share * 2.5])
    assert cpa.updated(np.array([[5.0, 0.01]])).below == 0.01


def test_spending_for_nothing_violates_a_ratio_and_doing_nothing_does_not() -> None:
    cpa = PIDLagrangian(kpi="spend", per="clicks", limit=2.0)
    assert cpa.violation(np.array([[1.0, 0.0]])) == math.inf
    assert cpa.violation(np.array([[0.0, 0.0]])) == -1.0


@pytest.mark.parametrize("gain", [-1.0, math.inf, math.nan])
def test_every_gain_is_refused_once_and_by_name(gain: float) -> None:
    with pytest.raises(UserError) as refused:
        PIDLagrangian(kpi="spend", limit=1.0, proportional=gain, integral=gain, derivative=gain)
    for name in ("proportional", "integral", "derivative"):
        assert str(refused.value).count(f"{name} is {gain}") == 1


def test_settings_out_of_range_are_listed_together() -> None:
    with pytest.raises(UserError, match=r"limit is 0.0.*per is 'spend'.*integral is 0.0"):
        PIDLagrangian(kpi="spend", per="spend", limit=0.0, integral=0.0)
