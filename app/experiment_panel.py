"""Planning a test on real customers: how many, how long, and who gets what."""

from __future__ import annotations

import streamlit as st

from app import layout, words
from app.layout import Card
from app.uploaded import LIMITS, held
from ppo_marketing.errors import UserError
from ppo_marketing.experiment.assignment import assigned
from ppo_marketing.experiment.design import Design, Plan, design_effect, designed
from ppo_marketing.experiment.files import assignment_csv, read_units
from ppo_marketing.experiment.outcomes import Mean, Proportion
from ppo_marketing.uploads import MEGABYTE

DESIGN, DEALT = "experiment-design", "experiment-dealt"
RATE, AMOUNT = "A rate (bought or not)", "An amount (revenue a customer)"


def draw() -> None:
    """The design, then the dealing."""
    st.write(
        "A simulator says what a policy should earn; a test says what it does. A part of the units "
        "gets the challenger, chance alone decides which."
    )
    _design()
    st.divider()
    _deal()


def _design() -> None:
    kind = st.segmented_control(
        "What is measured", (RATE, AMOUNT), default=RATE, key="experiment-kind", required=True
    )
    with st.form("experiment-plan"):
        left, right = st.columns(2)
        with left:
            if kind == RATE:
                base = st.number_input("The champion's rate", value=0.1, format="%g", step=0.01)
                sd = None
            else:
                base = st.number_input("The champion's mean", value=30.0, format="%g")
                sd = st.number_input("Standard deviation", value=25.0, format="%g")
            lift = st.number_input(
                "Smallest lift that matters, %", value=5.0, format="%g",
                help="Relative to the champion; a smaller one would not be worth the change.",
            )  # fmt: skip
            units = st.number_input(
                "Units there are", value=None, step=1, placeholder="as many as it needs",
                help="Given with the lift: the power. Empty the lift: the smallest that shows.",
            )  # fmt: skip
            week = st.number_input(
                "New units a week", value=None, placeholder="not known", format="%g",
                help="For the duration.",
            )  # fmt: skip
        with right:
            share = st.number_input("The challenger's share", value=0.5, format="%g", step=0.05)
            power = st.number_input(
                "Power", value=0.8, format="%g", step=0.05,
                help="The chance to find the lift where it is there.",
            )  # fmt: skip
            alpha = st.number_input(
                "Alpha", value=0.05, format="%g", step=0.01,
                help="The chance to find one, in either direction, where there is none.",
            )  # fmt: skip
            days = st.number_input(
                "Days until an outcome is complete", value=0, min_value=0, step=1,
                help="A unit's outcome is counted so many days after it arrives.",
            )  # fmt: skip
            cluster = st.number_input(
                "Rows a cluster", value=1.0, format="%g",
                help="Where outcomes come in groups that resemble each other: stores, households.",
            )  # fmt: skip
            alike = st.number_input("How alike they are (ICC)", value=0.0, format="%g", step=0.01)
        pressed = st.form_submit_button("Plan it", type="primary", icon=":material/calculate:")
    if pressed:
        st.session_state.pop(DESIGN, None)
        st.session_state[DESIGN] = designed(
            Plan(
                outcome=Proportion(base) if sd is None else Mean(sd, base),
                share=share, alpha=alpha, power=power,
                design_effect=design_effect(cluster, alike),
            ),
            effect=None if lift is None else lift / 100 * base,
            units=units, units_a_week=week, outcome_days=days,
        )  # fmt: skip
    found = st.session_state.get(DESIGN)
    if found is not None:
        _planned(found)


def _planned(found: Design) -> None:
    relative = "" if found.relative_effect is None else words.share(found.relative_effect, 2)
    layout.cards(
        [
            Card("Units", words.number(found.units),
                 f"{words.number(found.champion)} champion, {words.number(found.challenger)} "
                 "challenger"),
            Card("Lift that it shows", relative or words.number(found.effect),
                 f"{words.number(found.effect, signed=True)} in the outcome's own unit"),
            Card("Power", words.share(found.power), f"at alpha {found.alpha:g}, two-sided"),
            Card("It takes", "–" if found.weeks is None else f"{found.weeks} weeks",
                 "whole weeks, since weekdays differ" if found.weeks else "say how many come"),
        ]
    )  # fmt: skip
    st.caption(
        "Look once, when the time is over: an interval that is watched finds what is not there."
    )


def _deal() -> None:
    st.markdown("**Deal the units**")
    st.caption(
        "The arm is a function of the test's name and the id: the same wherever it is asked. "
        "Nothing of the file is kept."
    )
    file = st.file_uploader(
        "Units (CSV or Parquet with a column of ids)", key="experiment-units",
        max_upload_size=LIMITS.bytes // MEGABYTE,
    )  # fmt: skip
    with st.form("experiment-deal"):
        left, middle, right = st.columns(3)
        salt = left.text_input("Name of the test", help="Another name deals anew.")
        column = middle.text_input("Column of ids", "unit_id")
        share = right.number_input("The challenger's share", value=0.5, format="%g", step=0.05)
        pressed = st.form_submit_button("Deal", icon=":material/casino:")
    if pressed:
        st.session_state.pop(DEALT, None)
        if file is None:
            raise UserError("hand in the units first: a file with a column of ids")
        with held(file.getvalue(), LIMITS) as path:
            units = read_units(path, column.strip())
        arms = assigned(salt.strip(), units, {"champion": 1 - share, "challenger": share})
        counts = {arm: int((arms == arm).sum()) for arm in ("champion", "challenger")}
        st.session_state[DEALT] = (assignment_csv(units, arms), counts)
    dealt = st.session_state.get(DEALT)
    if dealt is not None:
        content, counts = dealt
        st.success(
            f"{words.number(sum(counts.values()))} units: champion "
            f"{words.number(counts['champion'])}, challenger {words.number(counts['challenger'])}"
        )
        st.download_button(
            "Download who gets what", content, file_name="assignment.csv", mime="text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
