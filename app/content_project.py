"""What a project holds of content, read through the engine and kept by the hash of its files."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import project
from app.project import SOME, file_sha256
from ppo_marketing.content.agreement import Agreement, agreement_of
from ppo_marketing.content.curve import Curve, curve_of
from ppo_marketing.content.judged import Judgement, kept_judgement
from ppo_marketing.content.places import HISTORY, Found, Place, found_in
from ppo_marketing.content.stages.folder import RESULT


def found() -> Found:
    """What there is now; looked up anew each time, since commands make it."""
    return found_in(project.folder())


def chosen(places: Sequence[Place], label: str, key: str) -> Place:
    """The place that the analyst chose; the newest at first, without a widget where it is alone."""
    by_name = {place.name: place for place in places}
    if len(by_name) == 1:
        return places[0]
    return by_name[st.selectbox(label, tuple(by_name), key=key)]


def agreement(place: Place) -> Agreement:
    """How well reward models agree with raters."""
    return _agreement(str(place.folder), file_sha256(place.folder / RESULT), place)


def curve(place: Place) -> Curve:
    """An alignment's curve."""
    read = "".join(file_sha256(place.folder / name) for name in (RESULT, HISTORY))
    return _curve(str(place.folder), read, place)


def judgement(place: Place) -> Judgement:
    """A judged model, verified against its bundle; anew each time, since its files may change."""
    return kept_judgement(place.folder)


@st.cache_data(max_entries=SOME, show_spinner=False)
def _agreement(path: str, sha256: str, _place: Place) -> Agreement:
    return agreement_of(_place)


@st.cache_data(max_entries=SOME, show_spinner=False)
def _curve(path: str, sha256: str, _place: Place) -> Curve:
    return curve_of(_place)
