"""What a customer is worth at the end: a cadence that can be followed, the worth of consent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sequencing.env import make_world
from envs.sequencing.oracle import uncontacted
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.terminal import cadence, terminal_grid, turns
from tests.support.sequencing import random_world

YEAR: dict[str, Any] = {"end": "terminal value", "terminal_weeks": 52, "horizon_weeks": 52}


def test_the_worth_of_a_cadence_is_what_following_it_earns() -> None:
    world = random_world(
        2, 60_000, members=1, end="nothing", horizon_weeks=20, terminal_weeks=20, discount=0.95,
        caps={"email": (1, 21)},
    )  # fmt: skip
    model = world.program(0)
    turn = turns(world.settings, "email", 20)
    state = world.starting(np.arange(world.episodes))
    agreed = state.consent[:, 0]
    promised = cadence(model, 2, turn)[(state.recency, state.frequency, *state.fatigue.T)]
    earned = np.zeros(world.episodes)
    for now in turn:
        rested = state.fatigue.sum(axis=1) == 0
        outcome = world.step(state, np.where(rested & now, 2, 0), np.random.default_rng(0))
        earned += outcome.kpis["value"]
        state = outcome.state
    difference = (earned - promised)[agreed]
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference))


def test_without_consent_a_customer_is_worth_what_they_are_left_alone_and_with_it_more() -> None:
    world = make_world(days=10, caps={}, **YEAR, closed_channels=("letter",))
    model = world.program(0)
    worth = terminal_grid(world.terms.terminal, model, 0)
    alone = uncontacted(model, 52)
    np.testing.assert_allclose(worth[:, :, :, 0, 0, 0], alone[:, :, :, 0])
    assert (worth[:, :, :, 0, 1, 0] >= alone[:, :, :, 0]).all()
    gain = worth[:, :, 0, 0, 1, 0] / alone[:, :, 0, 0]
    assert 1.05 < gain.mean() < 1.5, "a coupon when rested is worth a fifth of V over nothing"


def test_the_last_week_spares_consent_that_only_later_contacts_would_use() -> None:
    world = make_world(days=10, caps={}, **YEAR)
    model = world.program(0)
    contacts = {}
    for name, terminal in (
        ("with consent", world.terms.terminal), ("without", world.terms.terminal[:, :1]),
    ):  # fmt: skip
        q = model.q(terminal_grid(terminal, model, 0))[..., 1, 0]
        contacts[name] = int(np.isin(q.argmax(axis=0), (1, 2)).sum())
    assert contacts["with consent"] < contacts["without"]


def test_the_compiled_end_pays_the_grid() -> None:
    world = random_world(5, 3000, members=3, horizon_weeks=1, terminal_weeks=8, discount=0.9)
    state = world.starting(np.arange(3000))
    after = world.step(state, np.zeros(3000, np.int64), np.random.default_rng(0))
    added = after.kpis["value"] - after.kpis["margin"]
    for k in range(3):
        mine = world.customers.member == k
        model = world.program(k)
        grid = terminal_grid(world.terms.terminal, model, k)
        place = model.index(after.state)
        np.testing.assert_allclose(added[mine], 0.9 * grid[place][mine])


@given(
    contacts=st.integers(0, 4), days=st.integers(1, 70), before=st.integers(0, 30),
    quiet=st.sets(st.integers(0, 51), max_size=4),
)  # fmt: skip
def test_turns_keep_caps_and_quiet_weeks_whatever_was_sent_before(
    contacts: int, days: int, before: int, quiet: set[int]
) -> None:
    settings = SequencingSettings(
        caps={"sms": (contacts, days)}, quiet_weeks=tuple(quiet), first_week=before
    )
    turn = turns(settings, "sms", 60)
    span = -(-days // 7)
    # The fullest history that the cap allows: its contacts in the very last weeks.
    history = np.zeros(70, bool)
    history[70 - min(contacts, span) :] = contacts > 0
    sent = np.concatenate([history, turn])
    for end in range(71, len(sent) + 1):
        assert sent[end - span : end].sum() <= contacts or not turn[: end - 70].any()
    assert not turn[np.isin((before + np.arange(60)) % 52, list(quiet))].any()


def test_a_channel_without_capacity_is_worth_nothing_at_the_end() -> None:
    world = make_world(days=5, caps={"letter": (0, 7)}, closed_channels=("email",), **YEAR)
    assert np.isneginf(world.terms.terminal[0, 1:]).all()
    assert world.terms.terminal[0, 0].min() > 0


@pytest.mark.parametrize("end", ["truncated", "nothing"])
def test_where_the_horizon_is_no_end_nothing_is_contacted_after_it(end: str) -> None:
    world = make_world(days=5, end=end, horizon_weeks=8, terminal_weeks=20)
    assert world.terms.terminal.shape[1] == 1
    assert (world.terms.terminal.max() > 0) == (end == "truncated")
