"""Curves, shares of a budget and targets whose answers are known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ppo_marketing.errors import UserError
from ppo_marketing.what_if.allocation import Campaign, allocate, campaign, next_money
from ppo_marketing.what_if.curve import Curve, concave
from ppo_marketing.what_if.target import Limit, largest_within


def curve(name: str, spend: list[float], value: list[float], now: float | None = None,
          events: list[float] | None = None) -> Curve:  # fmt: skip
    s, v = np.array(spend, float), np.array(value, float)
    e = v if events is None else np.array(events, float)
    factor = s / s[-1]
    return Curve(name, s, v, v, v, e, factor, s[-1] if now is None else now)


def root(name: str, scale: float, now: float) -> Curve:
    """V(s) = scale √s, finely drawn."""
    spend = np.linspace(0, 100, 2001)
    return curve(name, spend.tolist(), (scale * np.sqrt(spend)).tolist(), now)


def test_marginal_returns_are_slopes() -> None:
    found = curve("a", [0, 10, 30], [0, 20, 40])
    np.testing.assert_allclose(found.marginal, [2.0, 1.0])
    assert found.value_at(20) == 30.0


def test_a_concave_curve_stays_and_a_dent_is_smoothed_by_its_weights() -> None:
    straight = curve("a", [0, 10, 30], [0, 20, 40])
    np.testing.assert_allclose(concave(straight).value, straight.value)
    # Slopes 1 then 3 over 10 and 30 pool to (10 + 90) / 40 = 2.5; the ends stay.
    dented = concave(curve("a", [0, 10, 40], [0, 10, 100]))
    np.testing.assert_allclose(dented.value, [0, 25, 100])


def test_square_roots_share_a_budget_by_the_squares_of_their_scales() -> None:
    # max a √s + b √(B - s): s / (B - s) = (a / b)², so 3² : 1² = 90 : 10 of a hundred.
    campaigns = [campaign(root("three", 3, 50)), campaign(root("one", 1, 50))]
    found = allocate(campaigns, 100)
    assert [share.spend for share in found.shares] == pytest.approx([90, 10], abs=0.1)
    assert found.left == pytest.approx(0)
    assert found.gain == pytest.approx(3 * np.sqrt(90) + np.sqrt(10) - 4 * np.sqrt(50), abs=1e-2)
    # At the optimum the next unit brings the same everywhere: a / (2 √s).
    nexts = [share.next_value for share in found.shares]
    assert nexts == pytest.approx([3 / (2 * np.sqrt(90))] * 2, rel=0.02)


def test_a_locked_campaign_keeps_its_money_and_limits_are_kept() -> None:
    locked = campaign(root("locked", 9, 30), locked=True)
    capped = campaign(root("capped", 3, 20), most=1.5)
    floored = campaign(root("floored", 0.1, 10), least=0.5)
    found = allocate([locked, capped, floored, campaign(root("free", 1, 40))], 100)
    spend = {share.name: share.spend for share in found.shares}
    assert spend == pytest.approx({"locked": 30, "capped": 30, "floored": 5, "free": 35}, abs=0.1)
    assert next(s for s in found.shares if s.name == "locked").next_value is None


def test_money_that_would_not_earn_its_worth_is_left() -> None:
    one = campaign(curve("a", [0, 10, 20], [0, 30, 35]))
    assert allocate([one], 100).left == 80
    assert allocate([one], 100, worth=1.0).left == 90
    losing = campaign(curve("b", [0, 10, 20], [0, 30, 20]))
    assert allocate([losing], 100).shares[0].spend == 10


def test_where_the_next_money_goes() -> None:
    a = campaign(curve("a", [0, 10, 20], [0, 30, 40], now=10))  # next unit brings 1
    b = campaign(curve("b", [0, 10, 20], [0, 20, 35], now=10))  # next unit brings 1.5
    assert next_money([a, b], 5) == (("a", 0.0, 0.0), ("b", 5.0, 7.5))
    assert next_money([a, b], 12) == (("a", 2.0, 2.0), ("b", 10.0, 15.0))


def test_what_contradicts_itself_is_refused_all_at_once() -> None:
    wide = root("wide", 1, 90)
    with pytest.raises(UserError) as refused:
        allocate([Campaign(wide, 60, 50), Campaign(wide, 101, 120)], -1)
    for said in ("same name", "total is -1", "cannot both hold", "known up to 100"):
        assert said in str(refused.value)
    with pytest.raises(UserError, match=r"need 90\.00 and the total is 50\.00"):
        allocate([campaign(wide, locked=True)], 50)
    with pytest.raises(UserError, match="no campaign is given"):
        allocate([], 50)


@st.composite
def budgets(draw: st.DrawFn) -> tuple[list[Campaign], float]:
    number = st.floats(0.1, 10.0)
    campaigns = []
    for i in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(number, min_size=1, max_size=4))
        slopes = sorted(draw(st.lists(st.floats(-1, 5), min_size=len(steps),
                                      max_size=len(steps))), reverse=True)  # fmt: skip
        spend = np.concatenate([[0.0], np.cumsum(steps)])
        value = np.concatenate([[0.0], np.cumsum(np.array(steps) * slopes)])
        end = float(spend[-1])
        low = draw(st.floats(0, 0.5)) * end
        high = low + draw(st.floats(0, 1)) * (end - low)
        campaigns.append(
            Campaign(curve(str(i), spend.tolist(), value.tolist(), now=low), low, high)
        )
    least = sum(one.low for one in campaigns)
    return campaigns, least + draw(st.floats(0.01, 30))


@settings(max_examples=60, deadline=None)
@given(budgets())
def test_the_shares_are_those_of_a_linear_program(problem: tuple[list[Campaign], float]) -> None:
    campaigns, total = problem
    # max sum of slope x amount over the stretches of every curve; a lower limit is a sum of them.
    cost, owner, bounds = [], [], []
    for i, one in enumerate(campaigns):
        for slope, size in zip(one.curve.marginal, np.diff(one.curve.spend), strict=True):
            cost.append(-slope)
            owner.append(i)
            bounds.append((0.0, size))
    of = np.array([[float(o == i) for o in owner] for i in range(len(campaigns))])
    upper = np.vstack([np.ones(len(cost)), of, -of])
    right = [total, *(one.high for one in campaigns), *(-one.low for one in campaigns)]
    solved = linprog(cost, A_ub=upper, b_ub=right, bounds=bounds)
    assert allocate(campaigns, total).value == pytest.approx(-solved.fun, abs=1e-6)


def test_a_roas_target_is_met_exactly_where_the_line_crosses_it() -> None:
    # V = 40 at 10, 60 at 30: V / s = 2.5 at 40 + (s - 10) = 2.5 s, s = 20.
    found = largest_within(curve("a", [0, 10, 30], [0, 40, 60]), Limit("roas", 2.5))
    assert [found.spend, found.value] == pytest.approx([20, 50])
    assert found.binds
    assert found.reached == pytest.approx(2.5)
    assert found.factor == pytest.approx(20 / 30)


def test_a_cpa_target_counts_additional_events() -> None:
    # 5 events come anyway; 10 more for 10, then 10 more for 20 each at 2: cpa 1.5 at s = 30.
    one = curve("a", [0, 10, 30], [0, 40, 60], events=[5, 15, 25])
    found = largest_within(one, Limit("cpa", 1.25))
    # s = 1.25 (10 + (s - 10) / 2), so s = 6.25 / .375.
    assert found.spend == pytest.approx(6.25 / 0.375)
    assert found.reached == pytest.approx(1.25)


def test_a_target_that_does_not_bind_takes_the_best_value() -> None:
    losing = curve("a", [0, 10, 30], [0, 40, 30])
    found = largest_within(losing, Limit("roas", 0.5))
    assert (found.spend, found.value, found.binds) == (10, 40, False)


def test_a_target_out_of_reach_is_refused_with_the_best_that_there_is() -> None:
    with pytest.raises(UserError, match=r"ROAS of 5: the best that is reached is 4\."):
        largest_within(curve("a", [0, 10, 30], [0, 40, 60]), Limit("roas", 5))
    with pytest.raises(UserError, match=r"CPA of 0\.1: the best that is reached is 0\.25"):
        largest_within(curve("a", [0, 10, 30], [0, 40, 60]), Limit("cpa", 0.1))
    with pytest.raises(UserError, match="must be above 0"):
        Limit("cpa", 0.0)
