"""What a week's contacts were: several at once, their chances, what they cost in consent."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from envs.sequencing.contacts import Decisions, decisions, recent_contacts, touched, unsubscribes
from envs.sequencing.events import Events, FittedPart, Grid
from envs.sequencing.panel import OTHER
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import Menu
from envs.sequencing.world import SequencingWorld
from tests.support.sequencing import MENU as WORLD_MENU
from tests.support.sequencing import random_tables

MENU = Menu(("email", "letter"), (("email", ""), ("email", "coupon"), ("letter", "")))
ALL = FittedPart(np.ones(3, bool), 12)


def log_of(*rows: tuple[int, float, str, str, str, float]) -> tuple[Events, Grid, Any]:
    """Events `(customer, week, event, channel, offer, propensity)` of three customers, 12 weeks."""
    signups = [(c, -1.0, "signup", "", "", np.nan) for c in range(3)]
    last = [(2, 11.9, "none", "", "", 1.0)]
    customer, at, event, channel, offer, chance = zip(
        *signups, *sorted(rows, key=lambda row: row[1]), *last, strict=True
    )
    n = len(at)
    events = Events(
        np.array(customer), np.array(at), np.array(event), np.array(channel), np.array(offer),
        {"propensity": np.array(chance), "cost": np.full(n, 0.5)}, {}, 3, date(2024, 1, 1),
    )  # fmt: skip
    number = {pair: i for i, pair in enumerate(MENU.contacts, 1)}
    action_of = np.array([number.get(pair, 0) for pair in zip(channel, offer, strict=True)])
    return events, Grid(events), np.where(np.array(event) == "contact", action_of, 0)


def decided(*rows: tuple[int, float, str, str, str, float]) -> tuple[Decisions, list[str]]:
    events, grid, action_of = log_of(*rows)
    notes: list[str] = []
    return decisions(events, MENU, action_of, grid, ALL, notes), notes


def test_different_contacts_of_one_week_are_no_action_of_the_menu() -> None:
    found, notes = decided(
        (0, 2.1, "contact", "email", "", 0.3), (0, 2.5, "contact", "letter", "", 0.2)
    )
    assert found.action[0, 2] == OTHER
    assert found.propensity[0, 2] == 1.0
    assert any("1 customer-weeks with different contacts are left out" in note for note in notes)


def test_a_repeated_contact_counts_as_one_whose_chance_is_not_known() -> None:
    found, notes = decided(
        (0, 2.1, "contact", "email", "", 0.3), (0, 2.5, "contact", "email", "", 0.3)
    )
    assert found.action[0, 2] == 1
    assert np.isnan(found.propensity[0, 2])
    assert any("repeat the same contact" in note for note in notes)


def test_the_chance_of_a_week_without_contact_is_the_product_of_its_decisions() -> None:
    found, _ = decided((0, 2.1, "none", "", "", 0.8), (0, 2.5, "none", "", "", 0.5))
    assert found.propensity[0, 2] == pytest.approx(0.4)


def test_a_contact_among_several_decisions_has_no_chance_of_its_own() -> None:
    found, _ = decided(
        (0, 2.1, "none", "", "", 0.8), (0, 2.5, "contact", "email", "", 0.5),
        (1, 2.5, "contact", "email", "", 0.5),
    )  # fmt: skip
    assert np.isnan(found.propensity[0, 2])
    assert found.propensity[1, 2] == 0.5


LEFT = {
    "in the same week": ((0, 2.5, "unsubscribe", "email", "", np.nan), 2),
    "weeks later": ((0, 5.9, "unsubscribe", "email", "", np.nan), 2),
    "from everything": ((0, 4.0, "unsubscribe", "", "", np.nan), 3),
    "too late": ((0, 9.0, "unsubscribe", "email", "", np.nan), None),
    "before any contact": ((0, 1.0, "unsubscribe", "email", "", np.nan), None),
}


@pytest.mark.parametrize("name", LEFT)
def test_an_unsubscribe_is_put_down_to_the_last_contact_by_its_channel_within_30_days(
    name: str,
) -> None:
    row, week = LEFT[name]
    events, grid, _ = log_of(
        (0, 2.1, "contact", "email", "", 1.0), (0, 3.1, "contact", "letter", "", 1.0),
        (1, 3.1, "contact", "email", "", 1.0), row,
    )  # fmt: skip
    notes: list[str] = []
    after, lag = unsubscribes(events, MENU, grid, ALL, notes)
    assert np.argwhere(after).tolist() == ([] if week is None else [[0, week]])
    assert bool(notes) == (week is None)
    assert lag == (0 if week is None else int(row[1]) - week)


def test_an_unsubscribe_is_counted_once() -> None:
    events, grid, _ = log_of(
        (0, 2.1, "contact", "email", "", 1.0), (0, 2.5, "unsubscribe", "email", "", np.nan),
        (0, 2.6, "unsubscribe", "email", "", np.nan),
    )  # fmt: skip
    assert unsubscribes(events, MENU, grid, ALL, []).after.sum() == 1


def test_the_history_of_contacts_is_theirs_by_weeks_before() -> None:
    events, grid, _ = log_of(
        (0, 2.1, "contact", "email", "", 1.0), (0, 5.1, "contact", "email", "rare offer", 1.0),
        (1, 3.1, "contact", "letter", "", 1.0),
    )  # fmt: skip
    recent = recent_contacts(touched(events, MENU, grid))
    assert recent[0, 6, 0] == 0b1001, "one and four weeks ago"
    assert recent[0, 2, 0] == 0, "this week's contact is not before it"
    assert recent[1, 6, 1] == 0b100
    assert not recent[2].any()


def test_a_history_of_two_years_stays_in_its_bits() -> None:
    recent = recent_contacts(np.ones((1, 104, 1), bool))
    assert recent[0, -1, 0] == 2**63 - 1


def test_caps_count_the_contacts_before_the_programme() -> None:
    tables = random_tables(3)
    before = np.zeros_like(tables.start_contacts)
    before[:, 1] = 0b10  # an SMS two weeks before the first week
    tables = tables._replace(start_contacts=before)
    given = SequencingSettings(caps={"sms": (1, 28)}, horizon_weeks=6)
    world = SequencingWorld.drawn(WORLD_MENU, tables, 500, given, np.random.default_rng(0))
    state = world.starting(np.arange(500))
    agreed = state.consent[:, 1]
    open_to_sms = []
    for _ in range(4):
        open_to_sms.append(world.action_mask(state)[agreed, 3].mean())
        state = world.step(state, np.zeros(500, np.int64), np.random.default_rng(0)).state
    assert open_to_sms == [0, 0, 1, 1], "28 days after it, not before"
