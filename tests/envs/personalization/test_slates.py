"""Pages whose items compete for one reward: the choice, the world, the fit, the log."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import load_decision
from envs.core.log import LogTable, read_log
from envs.personalization.best_slate import best_choice_value
from envs.personalization.choice import chances, competition
from envs.personalization.fit import PersonalizationCalibration, fit, settle
from envs.personalization.generator import POSITION_EFFECT, PRESETS, Truth, truth_of
from envs.personalization.log import VISITS
from envs.personalization.model import sigmoid
from envs.personalization.response import fit_response, sorted_rows
from envs.personalization.rules import Uniform
from envs.personalization.sample_log import generate_log
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.slates import Slates, slates_of
from envs.personalization.world import PersonalizationWorld
from ppo_marketing.config import load_config
from ppo_marketing.evaluation import play
from ppo_marketing.jobs.logs import prepare
from ppo_marketing.progress import SilentReporter
from tests.envs.personalization.test_response_fit import no_guess
from tests.support.personalization import small_sessions, small_visits


def test_two_items_share_the_choice_as_on_paper() -> None:
    # w = 1 and 2, none 1: of four parts the items have one and two.
    logit, page = np.log([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    np.testing.assert_allclose(chances(logit, page), [0.25, 0.5, 0.75])


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=5), st.integers(1, 3))
def test_a_row_is_a_decision_of_its_own_once_the_others_weigh_on_it(
    logit: list[float], longest: int
) -> None:
    values, page = np.array(logit), np.arange(len(logit)) // longest
    shift = competition(values, page)
    np.testing.assert_allclose(sigmoid(values + shift), chances(values, page), rtol=1e-6)
    alone = np.bincount(page)[page] == 1
    np.testing.assert_allclose(shift[alone], 0.0, atol=1e-9)


def test_a_page_of_one_item_is_the_same_under_both_choices() -> None:
    one, own = small_visits(one_choice=True), small_visits()
    totals = [play(Uniform(), world, 500, 0, "rule").kpis for world in (one, own)]
    for name, amounts in totals[0].items():
        np.testing.assert_allclose(amounts, totals[1][name], err_msg=name)


def paper_page() -> PersonalizationWorld:
    """Two items of weights 1 and 2 for everyone, both positions alike."""
    world = small_visits(slots=2, one_choice=True)
    model = world.model._replace(
        bias=np.tile(np.log([1.0, 2.0, *[1e-9] * 4]), (2, 1)),
        vector=np.zeros_like(world.model.vector),
        position=np.zeros((2, 3)),
    )
    return replace(world, model=model)


def test_each_item_adds_what_it_brings_to_the_page() -> None:
    world, rng = paper_page(), np.random.default_rng(0)
    first = world.step(world.initial(8, rng), np.zeros(8, int), rng)
    np.testing.assert_allclose(first.kpis["value"], 1 / 2)
    assert not first.kpis["clicks"].any(), "the choice is made when the page is seen whole"
    second = world.step(first.state, np.ones(8, int), rng)
    np.testing.assert_allclose(second.kpis["value"], 3 / 4 - 1 / 2)
    np.testing.assert_allclose(world.ceiling(world.initial(8, rng)), 3 / 4)
    np.testing.assert_allclose(world.ceiling(first.state), 1 / 4)


def test_realised_choices_confirm_the_expected_value_and_are_one_a_page_at_most() -> None:
    world = paper_page()
    kpis = play(Uniform(), world, 20_000, 0, "rule").kpis
    assert set(np.unique(kpis["clicks"])) == {0.0, 1.0}
    sd = np.sqrt(kpis["value"].sum())
    assert kpis["clicks"].sum() == pytest.approx(kpis["value"].sum(), abs=4 * sd)


@given(
    items=st.integers(2, 5), slots=st.integers(1, 3), filled=st.integers(0, 2),
    seed=st.integers(0, 10_000),
)  # fmt: skip
def test_the_best_page_is_that_of_trying_every_page(
    items: int, slots: int, filled: int, seed: int
) -> None:
    slots = min(slots, items)
    filled = min(filled, slots - 1)
    rng = np.random.default_rng(seed)
    logit, effect = 2 * rng.standard_normal((1, items)), rng.standard_normal((1, slots))
    before = float(rng.exponential())
    best = max(
        sum(
            np.exp(logit[0, a] + effect[0, p])
            for a, p in zip(page, range(filled, slots), strict=True)
        )
        for page in permutations(range(items), slots - filled)
    )
    found = best_choice_value(logit, effect, np.array([filled], np.int32), np.array([before]))
    expected = (before + best) / (1 + before + best) - before / (1 + before)
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_the_value_of_pages_in_a_session_is_slateqs_sum_over_choices() -> None:
    # Nobody is ever bored, so that V = sum_i P(i | A) Q(i) + P(none | A) Q(none) with
    # Q(i) = 1 + (1 - l_click) V and Q(none) = (1 - l_none) V is one linear equation.
    world = small_sessions(
        slots=2, one_choice=True, boredom=0.0, leave_boredom=0.0, leave_click=0.1, leave_none=0.4
    )
    model = world.model._replace(
        bias=np.tile(np.log([0.3, 0.2, *[1e-9] * 4]), (2, 1)),
        vector=np.zeros_like(world.model.vector),
        position=np.zeros((2, 3)),
    )
    world, rng = replace(world, model=model), np.random.default_rng(1)
    chosen = np.array([0.3, 0.2]) / 1.5
    nothing = 1 - chosen.sum()
    value = chosen.sum() / (1 - chosen.sum() * 0.9 - nothing * 0.6)
    count = 20_000
    state, earned = world.initial(count, rng), np.zeros(count)
    for step in range(world.horizon):
        outcome = world.step(state, np.full(count, step % 2), rng)
        state, earned = outcome.state, earned + outcome.kpis["value"]
        if state.gone.all():
            break
    assert earned.mean() == pytest.approx(value, abs=4 * earned.std() / np.sqrt(count))


def likely() -> Truth:
    """Some item of a page is chosen by two visitors in five."""
    truth = truth_of(PRESETS["slates"])
    raised = truth.model._replace(bias=truth.model.bias + 2.0)
    return Truth(raised, truth.items, truth.logging, truth.preset)


def kept(table: pa.Table, folder: Path) -> LogTable:
    pq.write_table(table, folder / "log.parquet")
    return read_log(folder / "log.parquet", VISITS, cache=folder / "cache")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> LogTable:
    table = generate_log(likely(), 3, np.random.default_rng(0))
    return kept(table, tmp_path_factory.mktemp("slates"))


@pytest.fixture(scope="module")
def calibration(log: LogTable) -> PersonalizationCalibration:
    return fit(log, settle(log, PersonalizationSettings()), np.random.default_rng(0))


def test_the_fit_finds_the_choice_and_independent_clicks_would_not(
    calibration: PersonalizationCalibration,
) -> None:
    visits, truth = calibration.earlier.visits, likely()
    assert visits.page is not None
    model = calibration.earlier.model
    x = truth.contexts(2_000, np.random.default_rng(1)).x
    gap = model.bias.mean(axis=0) - truth.model.bias[0]
    assert np.abs(gap.mean()) < 0.08
    np.testing.assert_allclose(model.position.mean(axis=0), POSITION_EFFECT, atol=0.15)
    taste = x @ (model.vector.mean(axis=0) - truth.model.vector[0]).T
    assert np.sqrt((taste**2).mean()) < 0.25
    rows = sorted_rows(visits.x, visits.item, visits.position, visits.reward, visits.weight)
    guess = no_guess(visits.x.shape[1])
    own = fit_response(rows, guess, 3).bias(guess)
    assert (own - truth.model.bias[0]).mean() < -0.2, "neighbours take their share of the clicks"


def test_a_sample_of_pages_is_played_as_pages_without_being_asked(tmp_path: Path) -> None:
    config = load_config(
        None,
        {
            "decision": "personalization",
            "project": tmp_path,
            "output": tmp_path / "run",
            "log": {"preset": "slates", "days": 2},
        },
    )
    settings = prepare(load_decision("personalization"), config, SilentReporter()).settings
    assert (settings.slots, settings.one_choice) == (3, True)


def test_a_log_of_pages_says_so_itself_and_is_believed(
    log: LogTable, calibration: PersonalizationCalibration, tmp_path: Path
) -> None:
    settings = settle(log, PersonalizationSettings())
    assert (settings.slots, settings.one_choice) == (3, True)
    assert settle(log, PersonalizationSettings(slots=2)).slots == 2
    assert calibration.fidelity.passed, calibration.fidelity.failures
    assert any("compete for it (conditional logit)" in note for note in calibration.notes)
    # Even where the settings do not ask for it, since the response was fitted so.
    plain = PersonalizationSettings(slots=3)
    assert calibration.training_world(50, plain, np.random.default_rng(0)).settings.one_choice
    calibration.save(tmp_path / "kept")
    again = PersonalizationCalibration.load(tmp_path / "kept").earlier.visits.page
    np.testing.assert_array_equal(again, calibration.earlier.visits.page)


def found(**columns: list[float]) -> Slates:
    count = len(columns["reward"])
    given = {name: np.array(values) for name, values in columns.items()}
    return slates_of({"unit_id": np.full(count, "a"), "timestamp": np.zeros(count), **given})


def test_only_rows_seen_together_on_different_positions_are_a_page() -> None:
    together = found(position=[1, 2, 3], reward=[0, 1, 0])
    assert (together.longest, together.one_choice) == (3, True)
    again = found(position=[1, 1, 2], reward=[0, 1, 0])
    assert (again.longest, again.one_choice) == (1, False)
    counts = found(position=[1, 2], reward=[0, 1], impressions=[5, 5])
    assert (counts.longest, counts.one_choice) == (1, False)
    assert found(reward=[0, 1]).longest == 1
    apart = found(position=[1, 2], reward=[0, 1], timestamp=[0, 1])
    assert apart.longest == 1


def test_a_page_with_two_rewards_is_no_choice_of_one() -> None:
    both = found(position=[1, 2], reward=[1, 1])
    assert (both.longest, both.one_choice) == (2, False)
    assert "each item is rewarded on its own" in both.notes()[0]
