"""What every page is made of: a headline, cards with intervals, empty states, ways onward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import streamlit as st

from app import errors, session
from app.session import Choice
from ppo_marketing.jobs.kept_runs import KeptRun, Reached

ICON = Path(__file__).with_name("icon.png")
"""The app's own: Streamlit fetches named icons of a tab from another host."""

CARD_PIXELS = 190
"""Room for an amount with its currency; four of them fit beside the menu at 1280 pixels."""

NEEDS: dict[Reached, tuple[str, str, str]] = {
    "calibrated": ("a simulator", "Choose a log and fit one", "data"),
    "trained": ("a trained policy", "Train one", "train"),
    "judged": ("a judged policy", "Train and judge one", "train"),
}


@dataclass(frozen=True)
class Card:
    """One number: what it is, its value, where it lies, and what it means."""

    label: str
    value: str
    interval: str = ""
    help: str = ""
    delta: str | None = None


def headline(title: str, sentence: str) -> None:
    """A page's title and, in a sentence, what it says today."""
    st.title(title, anchor=False)
    if sentence:
        st.markdown(f"##### {errors.as_text(sentence)}")


def cards(row: Sequence[Card]) -> None:
    """Cards side by side, as many as fit; on a narrow screen one below the other."""
    with st.container(horizontal=True):
        for card in row:
            with st.container(border=True, width=CARD_PIXELS, height="stretch"):
                st.metric(
                    errors.as_text(card.label),
                    errors.as_text(card.value),
                    delta=None if card.delta is None else errors.as_text(card.delta),
                    delta_color="off",
                    delta_arrow="off",
                    help=card.help or None,
                )
                if card.interval:
                    st.caption(card.interval)


def require(needed: Reached, title: str) -> tuple[Choice, KeptRun]:
    """What is chosen, where its run got as far as the page needs; else the page says what to do."""
    choice = session.chosen()
    if choice.run is None or not session.reached(choice.run, needed):
        what, do, page = NEEDS[needed]
        there = (
            f"{choice.decision.title} has no run yet"
            if choice.run is None
            else f"The run {choice.run.name} has only been {choice.run.reached}"
        )
        empty(title, f"{there}: this page needs {what}.", do, page)
    return choice, choice.run


def tabs(key: str, draw: Mapping[str, Callable[[], None]]) -> None:
    """Tabs of which only the open one is drawn; what goes wrong in one leaves the others alone."""
    for tab, content in zip(
        st.tabs(tuple(draw), key=key, on_change="rerun"), draw.values(), strict=True
    ):
        if tab.open:
            with tab, errors.kindly():
                content()


def empty(title: str, sentence: str, label: str, page: str) -> NoReturn:
    """A page without anything to show yet: why, and one button that leads on."""
    headline(title, sentence)
    if st.button(label, type="primary", icon=":material/arrow_forward:"):
        go_to(page)
    st.stop()


def go_to(page: str) -> NoReturn:
    """Open another page by its name."""
    st.switch_page(f"pages_/{page}.py")
