"""From a log to a calibration: what it promises, what it keeps, what it says of real logs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.core.calibration_folder import DamagedFile
from envs.core.log import LogTable, read_log
from envs.personalization.fit import PersonalizationCalibration, fit, settle
from envs.personalization.generator import PRESETS, Truth, truth_of
from envs.personalization.log import VISITS
from envs.personalization.sample_log import generate_log
from envs.personalization.session_world import SessionWorld
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.world import PersonalizationWorld

SETTINGS = PersonalizationSettings()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def likely(preset: str) -> Truth:
    truth = truth_of(PRESETS[preset])
    raised = truth.model._replace(bias=truth.model.bias + np.log(10))
    return Truth(raised, truth.items, truth.logging, truth.preset)


def kept(table: pa.Table, folder: Path) -> LogTable:
    pq.write_table(table, folder / "log.parquet")
    return read_log(folder / "log.parquet", VISITS, cache=folder / "cache", now=NOW)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> PersonalizationCalibration:
    table = generate_log(likely("default"), 3, np.random.default_rng(0))
    log = kept(table, tmp_path_factory.mktemp("log"))
    return fit(log, SETTINGS, np.random.default_rng(0))


def test_the_generators_own_log_calibrates_and_passes(
    calibration: PersonalizationCalibration,
) -> None:
    assert calibration.fidelity.passed, calibration.fidelity.failures
    lift_low = re.search(r"95 % interval from ([-.\de]+)\)", calibration.notes[-1])
    assert lift_low is not None
    assert float(lift_low[1]) > 0, "the model's choice is shown better than the log's own policy"
    assert "propensities: as logged" in calibration.notes
    assert any("no sessions (session_id)" in note for note in calibration.notes)


def test_later_rows_train_and_tune_nothing(calibration: PersonalizationCalibration) -> None:
    rng = np.random.default_rng(0)
    training = calibration.training_world(500, SETTINGS, rng)
    judging = calibration.judging_world(500, SETTINGS, rng)
    assert isinstance(training, PersonalizationWorld)
    earlier = {row.tobytes() for row in calibration.earlier.visits.x}
    later = {row.tobytes() for row in calibration.later.visits.x}
    assert {row.tobytes() for row in training.contexts.x} <= earlier
    assert {row.tobytes() for row in judging.contexts.x} <= later
    for world in (training, judging, calibration.history_world(SETTINGS)):
        assert world.history.size == calibration.earlier.visits.size
        # One feature space, the earlier model's, whoever plays in it.
        np.testing.assert_array_equal(world.items.feature, training.items.feature)
    assert calibration.judged_from.isoformat() == "2024-01-03"
    assert calibration.heldout_world(SETTINGS) is None


def test_a_calibration_comes_back_from_its_folder_as_it_was(
    calibration: PersonalizationCalibration, tmp_path: Path
) -> None:
    calibration.save(tmp_path / "kept")
    again = PersonalizationCalibration.load(tmp_path / "kept")
    assert again.notes == calibration.notes
    assert again.fidelity == calibration.fidelity
    assert again.judged_from == calibration.judged_from
    assert again.encoder.names == calibration.encoder.names
    for part, other in ((calibration.earlier, again.earlier), (calibration.later, again.later)):
        np.testing.assert_array_equal(part.model.vector, other.model.vector)
        np.testing.assert_array_equal(part.visits.x, other.visits.x)
        np.testing.assert_array_equal(part.propensity, other.propensity)
        assert part.terms == other.terms
    one, two = (
        c.training_world(50, SETTINGS, np.random.default_rng(1)) for c in (calibration, again)
    )
    np.testing.assert_array_equal(one.contexts.x, two.contexts.x)
    np.testing.assert_array_equal(one.member, two.member)


def test_a_changed_file_is_noticed(calibration: PersonalizationCalibration, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    calibration.save(folder)
    content = bytearray((folder / "earlier.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "earlier.npz").write_bytes(bytes(content))
    with pytest.raises(DamagedFile, match=r"earlier\.npz is not what was written"):
        PersonalizationCalibration.load(folder)


def test_no_pickle_is_in_the_folder(
    calibration: PersonalizationCalibration, tmp_path: Path
) -> None:
    calibration.save(tmp_path / "kept")
    for file in (tmp_path / "kept").glob("*.npz"):
        with np.load(file, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)
    json.loads((tmp_path / "kept" / "calibration.json").read_text(encoding="utf-8"))


def test_propensities_are_estimated_and_labelled_where_none_are_logged(tmp_path: Path) -> None:
    table = generate_log(likely("default"), 2, np.random.default_rng(1))
    calibration = fit(
        kept(table.drop_columns(["propensity"]), tmp_path), SETTINGS, np.random.default_rng(0)
    )
    assert any(
        note.startswith("propensities: estimated, and who was shown what depends on the context")
        for note in calibration.notes
    )
    assert any("assumed, not identified" in note for note in calibration.notes)
    true = np.concatenate([table["propensity"].to_numpy()])[: calibration.earlier.visits.size]
    assert np.abs(np.log(calibration.earlier.propensity / true)).mean() < 0.15


def test_session_parameters_are_found_in_a_log_of_sessions(tmp_path: Path) -> None:
    log = kept(generate_log(likely("sessions"), 4, np.random.default_rng(2)), tmp_path)
    settings = settle(log, SETTINGS)
    assert settings.sessions
    calibration = fit(log, settings, np.random.default_rng(0))
    terms = calibration.earlier.terms
    assert terms["boredom"] == pytest.approx(0.5, abs=0.1)
    assert terms["leave_click"] == pytest.approx(0.05, abs=0.01)
    assert terms["leave_none"] == pytest.approx(0.12, abs=0.015)
    assert terms["leave_boredom"] == pytest.approx(0.01, abs=0.01)
    assert any("session parameters fitted to the log" in note for note in calibration.notes)
    assert calibration.items.categories == 3
    world = calibration.training_world(100, settings, np.random.default_rng(0))
    assert isinstance(world, SessionWorld)
    assert world.terms.boredom == terms["boredom"]
    assert world.terms.boredom_levels == settings.boredom_levels


def test_no_boredom_is_found_where_there_is_none(tmp_path: Path) -> None:
    log = kept(generate_log(likely("no_boredom"), 4, np.random.default_rng(3)), tmp_path)
    calibration = fit(log, settle(log, SETTINGS), np.random.default_rng(0))
    assert calibration.earlier.terms["boredom"] < 0.08
