"""From a log to calibrated customers: what is fitted, to whom, and how honestly it is labelled."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.core.calibration_folder import DamagedFile
from envs.core.log import LogTable, read_log
from envs.sequencing.fit import (
    TRAINING_CUSTOMERS,
    CalibrationError,
    SequencingCalibration,
    fit,
    settle,
)
from envs.sequencing.generated_log import RANDOMISED, START, generate_log, logging_policy
from envs.sequencing.generator import true_tables
from envs.sequencing.heads import moves, response_heads, unsubscribe_table
from envs.sequencing.log import EVENTS
from envs.sequencing.panel import Gathered
from envs.sequencing.propensity import (
    chance_of_taken,
    cross_fitted,
    estimated_policy,
    stabilised_weights,
    support_of_trying_all,
)
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.spending import baskets
from envs.sequencing.tables import ResponseTables
from tests.support.sequencing_log import panel_of

TRUE = true_tables("default")


@pytest.fixture(scope="module")
def calibration(sample_log: LogTable) -> SequencingCalibration:
    return fit(sample_log, SequencingSettings(), np.random.default_rng(0))


def test_both_parts_are_ensembles_of_five_near_the_truth(
    calibration: SequencingCalibration,
) -> None:
    for tables in (calibration.earlier, calibration.later):
        assert tables.members == 5
        assert np.ptp(tables.uplift[:, 2, 4, 0]) > 0, "members differ"
        assert tables.margin == pytest.approx(25)
        assert tables.offer_cost.tolist() == [0, 0, 5, 0]
        assert tables.frequency_up == pytest.approx(0.5, abs=0.1)
        assert tables.frequency_down == pytest.approx(0.06, abs=0.02)
        assert tables.fatigue_down[:, 0] == pytest.approx(0.8, abs=0.03)
        assert tables.fatigue_up[:, 0] == pytest.approx(1.0)
        assert (tables.fatigue_up[:, 1] == 0).all(), "letters tire nobody in this log"


def test_the_parts_share_no_customer(calibration: SequencingCalibration) -> None:
    [note] = [note for note in calibration.notes if note.startswith("fitted to")]
    counts = [int(word.replace(",", "")) for word in note.split() if word[0].isdigit()]
    assert counts[0] + counts[3] == 3900
    # Two thirds of 26 weeks from 1 January.
    assert calibration.judged_from.isoformat() == "2024-04-29"


def test_the_same_seed_gives_the_same_calibration(
    sample_log: LogTable, calibration: SequencingCalibration
) -> None:
    again = fit(sample_log, SequencingSettings(), np.random.default_rng(0))
    for one, other in zip(again.earlier, calibration.earlier, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.fidelity == calibration.fidelity


def test_a_randomised_log_is_called_identified(calibration: SequencingCalibration) -> None:
    assert calibration.effects == ("randomised",) * 3
    assert calibration.propensities == "logged"
    assert calibration.notes[0].startswith("verdict: effects identified")
    assert any("effective customer-weeks" in note for note in calibration.notes)
    [churn] = [note for note in calibration.notes if note.startswith("churn is not observed")]
    found = re.findall(r"(?:foretells|there were) ([\d,]+)", churn)
    foretold, happened = (int(word.replace(",", "")) for word in found)
    assert foretold == pytest.approx(happened, rel=0.35)


def changed_log(table: pa.Table, folder: Path) -> LogTable:
    pq.write_table(table, folder / "log.parquet")
    return read_log(folder / "log.parquet", EVENTS, cache=folder / "cache")


def test_nothing_that_trains_has_seen_the_customers_or_the_weeks_that_judge(
    tmp_path: Path,
) -> None:
    """Scores, propensities and costs are not in this log's schema: all are estimated."""
    table = generate_log("default", 12, np.random.default_rng(3), customers=3000)
    table = table.drop_columns(["frequency_score", "fatigue_email", "propensity"])
    first = fit(changed_log(table, tmp_path), SequencingSettings(), np.random.default_rng(0))
    # The same draw as in `fit`: customers are numbered by their first event.
    names = table["customer_id"].combine_chunks().dictionary_encode()
    fitted = np.random.default_rng(0).random(len(names.dictionary)) < TRAINING_CUSTOMERS
    week = (table["timestamp"].to_numpy() - START) / np.timedelta64(7, "D")
    judges = ~fitted[names.indices.to_numpy()] | (week >= 8)
    kind = table["event"].cast("string").to_numpy(zero_copy_only=False)
    # Judges buy half as often, and a contact costs ten times as much.
    cost = np.where(judges & (kind == "contact"), 0.1, table["cost"].to_numpy())
    place = table.column_names.index("cost")
    dearer = table.set_column(place, "cost", pa.array(cost, mask=np.isnan(cost)))
    lost = judges & (kind == "purchase") & (week >= 0)
    kept = ~lost | (np.arange(len(kind)) % 2 == 0)
    (tmp_path / "changed").mkdir()
    changed = changed_log(dearer.filter(pa.array(kept)), tmp_path / "changed")
    second = fit(changed, SequencingSettings(), np.random.default_rng(0))
    for name in ResponseTables._fields:
        one, other = getattr(first.earlier, name), getattr(second.earlier, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
    np.testing.assert_array_equal(first.logging_propensity, second.logging_propensity)
    np.testing.assert_array_equal(first.earlier.contact_cost, second.later.contact_cost)
    assert second.later.base.mean() < first.later.base.mean() - 0.3, "judges did change"


def test_without_propensities_they_are_estimated_and_effects_assumed(tmp_path: Path) -> None:
    table = generate_log("default", 12, np.random.default_rng(3), customers=3000)
    log = changed_log(table.drop_columns(["propensity"]), tmp_path)
    found = fit(log, SequencingSettings(), np.random.default_rng(0))
    assert found.propensities == "estimated"
    assert set(found.effects) <= {"estimated propensities", "assumed, not identified"}
    assert "randomised" not in found.notes[2]
    assert "assumed, not identified" in found.notes[0]
    effects = [check for check in found.fidelity.checks if check.name.startswith("effect")]
    assert [(check.n, check.passed) for check in effects] == [(0, False)]
    assert any("effects cannot be checked" in note for note in found.notes)


def test_logged_propensities_of_1_identify_nothing(tmp_path: Path) -> None:
    table = generate_log("default", 12, np.random.default_rng(3), customers=3000)
    place = table.column_names.index("propensity")
    certain = pa.array([None if p is None else 1.0 for p in table["propensity"].to_pylist()])
    log = changed_log(table.set_column(place, "propensity", certain), tmp_path)
    found = fit(log, SequencingSettings(), np.random.default_rng(0))
    assert found.effects == ("assumed, not identified",) * 3
    assert found.propensities == "logged"
    assert "hardly any decision was left to chance" in found.verdict


def test_too_few_purchases_are_refused_with_their_number(tmp_path: Path) -> None:
    table = generate_log("default", 8, np.random.default_rng(3), customers=400)
    with pytest.raises(CalibrationError, match="customer-weeks with a purchase"):
        fit(changed_log(table, tmp_path), SequencingSettings(), np.random.default_rng(0))


def test_a_calibration_is_saved_and_loaded_whole(
    calibration: SequencingCalibration, tmp_path: Path
) -> None:
    folder = tmp_path / "calibration"
    calibration.save(folder)
    loaded = SequencingCalibration.load(folder)
    for part in ("earlier", "later"):
        for one, other in zip(getattr(loaded, part), getattr(calibration, part), strict=True):
            np.testing.assert_array_equal(one, other)
    for name in ("menu", "fidelity", "notes", "support", "base", "judged_from", "verdict"):
        assert getattr(loaded, name) == getattr(calibration, name), name
    np.testing.assert_array_equal(loaded.logging_propensity, calibration.logging_propensity)
    with (folder / "later.npz").open("r+b") as file:
        file.seek(200)
        file.write(b"x")
    with pytest.raises(DamagedFile, match=r"later\.npz"):
        SequencingCalibration.load(folder)


def test_its_worlds_are_played_under_the_given_settings(
    calibration: SequencingCalibration, sample_log: LogTable
) -> None:
    settings = settle(sample_log, SequencingSettings(horizon_weeks=9))
    rng = np.random.default_rng(0)
    for world in (
        calibration.training_world(50, settings, rng),
        calibration.judging_world(50, settings, rng),
        calibration.history_world(settings),
    ):
        assert world.horizon == 9
        assert world.menu == calibration.menu


def test_the_estimated_policy_is_the_one_that_was_logged(sample: Gathered) -> None:
    panel, channel = sample.panel, sample.menu.channel
    policy = estimated_policy(panel, channel, np.ones(panel.rows))
    np.testing.assert_allclose(policy.sum(axis=-1), 1)
    truth = logging_policy(TRUE)
    at = (panel.recency, panel.frequency, panel.stock, panel.pattern)
    assert np.abs(policy[at] - truth[at]).mean() < 0.02


def test_cross_fitted_propensities_are_near_the_logged_ones(sample: Gathered) -> None:
    panel = sample.panel
    estimate = cross_fitted(panel, sample.menu.channel, np.random.default_rng(0))
    assert np.abs(estimate - panel.propensity).mean() < 0.02


def test_a_customers_own_decisions_do_not_enter_their_propensities(sample: Gathered) -> None:
    panel = sample.panel.where(sample.panel.customer < 300)
    whole = chance_of_taken(
        estimated_policy(panel, sample.menu.channel, np.ones(panel.rows)), panel
    )
    held_out = cross_fitted(panel, sample.menu.channel, np.random.default_rng(0))
    rare = panel.action == 3
    assert held_out[rare].mean() < whole[rare].mean(), "one's own letter makes letters look likely"


def test_weights_are_one_where_fatigue_and_consent_decide_and_undo_what_else_does(
    sample: Gathered,
) -> None:
    panel = sample.panel
    weights = stabilised_weights(panel, sample.menu.channel, panel.propensity)
    assert np.abs(weights - 1).mean() < 0.02
    # Frequent buyers get letters twice as often: their letters count half.
    favoured = panel._replace(propensity=np.where(
        (panel.action == 3) & (panel.frequency == 3), 2 * panel.propensity, panel.propensity
    ))  # fmt: skip
    weights = stabilised_weights(favoured, sample.menu.channel, favoured.propensity)
    letters = (panel.action == 3) & (panel.frequency == 3)
    assert weights[letters].mean() == pytest.approx(0.5, abs=0.05)


def test_support_counts_what_trying_everything_would_need(sample: Gathered) -> None:
    panel, channel = sample.panel, sample.menu.channel
    found = support_of_trying_all(panel, channel, panel.propensity)
    assert 0 < found.unsupported < 0.5
    assert found.effective_rows < panel.rows
    assert 0 < found.effective_positives < panel.purchase.sum()
    only_rested = panel.where((panel.fatigue[:, 0] == 0) & (panel.action <= 0))
    none = support_of_trying_all(only_rested, channel, only_rested.propensity)
    assert none.unsupported > 0.6, "three of four actions are never seen"


def test_small_heads_find_what_the_generator_does() -> None:
    panel = panel_of(TRUE, 20_000, 20, np.random.default_rng(4), randomised=1.0)
    weight = np.ones(panel.rows)
    leaving = unsubscribe_table(panel, TRUE.channel, weight)
    np.testing.assert_allclose(leaving[1], TRUE.unsubscribe[0, 1], rtol=0.3)
    assert (np.diff(leaving, axis=1) >= 0).all()
    assert (leaving[[0, 3]] == 0).all(), "no contact and letters lose nobody here"
    moved = moves(panel, TRUE.channel, weight)
    assert moved.fatigue_down[0, 1:] == pytest.approx(0.8, abs=0.02)
    assert moved.frequency_up[:-1] == pytest.approx(0.5, abs=0.05)
    assert baskets(panel, weight).margin == pytest.approx(25)
    heads = response_heads(panel, TRUE.channel)
    assert 1 / (1 + np.exp(-heads[0, 1, 0])) == pytest.approx(0.2, abs=0.02)
    assert np.isnan(heads[1]).all(), "letters are not opened in the log"


def test_the_share_left_to_chance_is_as_documented() -> None:
    policy = logging_policy(TRUE)
    subscribed = policy[:, :, :, 3]
    assert subscribed.min() == pytest.approx(RANDOMISED / 4)
    assert subscribed[:, :, 0, 2] == pytest.approx(1 - RANDOMISED + RANDOMISED / 4)
