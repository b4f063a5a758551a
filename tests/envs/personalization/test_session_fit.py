"""Boredom, leaving and return as read from a log of sessions, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.personalization.model import sigmoid
from envs.personalization.session_fit import (
    NO_SESSIONS,
    boredom_effect,
    pages_of,
    session_notes,
    session_terms,
)
from envs.personalization.visits import Visits


def visits_of(rows: list[tuple[int, int, int, bool]], day: list[int] | None = None) -> Visits:
    """Rows (session, time, item, clicked); every session is a unit of its own."""
    session, time, item, clicked = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    nothing = np.zeros(count, np.int32)
    return Visits(
        x=np.zeros((count, 1), np.float32), item=item.astype(np.int32), position=nothing,
        propensity=np.ones(count), reward=clicked.astype(np.float64), weight=np.ones(count),
        unit=session.astype(np.int32), session=session.astype(np.int32),
        day=nothing if day is None else np.array(day, np.int32),
        time=time.astype(np.int64), pool=nothing, pool_items=None,
    )  # fmt: skip


rows_in_sessions = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 5), st.booleans()),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(rows=rows_in_sessions, levels=st.integers(1, 3))
def test_replayed_boredom_is_that_of_a_plain_loop(
    rows: list[tuple[int, int, int, bool]], levels: int
) -> None:
    category = np.array([0, 0, 1, 1, 2, 2], np.int32)
    pages = pages_of(visits_of(rows), category, levels)
    expected = {}
    for session in {row[0] for row in rows}:
        boredom = np.zeros(3, int)
        for time in sorted({row[1] for row in rows if row[0] == session}):
            page = [i for i, row in enumerate(rows) if row[:2] == (session, time)]
            shown = {int(category[rows[i][2]]) for i in page}
            for i in page:
                expected[i] = boredom[category[rows[i][2]]]
            change = np.array([1 if c in shown else -1 for c in range(3)])
            boredom = np.clip(boredom + change, 0, levels)
    assert pages.bored.tolist() == [expected[i] for i in range(len(rows))]
    assert pages.last.sum() == len({row[0] for row in rows})


def test_rows_without_a_session_are_never_bored() -> None:
    visits = visits_of([(-1, 0, 0, False), (-1, 1, 0, True), (-1, 2, 0, False)])
    pages = pages_of(visits, np.zeros(1, np.int32), 2)
    assert not pages.bored.any()
    assert pages.last.all()


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.2])
def test_the_effect_of_boredom_is_found(eta: float) -> None:
    rng = np.random.default_rng(0)
    logit = rng.normal(-1, 0.5, 20_000)
    bored = rng.integers(0, 3, 20_000).astype(np.int32)
    reward = (rng.random(20_000) < sigmoid(logit - eta * bored)).astype(float)
    assert boredom_effect(logit, bored, reward, np.ones(20_000)) == pytest.approx(eta, abs=0.06)


def test_an_effect_in_the_wrong_direction_is_taken_as_none() -> None:
    bored = np.array([0, 2] * 500, np.int32)
    reward = np.array([0.0, 1.0] * 500)
    assert boredom_effect(np.zeros(1000), bored, reward, np.ones(1000)) == 0.0


def test_visitors_who_return_are_counted_and_others_are_not() -> None:
    rows = [(s, 10 * s, 0, s % 2 == 0) for s in range(40)]
    once = visits_of(rows)
    pages = pages_of(once, np.zeros(1, np.int32), 2)
    assert session_terms(once, pages, 0.3)["days"] == 1
    # Twenty units, each with a session on two days.
    again = visits_of(rows, day=[s // 20 for s in range(40)])
    again.unit[:] = np.arange(40) % 20
    terms = session_terms(again, pages, 0.3)
    assert terms["days"] == 2
    assert terms["return_intercept"] == pytest.approx(0.0)


def test_the_notes_say_what_was_fitted_and_what_was_not() -> None:
    assert session_notes({}) == [NO_SESSIONS]
    fitted, assumed = session_notes({"boredom": 0.5, "leave_click": 0.05})
    assert "boredom 0.5" in fitted
    assert "not fitted" in assumed
