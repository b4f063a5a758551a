"""PSI and KS: answers known on paper, and no alarm by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.retraining.shift import (
    Shift,
    ShiftBounds,
    psi,
    psi_by_chance,
    shift_report,
)

BOUNDS = ShiftBounds()


def test_psi_of_two_bins_is_what_paper_says() -> None:
    expected, actual = np.array([5e6, 5e6]), np.array([8e6, 2e6])
    by_hand = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert psi(expected, actual) == pytest.approx(by_hand, rel=1e-5)
    assert psi(expected, 7 * expected) == pytest.approx(0.0, abs=1e-12)


def test_what_chance_does_to_the_psi_is_exceeded_as_often_as_said(
    rng: np.random.Generator,
) -> None:
    n, m, bins = 2000, 3000, 10
    e, a = (rng.multinomial(size, np.full(bins, 1 / bins), 20_000) for size in (n, m))
    found = np.array([psi(*pair) for pair in zip(e, a, strict=True)])
    share = (found > psi_by_chance(bins, n, m)).mean()
    assert 0.0003 < share < 0.003


def test_logs_of_one_law_have_not_shifted(rng: np.random.Generator) -> None:
    def log(n: int) -> dict[str, np.ndarray]:
        return {
            "price": np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(size=n)),
            "zeros mostly": (rng.random(n) < 0.02) * rng.random(n),
            "region": rng.choice(["north", "south", "west"], n, p=[0.7, 0.2, 0.1]),
        }

    report = shift_report(log(300), log(80), BOUNDS)
    assert report.shift is Shift.NONE
    assert report.told() == []
    assert {column.column for column in report.columns} == {"price", "zeros mostly", "region"}


def test_a_shift_by_a_quarter_of_a_deviation_is_watched_and_by_one_is_an_alert(
    rng: np.random.Generator,
) -> None:
    """The KS distance of normals a deviation d apart is 2 Φ(d / 2) - 1."""
    before = {"bid": rng.normal(size=10_000)}
    for moved, expected in ((0.4, Shift.MONITOR), (1.0, Shift.ALERT)):
        [column] = shift_report(before, {"bid": rng.normal(moved, 1, 10_000)}, BOUNDS).columns
        distance = math.erf(moved / 2 / math.sqrt(2))
        assert column.ks == pytest.approx(distance, abs=0.025)
        assert column.shift is expected


def test_a_level_that_nobody_saw_and_cells_that_become_empty_are_shifts() -> None:
    before = {"exchange": np.array(["a"] * 500 + ["b"] * 500), "value": np.arange(1000.0)}
    after = {
        "exchange": np.array(["a"] * 500 + ["new"] * 500),
        "value": np.where(np.arange(1000) % 2 == 0, np.nan, np.arange(1000.0)),
    }
    report = shift_report(before, after, BOUNDS)
    assert [column.shift for column in report.columns] == [Shift.ALERT, Shift.ALERT]
    assert report.shift is Shift.ALERT
    assert any(line.startswith("exchange: PSI") for line in report.told())


def test_a_column_that_is_meant_to_move_is_left_out_and_a_misspelt_one_refused() -> None:
    before, after = {"creative": np.array(["a"] * 400)}, {"creative": np.array(["b"] * 400)}
    assert shift_report(before, after, BOUNDS).shift is Shift.ALERT
    left_out = ShiftBounds(ignored=("creative",))
    assert shift_report(before, after, left_out).columns == ()
    with pytest.raises(UserError, match="creativ; it has creative"):
        shift_report(before, after, ShiftBounds(ignored=("creativ",)))


def test_bounds_out_of_order_are_refused_together() -> None:
    with pytest.raises(UserError, match=r"monitor_psi 0.5.*monitor_ks 0.1 and alert_ks 0.0"):
        ShiftBounds(monitor_psi=0.5, alert_ks=0.0)
