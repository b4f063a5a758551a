"""The later part's impressions are seen by a policy as the simulator would show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from envs.core.log import read_log
from envs.core.logged import LoggedDecisions
from envs.personalization import DECISION
from envs.personalization.calibration import PersonalizationCalibration
from envs.personalization.fit import fit, settle
from envs.personalization.model import mean_probability
from envs.personalization.settings import PersonalizationSettings

Found = tuple[PersonalizationCalibration, LoggedDecisions, PersonalizationSettings]


@pytest.fixture(scope="module", params=["default", "sessions"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp(request.param)
    table = DECISION.generate(request.param, 4, np.random.default_rng(3))
    pq.write_table(table, folder / "log.parquet")
    log = read_log(folder / "log.parquet", DECISION.schema, cache=folder / "cache")
    settings = settle(log, DECISION.sample_settings())
    calibration = fit(log, settings, np.random.default_rng(0))
    return calibration, calibration.heldout_decisions(settings), settings


def test_every_later_row_is_there_with_what_was_shown_and_earned(found: Found) -> None:
    calibration, logged, settings = found
    visits = calibration.later.visits
    assert logged.size == visits.size
    assert logged.propensities == "logged"
    assert np.bincount(logged.action).tolist() == np.bincount(visits.item).tolist()
    assert logged.reward.sum() == pytest.approx(visits.reward.sum() * settings.event_value)
    assert logged.seen.sum() == pytest.approx(calibration.earlier.visits.weight.sum())


def test_cells_are_read_from_observations_alike_in_log_and_simulator(found: Found) -> None:
    calibration, logged, settings = found
    world: Any = calibration.training_world(300, settings, np.random.default_rng(1))
    state = world.initial(300, np.random.default_rng(2))
    cell = logged.cell_of(world.observe(state))
    assert cell.max() < len(logged.seen)
    context = calibration.earlier.visits.x
    if not logged.sequential:
        rows = logged.seen.sum(axis=1)
        again = np.bincount(
            logged.cell_of(np.pad(context, ((0, 0), (0, 1)), constant_values=1.0)), minlength=8
        )
        assert rows.tolist() == again.tolist()


def test_a_session_goes_on_until_it_ends_and_boredom_builds_up_on_the_way(found: Found) -> None:
    calibration, logged, settings = found
    if not settings.sessions:
        assert not logged.sequential
        return
    assert logged.sequential
    assert logged.terminal
    size = calibration.earlier.model.context_size
    boredom = logged.observation[:, size + 1 : size + 4] * settings.boredom_levels
    category = calibration.catalogue.category
    assert (boredom[logged.step == 0] == 0).all()
    for row in np.flatnonzero(logged.step > 0)[:500]:
        move = np.where(np.arange(3) == category[logged.action[row - 1]], 1, -1)
        expected = np.clip(boredom[row - 1] + move, 0, settings.boredom_levels)
        np.testing.assert_allclose(boredom[row], expected, atol=1e-6)
        clicked = logged.observation[row, size + 4]
        assert clicked == (logged.event[row - 1] > 0)


def test_expected_rewards_are_the_training_models(found: Found) -> None:
    calibration, logged, settings = found
    if logged.sequential:
        assert logged.expected is None
        return
    assert logged.expected is not None
    rows = np.array([5, 1, 17])
    q = mean_probability(calibration.earlier.model, calibration.later.visits.x[rows])
    np.testing.assert_allclose(logged.expected(rows), q * settings.event_value)
    shown = logged.foretold.mean(axis=0)[rows]
    np.testing.assert_allclose(q[np.arange(3), logged.action[rows]], shown)


def test_members_have_worlds_of_their_own_with_the_same_visitors(found: Found) -> None:
    calibration, _, settings = found
    worlds = calibration.member_worlds(40, settings, np.random.default_rng(0))
    assert len(worlds) == calibration.earlier.model.members
    for k, world in enumerate(worlds):
        np.testing.assert_array_equal(world.model.bias[0], calibration.earlier.model.bias[k])
        np.testing.assert_array_equal(world.contexts.x, worlds[0].contexts.x)


def test_where_propensities_come_from_survives_saving(found: Found, tmp_path: Path) -> None:
    calibration, logged, settings = found
    calibration.save(tmp_path / "calibration")
    again = PersonalizationCalibration.load(tmp_path / "calibration")
    assert again.propensities == "logged"
    np.testing.assert_array_equal(again.heldout_decisions(settings).observation, logged.observation)
