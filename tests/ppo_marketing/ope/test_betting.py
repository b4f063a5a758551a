"""Betting: fair games by hand, no looking ahead, false alarms that peeking cannot multiply."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.ope.betting import capital, confidence_sequence, rollout_lifts
from ppo_marketing.ope.intervals import normal_interval

PEEKS = range(100, 3_001, 100)


def test_the_first_bets_by_hand() -> None:
    # λ_1 = √(2 log 40 / (1/4 · log 2)), cut off at 1/2 / m = 1 where m = 1/2.
    assert math.sqrt(2 * math.log(40) / (0.25 * math.log(2))) > 1
    assert capital(np.array([1.0]), 0.5, 0.0, 1.0) == pytest.approx([0.5 * 1.5])
    # The second bet is cut off too: 1.5 then 0.5 or 1.5.
    assert capital(np.array([1.0, 1.0]), 0.5, 0.0, 1.0)[-1] == pytest.approx(0.5 * 1.5**2)
    assert capital(np.array([1.0, 0.0]), 0.5, 0.0, 1.0)[-1] == pytest.approx(0.5 * 1.5 * 0.5)


def test_an_uncut_bet_by_hand() -> None:
    # A mean so small that nothing is cut: μ_1 = 3/4, σ²_1 = (1/4 + 1/16) / 2 after x = 1.
    first = math.sqrt(2 * math.log(40) / (0.25 * math.log(2)))
    second = math.sqrt(2 * math.log(40) / (0.15625 * 2 * math.log(3)))
    m = 0.01
    expected = 0.5 * (1 + first * (1 - m)) * (1 + second * (1 - m))
    assert capital(np.array([1.0, 1.0]), m, 0.0, 1.0)[-1] == pytest.approx(expected)


def test_a_bet_knows_nothing_of_what_comes() -> None:
    rng = np.random.default_rng(5)
    values, others = rng.random(200), rng.random(200)
    others[:120] = values[:120]
    before = capital(values, 0.4, 0.0, 1.0)[:120]
    assert (before == capital(others, 0.4, 0.0, 1.0)[:120]).all()


def test_the_sequence_ends_where_the_capital_reaches_its_threshold() -> None:
    values = np.random.default_rng(6).beta(2, 5, 500)
    found = confidence_sequence(values, 0.0, 1.0, peeks=[500])
    for mean, refuted in (
        (found.low[0] - 1e-6, True),
        (found.low[0] + 1e-6, False),
        (found.high[0] - 1e-6, False),
        (found.high[0] + 1e-6, True),
    ):
        assert bool(capital(values, mean, 0.0, 1.0)[-1] >= 20.0) is refuted, mean


def test_a_change_of_scale_changes_the_sequence_alike() -> None:
    values = np.random.default_rng(6).beta(2, 5, 300)
    plain = confidence_sequence(values, 0.0, 1.0, peeks=[100, 300])
    scaled = confidence_sequence(10 * values - 4, -4.0, 6.0, peeks=[100, 300])
    assert scaled.low == pytest.approx(10 * plain.low - 4)
    assert scaled.high == pytest.approx(10 * plain.high - 4)
    turned = confidence_sequence(-values, -1.0, 0.0, peeks=[100, 300])
    assert turned.low == pytest.approx(-plain.high)


def test_the_sequence_closes_in_on_the_mean() -> None:
    values = (np.random.default_rng(7).random(20_000) < 0.05).astype(float)
    found = confidence_sequence(values, 0.0, 1.0, peeks=[200, 2_000, 20_000])
    width = found.high - found.low
    assert width[2] < width[1] < width[0]
    assert width[2] < 0.02
    assert found.low[2] < 0.05 < found.high[2]


def test_few_values_refute_nothing() -> None:
    found = confidence_sequence(np.array([1.0]), 0.0, 1.0, peeks=[1])
    assert found.high[0] == 1.0
    assert found.low[0] < 0.1


def alarms(repetitions: int) -> tuple[float, float]:
    """How often peeking at a roll-out without any effect raises an alarm: betting, and naively."""
    betting = naive = 0
    for k in range(repetitions):
        rng = np.random.default_rng([11, k])
        treated = rng.random(3_000) < 0.5
        reward = (rng.random(3_000) < 0.2).astype(float)
        lifts = rollout_lifts(reward, treated, 0.5, most=1.0, baseline=0.2)
        betting += bool((capital(lifts.values, 0.0, lifts.low, lifts.high)[99::100] >= 20.0).any())
        for n in PEEKS:
            seen = lifts.values[:n]
            low, high = normal_interval(float(seen.mean()), float(seen.std() / n**0.5), n)
            if not low <= 0.0 <= high:
                naive += 1
                break
    return betting / repetitions, naive / repetitions


def test_peeking_fools_the_naive_interval_and_not_the_bets() -> None:
    betting, naive = alarms(200)
    assert betting <= 0.05
    assert naive > 0.2


@pytest.mark.verify
def test_the_false_alarm_rates_of_two_thousand_roll_outs() -> None:
    betting, naive = alarms(2_000)
    assert betting <= 0.05
    assert 0.24 < naive < 0.33


def test_the_intervals_shown_at_peeks_hold_together() -> None:
    wrong = 0
    for k in range(40):
        values = (np.random.default_rng([12, k]).random(1_000) < 0.1).astype(float)
        found = confidence_sequence(values, 0.0, 1.0, peeks=range(100, 1_001, 100))
        wrong += bool(((found.low > 0.1) | (found.high < 0.1)).any())
    assert wrong <= 2


def test_a_real_effect_is_found_while_peeking() -> None:
    rng = np.random.default_rng(13)
    treated = rng.random(20_000) < 0.5
    reward = (rng.random(20_000) < np.where(treated, 0.3, 0.2)).astype(float)
    lifts = rollout_lifts(reward, treated, 0.5, most=1.0, baseline=0.2)
    found = confidence_sequence(lifts.values, lifts.low, lifts.high, peeks=[20_000])
    assert 0.0 < found.low[0] < 0.1 < found.high[0]


def test_lifts_on_paper() -> None:
    lifts = rollout_lifts(np.array([1.0, 1.0]), np.array([True, False]), 0.2, most=2.0)
    assert lifts.values == pytest.approx([5.0, -1.25])
    assert (lifts.low, lifts.high) == pytest.approx((-2.5, 10.0))
    centred = rollout_lifts(np.array([1.0]), np.array([True]), 0.5, most=2.0, baseline=1.0)
    assert (centred.low, centred.high) == pytest.approx((-2.0, 2.0))


def test_what_cannot_be_bet_on_is_refused() -> None:
    with pytest.raises(UserError, match=r"1 values are outside \[0, 1\]"):
        confidence_sequence(np.array([0.5, 2.0]), 0.0, 1.0, peeks=[1])
    with pytest.raises(UserError, match="peeks"):
        confidence_sequence(np.array([0.5]), 0.0, 1.0, peeks=[2])
    with pytest.raises(UserError, match=r"share is 1\.5.*1 rewards are outside"):
        rollout_lifts(np.array([3.0]), np.array([True]), 1.5, most=1.0)
