"""Saying yes, saying no, taking it back: each is one line of the record, or none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import streamlit as st

from app import access, errors, layout, words
from app.layout import Card
from ppo_marketing.access import Permission
from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.jobs.releasing import Released, approve, promote, rollback
from ppo_marketing.jobs.reviewing import reject
from ppo_marketing.release_state import ReleaseState
from ppo_marketing.releases import (
    MOST_CHARACTERS,
    MOST_OVERRIDE_DAYS,
    Override,
    override_from,
)

RELEASE, APPROVE, REJECT = "Make it the champion", "Approve it", "Reject it"
DONE, FAILED = "release-done", "release-failed"
CHOICE, NAME, COMMENT, LAST_DAY = (
    "release-choice",
    "release-name",
    "release-comment",
    "release-last-day",
)
BACK_NAME, BACK_WHY = "rollback-name", "rollback-why"


def cards(state: ReleaseState, now: datetime) -> None:
    """Champion, this policy, what is asked before a release."""
    champion = state.champion
    if champion is None:
        today = Card("Champion", "none", "nothing was released yet")
    else:
        since = datetime.fromisoformat(champion.since.time)
        force = "in force" if state.in_force else "no longer in force"
        today = Card(
            "Champion",
            f"version {champion.champion.to_version}",
            f"since {words.time(since)}, by {errors.as_text(champion.since.approver)}; {force}",
        )
    said = state.said[0] if state.said else None
    own = Card(
        f"This {state.kind}",
        "champion" if state.is_champion else "passed" if state.passed else "not passed",
        "nobody has spoken on it yet"
        if said is None
        else f"last word: {said.action} by {errors.as_text(said.approver)}",
        help="What the gate says of it, and the last thing that a person recorded.",
    )
    rules = state.rules
    named = ", ".join(rules.approvers)
    eyes = Card(
        "Who must agree",
        "two people" if rules.four_eyes else "one person",
        errors.as_text(f"approvers: {named}") if named else "anyone who may approve",
        help="Four eyes: somebody other than the one who releases has approved this very one "
        f"within {rules.approval_days} days. Set by `release:` in the configuration.",
    )
    layout.cards([today, own, eyes])


def draw(judged: Path, state: ReleaseState) -> None:
    """The forms."""
    _told()
    if not access.may_here(Permission.APPROVE):
        st.info(
            "You may look. Approvers decide; ask one of them to open this page.",
            icon=":material/visibility:",
        )
    if state.is_champion:
        st.success(f"This {state.kind} is what runs. To take it back, roll back below.")
    else:
        _speak(judged, state)
    st.divider()
    _roll_back(state)


def _speak(judged: Path, state: ReleaseState) -> None:
    may = access.may_here(Permission.APPROVE)
    with st.form("release-speak"):
        st.markdown("**What do you say?**")
        st.radio(
            "What do you say?", (RELEASE, APPROVE, REJECT), label_visibility="collapsed",
            captions=(
                "It becomes what runs, from this moment.",
                "You agree; where two people are asked for, somebody else then releases it.",
                "It is not released until somebody approves it again.",
            ),
            key=CHOICE,
        )  # fmt: skip
        _name(NAME)
        st.text_area(
            "Comment", placeholder="Why; it is kept on the record", height=90,
            max_chars=MOST_CHARACTERS, key=COMMENT,
        )  # fmt: skip
        if not state.passed:
            st.warning(
                "The gate did not pass it. Releasing it all the same needs a reason (the comment) "
                "and a last day; you answer for it by name.",
                icon=":material/warning:",
            )
            today = datetime.now(UTC).date()
            st.date_input(
                "Last day of the override", value=None, format="YYYY-MM-DD", key=LAST_DAY,
                min_value=today + timedelta(days=1),
                max_value=today + timedelta(days=MOST_OVERRIDE_DAYS),
            )  # fmt: skip
        # What is pressed is done before the page is drawn anew, and held against what was shown:
        # `state` is of the moment at which the button was drawn.
        st.form_submit_button(
            "Record it", type="primary", disabled=not may, on_click=_record, args=(judged, state)
        )


def _record(judged: Path, state: ReleaseState) -> None:
    given = st.session_state
    choice, name, comment = given[CHOICE], given.get(NAME), given[COMMENT]

    def act() -> Released:
        desk, seen = access.desk(), state.seen
        if choice == APPROVE:
            return approve(judged, desk, approver=name, reason=comment, seen=seen)
        if choice == REJECT:
            return reject(judged, desk, approver=name, reason=comment, seen=seen)
        override: Override | None = None
        day = given.get(LAST_DAY)
        if not state.passed and (comment.strip() or day is not None):
            answers = name if desk.user is None else desk.user.email
            expires = None if day is None else day.isoformat()
            override = override_from(comment, answers, expires, desk.now)
        return promote(judged, desk, approver=name, override=override, reason=comment, seen=seen)

    _act(act)


def _roll_back(state: ReleaseState) -> None:
    st.markdown("**Take it back**")
    if state.champion is None:
        st.caption("Nothing was released: there is nothing to take back.")
        return
    if state.goes_back_to is None:
        st.caption("The champion is the first one: there is none to go back to.")
        return
    may = access.may_here(Permission.ROLLBACK)
    with st.form("release-rollback"):
        st.write(
            f"Version {state.goes_back_to} becomes the champion again, at once. It asks for nobody "
            "else's approval."
        )
        _name(BACK_NAME)
        st.text_input(
            "Why", placeholder="spend doubled since 09:00", max_chars=MOST_CHARACTERS, key=BACK_WHY
        )
        st.form_submit_button(
            "Roll back", icon=":material/undo:", disabled=not may, on_click=_take_back,
            args=(state,),
        )  # fmt: skip


def _take_back(state: ReleaseState) -> None:
    name, reason = st.session_state.get(BACK_NAME), st.session_state[BACK_WHY]
    _act(
        lambda: rollback(
            state.decision, access.desk(), approver=name, reason=reason, seen=state.seen
        )
    )


def _name(key: str) -> None:
    """Who answers, where nobody is signed in."""
    here = access.user()
    if here is None:
        st.text_input("Your name", key=key, max_chars=MOST_CHARACTERS)
    else:
        st.caption(f"Recorded under {errors.as_text(here.email)}")


def _act(act: Callable[[], Released]) -> None:
    """Do it, and keep for the next drawing what it did, or why it was refused."""
    with errors.kindly():
        try:
            st.session_state[DONE] = act()
        except PpoMarketingError as error:
            st.session_state[FAILED] = errors.in_words(error)


def _told() -> None:
    """What the last action did, or why it did nothing."""
    failed = st.session_state.pop(FAILED, None)
    if failed is not None:
        st.warning(failed, icon=":material/block:")
    done: Released | None = st.session_state.pop(DONE, None)
    if done is None:
        return
    line = done.line
    said = (
        f"Recorded as line {line.sequence}: {line.action} by {line.approver}."
        if done.new
        else "Nothing new: that had been recorded before."
    )
    st.success(errors.as_text(said), icon=":material/task_alt:")
    for note in done.notes:
        st.info(errors.as_text(note))
