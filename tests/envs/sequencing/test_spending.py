"""What purchases are worth and when they are paid, against answers known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.core.log import read_log
from envs.sequencing.fit import fit
from envs.sequencing.gathering import gather
from envs.sequencing.generated_log import generate_log
from envs.sequencing.generator import true_tables
from envs.sequencing.log import EVENTS
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.spending import MOST_LAGS, baskets, delay_pmf, maturities
from tests.support.sequencing_log import panel_of

TRUE = true_tables()
PMF = np.array([0.5, 0.25, 0.15, 0.1])


def responses(n: int, weeks: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Delays and weeks of follow-up of the responses that a log of `weeks` weeks has seen."""
    delay = rng.choice(len(PMF), n, p=PMF)
    follow_up = rng.integers(0, weeks, n)
    seen = delay <= follow_up
    return delay[seen], follow_up[seen]


def test_delays_are_found_though_the_last_responses_are_still_to_come() -> None:
    delay, follow_up = responses(100_000, 5, np.random.default_rng(0))
    ones = np.ones(len(delay))
    np.testing.assert_allclose(delay_pmf(delay, follow_up, ones, 4), PMF, atol=0.01)
    plain = np.bincount(delay, minlength=4) / len(delay)
    assert plain[0] > PMF[0] + 0.05, "plain shares take the early ones for all"


def test_with_a_full_follow_up_delays_are_plain_shares() -> None:
    delay = np.random.default_rng(1).choice(4, 500, p=PMF)
    weight = np.random.default_rng(2).random(500)
    found = delay_pmf(delay, np.full(500, 9), weight, 4)
    np.testing.assert_allclose(found, np.bincount(delay, weight) / weight.sum())


def test_without_responses_everything_is_paid_at_once() -> None:
    none = np.zeros(0, np.int64)
    assert delay_pmf(none, none, np.zeros(0), 3).tolist() == [1, 0, 0]


def late_coupons(weeks: int) -> pa.Table:
    """The sample, its redeemed coupons moved into later weeks with the chances of `PMF`."""
    table = generate_log("default", weeks, np.random.default_rng(4), customers=4000)
    rng = np.random.default_rng(5)
    redeemed = table["event"].cast("string").to_numpy(zero_copy_only=False) == "purchase"
    redeemed &= np.nan_to_num(table["cost"].to_numpy()) > 0
    later = np.where(redeemed, rng.choice(len(PMF), len(redeemed), p=PMF), 0)
    stamps = table["timestamp"].to_numpy() + later * np.timedelta64(7, "D")
    table = table.set_column(0, "timestamp", pa.array(stamps, pa.timestamp("us", "UTC")))
    end = table["timestamp"].to_numpy() < np.datetime64("2024-01-01") + weeks * np.timedelta64(
        7, "D"
    )
    return table.filter(pa.array(end)).sort_by("timestamp")


def test_a_coupon_redeemed_late_counts_in_the_week_it_was_sent_and_pays_when_it_is_used(
    tmp_path: Path,
) -> None:
    whole = generate_log("default", 20, np.random.default_rng(4), customers=4000)
    pq.write_table(whole, tmp_path / "prompt.parquet")
    pq.write_table(late_coupons(20), tmp_path / "late.parquet")
    prompt, late = (
        gather(read_log(tmp_path / f"{n}.parquet", EVENTS, cache=tmp_path / n))
        for n in ("prompt", "late")
    )
    assert prompt.panel.weeks == 20
    assert late.panel.weeks == 17, "the last three weeks complete the ones before"
    rate = [
        part.panel.purchase[(part.panel.action == 2) & (part.panel.week < 17)].mean()
        for part in (prompt, late)
    ]
    # Where the coupon of a later week came first, the purchase is put down to that one.
    assert rate[1] == pytest.approx(rate[0], rel=0.1)
    found = maturities(late.payments, late.menu, np.ones(len(late.payments.lag)))
    assert found[[0, 1, 3], 0].tolist() == [1, 1, 1], "nothing ties other purchases to a contact"
    # A coupon sent in between takes the credit: delays look a little shorter than they are.
    assert 0.5 < found[2, 0] < 0.7
    assert (np.diff(found[2, :4]) < 0).all()
    assert found[2, 4:].max() < 0.02
    assert found.shape == (4, MOST_LAGS)
    assert any("were redeemed in a later week" in note for note in late.notes)


def test_a_calibrated_world_pays_late_coupons_late_and_shows_what_is_pending(
    tmp_path: Path,
) -> None:
    pq.write_table(late_coupons(24), tmp_path / "late.parquet")
    log = read_log(tmp_path / "late.parquet", EVENTS, cache=tmp_path / "cache")
    calibration = fit(log, SequencingSettings(), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    world = calibration.training_world(4000, SequencingSettings(caps={}), rng)
    state = world.starting(np.arange(4000))
    outcome = world.step(state, np.full(4000, 2), rng)
    assert outcome.state.pending.sum() > 0
    assert (world.observe(outcome.state)[:, -1] > 0).any()
    due = outcome.state.due.sum()
    share = due / (due + outcome.kpis["margin"].sum())
    assert share == pytest.approx(1 - calibration.earlier.maturity[:, 2, 0].mean(), abs=0.05)
    idle = world.step(state, np.zeros(4000, np.int64), rng)
    assert idle.state.due.sum() == 0, "without an offer nothing waits"


def test_baskets_follow_frequency_and_recency_and_recover_their_spread() -> None:
    panel = panel_of(TRUE, 20_000, 20, np.random.default_rng(6))
    truth = 20 * np.exp(0.2 * panel.frequency + 0.03 * panel.recency)
    rng = np.random.default_rng(7)
    value = np.where(panel.purchase, truth * rng.gamma(4, 1 / 4, panel.rows), 0.0)
    found = baskets(panel._replace(value=value), np.ones(panel.rows))
    r, f = np.mgrid[0:13, 0:4]
    expected = 20 * np.exp(0.2 * f + 0.03 * r)
    np.testing.assert_allclose(found.margin, expected, rtol=0.06)
    assert found.cv == pytest.approx(0.5, abs=0.03)
    bought = panel.purchase
    promised = found.margin[panel.recency[bought], panel.frequency[bought]]
    assert promised.sum() == pytest.approx(value.sum(), rel=0.01)


def test_alike_baskets_have_no_spread_and_free_ones_no_worth() -> None:
    panel = panel_of(TRUE, 1000, 10, np.random.default_rng(6))
    alike = baskets(panel, np.ones(panel.rows))
    assert alike.margin == pytest.approx(25.0)
    assert alike.cv == pytest.approx(0.0, abs=1e-9)
    free = baskets(panel._replace(value=0 * panel.value), np.ones(panel.rows))
    assert not free.margin.any()
