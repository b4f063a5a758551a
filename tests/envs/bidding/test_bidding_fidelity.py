"""The fidelity gate: the truth passes, wrong simulators do not, and each for the right reason."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from envs.bidding.fidelity import judge_simulator
from envs.bidding.generator import PRESETS
from envs.bidding.held_out import HeldOut
from envs.bidding.market import fit_market
from envs.bidding.paid_prices import paid_prices
from envs.bidding.response import Recalibration
from envs.bidding.truth import TrueSimulator
from envs.core.fidelity import FidelityReport
from tests.support.auctions import generated

IDENTITY = Recalibration(np.zeros(1), np.zeros(1))
DOUBLED = Recalibration(np.zeros(1), np.array([np.log(2.0)]))


def failed(report: FidelityReport, family: str) -> bool:
    return any(check.name.startswith(family) for check in report.failures)


def test_the_truth_and_the_fit_pass_and_wrong_simulators_fail() -> None:
    rng = np.random.default_rng(0)
    auctions, _ = generated("default", 28, 0)
    earlier, later = auctions.between(0, 19), auctions.between(19, 28)

    truth = judge_simulator(TrueSimulator(PRESETS["default"]), later, rng)
    assert truth.passed, truth.failures
    market = fit_market(earlier, IDENTITY, IDENTITY, rng)
    fitted = judge_simulator(market, later, rng)
    assert fitted.passed, fitted.failures

    dearer = later._replace(price_cpm=later.price_cpm * np.float32(1.4))
    assert not judge_simulator(market, dearer, rng).passed
    keen = judge_simulator(replace(market, recalibration=DOUBLED), later, rng)
    assert failed(keen, "clicks overall")


def test_a_price_law_of_winners_alone_fails_every_kind_of_price_check() -> None:
    rng = np.random.default_rng(0)
    auctions, _ = generated("shock", 12, 0)
    earlier, later = auctions.between(0, 8), auctions.between(8, 12)
    winners = fit_market(earlier.where(earlier.won), IDENTITY, IDENTITY, rng)
    report = judge_simulator(winners, later, rng)
    for family in ("price law", "win rate", "spend", "LIN replay", "slot wins"):
        assert failed(report, family), family


@cache
def report_of_the_truth_with_a_narrow_interval_asked_for() -> FidelityReport:
    auctions, _ = generated("default", 6, 2)
    simulator = TrueSimulator(PRESETS["default"])
    return judge_simulator(
        simulator, auctions, np.random.default_rng(0), interval_width_limit=0.001
    )


def test_a_report_names_every_check_with_its_bounds_sample_and_meaning() -> None:
    report = report_of_the_truth_with_a_narrow_interval_asked_for()
    names = [check.name for check in report.checks]
    assert len(set(names)) == len(names)
    for expected, count in (
        ("price law", 5),
        ("win rate at bid decile", 9),
        ("spend at", 5),
        ("LIN replay", 2),
        ("clicks in probability decile", 10),
        ("clicks overall", 1),
        ("slot", 2),
        ("day", 2),
        ("width", 1),
    ):
        assert sum(name.startswith(expected) for name in names) == count, expected
    assert all(check.n > 0 and check.meaning.endswith(".") for check in report.checks)
    assert {curve.name for curve in report.curves} >= {"price law", "click calibration"}
    for curve in report.curves:
        assert len(curve.x) == len(curve.observed) == len(curve.simulated) > 0
        assert all(len(part) in (0, len(curve.x)) for part in (curve.n, curve.low, curve.high))


def test_paid_prices_are_spread_as_the_truth_says_and_not_as_dearer_ones() -> None:
    auctions, _ = generated("default", 6, 2)
    apart = []
    for factor in (1.0, 1.4):
        dearer = auctions._replace(price_cpm=auctions.price_cpm * np.float32(factor))
        held = HeldOut.seen_by(TrueSimulator(PRESETS["default"]), auctions)
        curve = paid_prices(replace(held, auctions=dearer))
        assert sum(curve.observed) == pytest.approx(1.0)
        assert sum(curve.simulated) == pytest.approx(1.0)
        apart.append(float(np.abs(np.subtract(curve.observed, curve.simulated)).sum()))
    assert apart[0] < 0.06 < 0.2 < apart[1]


def test_a_vacuous_interval_is_refused() -> None:
    report = report_of_the_truth_with_a_narrow_interval_asked_for()
    assert [check.name for check in report.failures] == ["width of the day interval"]


def test_a_replay_only_counts_what_the_log_shows_and_simulated_spend_agrees_with_it() -> None:
    auctions, price = generated("default", 6, 2)
    held = HeldOut.seen_by(TrueSimulator(PRESETS["default"]), auctions)
    bid = held.replayed_bid(0.5)
    assert (bid <= auctions.bid_cpm + 1e-9).all()
    won = held.wins(bid)
    np.testing.assert_array_equal(won, price <= bid)
    assert held.expected_spend(bid) == pytest.approx(price[won].sum(), rel=0.02)
    assert held.win_probability(bid).sum() == pytest.approx(won.sum(), rel=0.02)
