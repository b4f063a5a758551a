"""Young days are told from days whose outcomes had their time."""

from __future__ import annotations

from datetime import date, timedelta

from envs import decision_names, load_decision
from ppo_marketing.maturity import days_of, sentence

FIRST = date(2026, 11, 1)
ROWS = [(FIRST + timedelta(days=i), 10 + i) for i in range(10)]


def test_a_day_is_mature_once_its_attribution_window_has_passed() -> None:
    days = days_of(ROWS, FIRST + timedelta(days=7), 3)
    assert [day.mature for day in days] == 7 * [True] + 3 * [False]
    assert [day.part for day in days] == 7 * ["taught"] + 3 * ["judged"]
    assert days[6].day + timedelta(days=3) == ROWS[-1][0]
    assert [day.rows for day in days] == [count for _, count in ROWS]


def test_without_a_window_every_day_is_complete() -> None:
    days = days_of(ROWS, FIRST, 0)
    assert all(day.mature for day in days)
    assert sentence(days, 0) == "Outcomes come at once: every day is complete."


def test_the_sentence_names_the_young_days() -> None:
    days = days_of(ROWS, FIRST + timedelta(days=7), 3)
    assert "the last 3 days, from 2026-11-08 on, are not complete" in sentence(days, 3)
    assert "every day of this log has had that time" in sentence(days[:4], 3)


def test_no_days_are_no_days() -> None:
    assert days_of([], FIRST, 30) == ()


def test_the_cards_say_how_long_their_outcomes_take() -> None:
    # The one whose responses come late must say the window that its own fit uses: 30 days.
    windows = {load_decision(name).attribution_days for name in decision_names()}
    assert windows == {0, 30}
