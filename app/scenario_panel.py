"""Which scenarios are compared: made here, kept in the project, or brought by the address."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app import errors, project
from envs.core.decision import Decision
from envs.core.scenario import Knob, knobs_of
from ppo_marketing.errors import UserError
from ppo_marketing.what_if.saved import saved_scenarios
from ppo_marketing.what_if.scenarios import MOST_SCENARIOS, TODAY, Named, named
from ppo_marketing.what_if.sharing import PARAMETER, from_texts

LESS = 0.8
"""The first question that most ask: a fifth less."""


def chosen(card: Decision) -> tuple[Named, ...]:
    """The scenarios that are compared, the first being what the others are compared with."""
    known = _known(card)
    key, asked = f"what_if_compared_{card.name}", f"_what_if_next_{card.name}"
    if asked in st.session_state:
        st.session_state[key] = st.session_state.pop(asked)
    current = [name for name in st.session_state.get(key, ()) if name in known]
    st.session_state[key] = current or _at_first(card, known)
    names = st.multiselect(
        "Scenarios to compare",
        tuple(known),
        key=key,
        max_selections=MOST_SCENARIOS,
        help="The first is what the others are compared with.",
    )
    _maker(card, known)
    picked = tuple(known[name] for name in names) or (TODAY,)
    st.query_params[PARAMETER] = [one.text for one in picked]
    return picked


def _known(card: Decision) -> dict[str, Named]:
    """Today, those kept in the project, those of the address, those made in this session."""
    own: dict[str, Named] = st.session_state.setdefault(f"what_if_made_{card.name}", {})
    # What the address brings is of the decision that is looked at on arrival, and of no other.
    if "_what_if_arrived" not in st.session_state:
        st.session_state["_what_if_arrived"] = True
        with errors.kindly():
            brought = from_texts(card, st.query_params.get_all(PARAMETER))
            own.update({one.name: one for one in brought})
            if brought:
                st.session_state[f"_what_if_next_{card.name}"] = [one.name for one in brought]
    kept: tuple[Named, ...] = ()
    with errors.kindly():
        kept = saved_scenarios(project.folder(), card)
    return {TODAY.name: TODAY, **{one.name: one for one in kept}, **own}


def _at_first(card: Decision, known: dict[str, Named]) -> list[str]:
    """Today, and a fifth less of the card's first knob."""
    knobs = knobs_of(card.scenario_type)
    knob = next(iter(knobs))
    first = named(card, f"A fifth less {knobs[knob].label.lower()}", {knob: LESS})
    st.session_state[f"what_if_made_{card.name}"].setdefault(first.name, first)
    known.setdefault(first.name, first)
    return [TODAY.name, first.name]


def _maker(card: Decision, known: Mapping[str, Named]) -> None:
    knobs = knobs_of(card.scenario_type)
    with st.expander("Make or change a scenario", icon=":material/add_circle:"):
        start = st.selectbox(
            "Start from", tuple(known), index=len(known) - 1, key=f"what_if_from_{card.name}"
        )
        with st.form(f"what_if_form_{card.name}_{start}", border=False):
            name = st.text_input(
                "Name",
                value=start if start != TODAY.name else "My scenario",
                max_chars=60,
                help="The same name changes that scenario; another makes a new one.",
            )
            columns = st.columns(3)
            values = {
                knob: _asked(columns[place % 3], about, known[start].values.get(knob, 1.0))
                for place, (knob, about) in enumerate(knobs.items())
            }
            if st.form_submit_button("Play it", type="primary", icon=":material/play_arrow:"):
                _made(card, name, values)


def _asked(column: st.delta_generator.DeltaGenerator, about: Knob, value: float) -> float:
    return float(
        column.number_input(
            f"{about.label}, {about.unit}",
            min_value=float(about.low),
            max_value=float(about.high),
            value=value,
            step=0.05,
            format="%.2f",
            help=f"{about.help} ({about.low:g} to {about.high:g}; 1 is today)",
        )
    )


def _made(card: Decision, name: str, values: Mapping[str, float]) -> None:
    if name.strip() == TODAY.name:
        raise UserError(f"{TODAY.name} is what the others are compared with: choose another name")
    made = named(card, name, values)
    st.session_state[f"what_if_made_{card.name}"][made.name] = made
    compared = st.session_state[f"what_if_compared_{card.name}"]
    if made.name not in compared:
        compared = [*compared, made.name][-MOST_SCENARIOS:]
    st.session_state[f"_what_if_next_{card.name}"] = compared
    st.rerun()
