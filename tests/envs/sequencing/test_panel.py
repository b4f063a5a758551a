"""A log shows what the generator did: its states, its decisions, its propensities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable, read_log
from envs.sequencing.events import FittedPart
from envs.sequencing.gathering import gather
from envs.sequencing.generated_log import RANDOMISED, generate_log, logging_policy, response_delay
from envs.sequencing.generator import MENU, true_tables
from envs.sequencing.log import EVENTS
from envs.sequencing.panel import Gathered
from envs.sequencing.paths import drawn_start, follow
from envs.sequencing.stocks import decayed_bins, frequency_bins


def test_the_panel_of_the_sample_is_what_was_simulated(tmp_path: Path) -> None:
    weeks, customers = 8, 300
    tables = true_tables("default")
    members = np.zeros(customers, np.int64)
    rng = np.random.default_rng(5)
    start = drawn_start(tables, members, rng)
    path = follow(tables, members, start, logging_policy(tables), weeks, rng)
    table = generate_log("default", weeks, np.random.default_rng(5), customers=customers)
    pq.write_table(table, tmp_path / "log.parquet")
    gathered = gather(read_log(tmp_path / "log.parquet", EVENTS, cache=tmp_path))
    panel = gathered.panel
    assert gathered.menu == MENU
    # The log's own order of customers is that of their sign-ups.
    signups = pc.filter(table["customer_id"], pc.equal(table["event"].cast("string"), "signup"))
    order = [int(name[1:]) for name in signups.to_pylist()]
    for number, week in enumerate(path):
        rows = panel.where(panel.week == number)
        for name, truth in (
            ("recency", week.before.recency),
            ("frequency", week.before.frequency),
            ("fatigue", week.before.fatigue),
            ("consent", week.before.consent),
            ("action", week.action),
            ("propensity", week.propensity),
            ("purchase", week.purchase),
            ("unsubscribe", week.unsubscribe),
        ):
            np.testing.assert_array_equal(getattr(rows, name), truth[order], err_msg=name)
    np.testing.assert_allclose(gathered.contact_cost, tables.contact_cost)


def test_one_decision_in_five_is_left_to_chance(sample: Gathered) -> None:
    panel = sample.panel
    subscribed = panel.consent[:, 0]
    share = np.bincount(panel.action[subscribed], minlength=4) / subscribed.sum()
    assert share[[1, 3]] == pytest.approx(RANDOMISED / 4, abs=0.003)
    assert np.unique(panel.propensity[subscribed].round(3)).tolist() == [0.05, 0.85]
    assert np.unique(panel.propensity[~subscribed].round(3)).tolist() == [0.1, 0.9]


def test_opens_and_clicks_come_as_often_as_modelled(sample: Gathered) -> None:
    panel = sample.panel
    mailed = panel.mature & np.isin(panel.action, [1, 2])
    assert panel.opened[mailed].mean() == pytest.approx(0.21, abs=0.015)
    assert panel.clicked[mailed].mean() == pytest.approx(0.025, abs=0.004)
    late = ~panel.mature & np.isin(panel.action, [1, 2])
    assert panel.opened[late].mean() < panel.opened[mailed].mean(), "they have yet to come"


def test_half_of_the_responses_come_within_a_day_and_all_within_thirty(
    rng: np.random.Generator,
) -> None:
    days = response_delay(rng, 100_000)
    assert (days < 1 / 24).mean() == pytest.approx(0.35, abs=0.03)
    assert (days < 1).mean() == pytest.approx(0.5, abs=0.02)
    assert days.max() <= 30


def test_a_decayed_count_forgets_and_is_rounded() -> None:
    contacted = np.array([[True, True, False, False, False]])
    # 0, 1, 1.5, .75, .375
    assert decayed_bins(contacted, 0.5, 5).tolist() == [[0, 1, 2, 1, 0]]


ALL = FittedPart(np.ones(3, bool), 6)


def test_a_rate_counts_the_weeks_watched_and_not_those_before_the_sign_up() -> None:
    # Two customers buy in every week that they are watched, one never.
    active = np.array([[True] * 6, [False] * 3 + [True] * 3, [True] * 6])
    customer = np.array([0] * 6 + [1] * 3)
    at = np.array([*range(6), 3, 4, 5]) + 0.5
    rate, edges = frequency_bins(customer, at, active, np.array([0.0, 3.0, 0.0]), ALL, 4)
    assert rate[0, 5] >= rate[1, 5] > rate[2, 5]
    assert (np.diff(edges) > 0).all()


def without(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns(list(names))


def log_of(table: pa.Table, folder: Path) -> LogTable:
    pq.write_table(table, folder / "log.parquet")
    return read_log(folder / "log.parquet", EVENTS, cache=folder / "cache")


def test_without_scores_the_state_is_counted_from_the_log_and_a_note_says_so(
    tmp_path: Path,
) -> None:
    table = generate_log("default", 8, np.random.default_rng(5), customers=600)
    gathered = gather(log_of(without(table, "frequency_score", "fatigue_email"), tmp_path))
    text = " ".join(gathered.notes)
    assert "no frequency_score" in text
    assert "no fatigue" in text
    assert gathered.decay == 0.7
    assert len(gathered.frequency_edges) > 0


def test_a_log_without_contacts_is_refused(tmp_path: Path) -> None:
    table = generate_log("default", 8, np.random.default_rng(5), customers=100)
    kept = pc.is_in(table["event"].cast("string"), pa.array(["signup", "purchase", "none"]))
    with pytest.raises(CalibrationError, match="no contacts"):
        gather(log_of(table.filter(kept), tmp_path))


def test_a_log_of_few_weeks_or_contacts_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    short = generate_log("default", 3, np.random.default_rng(5), customers=500)
    with pytest.raises(CalibrationError, match="at least 4 are needed"):
        gather(log_of(short, tmp_path))
    few = generate_log("default", 6, np.random.default_rng(5), customers=10)
    with pytest.raises(CalibrationError, match="was used 100 times"):
        gather(log_of(few, tmp_path))


def test_a_few_decisions_without_propensity_are_left_out_and_many_make_it_estimated(
    tmp_path: Path,
) -> None:
    table = generate_log("default", 8, np.random.default_rng(5), customers=600)
    logged = np.array(table["propensity"].to_pylist(), dtype=float)
    rng = np.random.default_rng(0)
    for share, left_out in ((0.02, True), (0.5, False)):
        cut = np.where(rng.random(len(logged)) < share, np.nan, logged)
        column = pa.array(cut, mask=np.isnan(cut))
        place = table.column_names.index("propensity")
        folder = tmp_path / str(share)
        folder.mkdir()
        panel = gather(log_of(table.set_column(place, "propensity", column), folder)).panel
        assert (panel.action < 0).any() == left_out
        assert np.isnan(panel.propensity[panel.action >= 0]).any() != left_out


def test_a_large_log_is_thinned_by_customer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(generate_log("default", 8, np.random.default_rng(5), customers=2000), tmp_path)
    whole = gather(log)
    monkeypatch.setattr("envs.sequencing.events.MOST_ROWS", 4500)
    part = gather(log)
    assert part.panel.rows == pytest.approx(4000, rel=0.2)
    assert any("one customer in 4" in note for note in part.notes)
    weeks = np.bincount(part.panel.customer)
    assert (weeks == 8).all(), "customers are kept whole"
    assert whole.panel.rows == 16_000
