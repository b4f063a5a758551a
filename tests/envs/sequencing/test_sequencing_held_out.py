"""The later part's customer-weeks are seen by a policy as the simulator would show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.core.log import LogTable
from envs.core.logged import LoggedDecisions
from envs.sequencing import DECISION
from envs.sequencing.calibration import SequencingCalibration
from envs.sequencing.fit import fit
from envs.sequencing.held_out import cell_reader, state_counts
from envs.sequencing.settings import SequencingSettings

SETTINGS = SequencingSettings(**{**vars(DECISION.sample_settings()), "horizon_weeks": 52})


@pytest.fixture(scope="module")
def calibration(sample_log: LogTable) -> SequencingCalibration:
    return fit(sample_log, SETTINGS, np.random.default_rng(0))


@pytest.fixture(scope="module")
def logged(calibration: SequencingCalibration) -> LoggedDecisions:
    return calibration.heldout_decisions(SETTINGS)


def test_the_held_out_customers_are_all_there_and_none_that_was_learned_from(
    calibration: SequencingCalibration, logged: LoggedDecisions
) -> None:
    customers = len(np.unique(logged.unit))
    assert 0.35 * 3900 < customers < 0.45 * 3900
    assert logged.size > 20 * customers
    weeks = np.unique(calibration.decisions.week).size
    assert logged.step.max() == weeks - 1
    assert not logged.terminal


def test_cells_read_from_observations_are_those_of_the_log(logged: LoggedDecisions) -> None:
    np.testing.assert_array_equal(logged.cell_of(logged.observation), logged.cell)


def test_cells_read_from_a_simulated_state_are_its_own(calibration: SequencingCalibration) -> None:
    world = calibration.training_world(500, SETTINGS, np.random.default_rng(1))
    state: Any = world.initial(500, np.random.default_rng(2))
    for _ in range(6):
        action = np.random.default_rng(3).integers(0, 3, 500)
        state = world.step(state, action, np.random.default_rng(4)).state
    stock = np.minimum(state.fatigue.sum(axis=1), 4)
    pattern = state.consent @ (1 << np.arange(state.consent.shape[1]))
    patterns = 1 << state.consent.shape[1]
    expected = ((state.recency * 4 + state.frequency) * 5 + stock) * patterns + pattern
    np.testing.assert_array_equal(cell_reader(world)(world.observe(state)), expected)


def test_a_week_earns_its_margin_less_contact_and_offers(
    calibration: SequencingCalibration, logged: LoggedDecisions
) -> None:
    letter = calibration.menu.labels.index("letter")
    left_alone = (logged.action == 0) & (logged.event == 0)
    mailed = (logged.action == letter) & (logged.event == 0)
    assert set(np.unique(logged.reward[left_alone])) == {0.0}
    np.testing.assert_allclose(np.unique(logged.reward[mailed]), -0.68)
    coupon = (logged.action == calibration.menu.labels.index("email+coupon")) & (logged.event > 0)
    assert 19 < logged.reward[coupon].mean() < 20.5  # 25 less 5 for the coupon, .01 for the mail


def test_foretold_events_are_of_the_simulator_that_trains(
    calibration: SequencingCalibration, logged: LoggedDecisions
) -> None:
    expected = logged.foretold.mean(axis=0).sum()
    assert 0.85 < expected / logged.event.sum() < 1.15
    base = calibration.earlier.base + 1.0
    warmer = calibration.__class__(
        **{**vars(calibration), "earlier": calibration.earlier._replace(base=base)}
    )
    more = warmer.heldout_decisions(SETTINGS).foretold
    odds = np.exp(1.0) * logged.foretold / (1 - logged.foretold)
    np.testing.assert_allclose(more, odds / (1 + odds))


def test_the_rows_behind_the_simulator_are_counted_by_state_and_action(
    calibration: SequencingCalibration, logged: LoggedDecisions
) -> None:
    assert logged.seen.shape[1] == len(logged.actions)
    learned = calibration.seen.sum()
    share = learned / (learned + logged.size)
    assert 0.3 < share < 0.6  # three fifths of the customers in two thirds of the weeks


def test_an_action_that_is_not_on_the_menu_is_counted_nowhere(
    calibration: SequencingCalibration,
) -> None:
    rows = calibration.decisions

    class Some:
        consent = rows.consent[:3]
        action = np.array([0, -1, 1])
        recency = rows.recency[:3]
        frequency = rows.frequency[:3]
        stock = np.zeros(3, np.int64)
        pattern = np.ones(3, np.int64)

    assert state_counts(Some, 4).sum() == 2  # type: ignore[arg-type] # all that is read of a panel


def test_decisions_survive_saving(
    calibration: SequencingCalibration, logged: LoggedDecisions, tmp_path: Path
) -> None:
    calibration.save(tmp_path / "calibration")
    again = SequencingCalibration.load(tmp_path / "calibration").heldout_decisions(SETTINGS)
    for name in ("observation", "action", "propensity", "reward", "cell", "seen", "foretold"):
        np.testing.assert_array_equal(getattr(again, name), getattr(logged, name), err_msg=name)


def test_each_member_has_a_world_of_its_own(calibration: SequencingCalibration) -> None:
    worlds = calibration.member_worlds(50, SETTINGS, np.random.default_rng(0))
    assert len(worlds) == calibration.earlier.members
    for k, world in enumerate(worlds):
        np.testing.assert_array_equal(world.tables.base[0], calibration.earlier.base[k])
