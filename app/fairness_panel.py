"""Who is treated how often: by segments of the run's own log, or from a table of decisions."""

from __future__ import annotations

import streamlit as st

from app import fairness_found, findings, words
from app.uploaded import LIMITS, held, names_of
from ppo_marketing.fairness_file import fairness_of_file
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.run_fairness import Segments
from ppo_marketing.uploads import MEGABYTE

FOUND = "fairness-found"
OWN, TABLE = "The run's own log", "A table of decisions"
ICONS = {OWN: ":material/table_view:", TABLE: ":material/upload_file:"}


def draw(run: KeptRun) -> None:
    """The run's own log where it holds choices about people; a table that is handed in."""
    within = findings.segments(run)
    if within is None:
        st.caption("The log of this run holds no choices about people: hand in a table of them.")
        _handed_in()
        return
    chosen = st.segmented_control(
        "Whose decisions",
        tuple(ICONS),
        default=OWN,
        required=True,
        key="fairness-of",
        format_func=lambda one: f"{ICONS[one]} {one}",
    )
    if chosen == OWN:
        _own_log(run, within)
    else:
        _handed_in()


def _own_log(run: KeptRun, within: Segments) -> None:
    variables = {one.name: one for one in within.variables}
    st.write(
        f"What the policy would do, behind the run's guardrails, in "
        f"{words.number(len(within.unit))} decisions of the log that nothing was fitted to, beside "
        "what was done there."
    )
    with st.form("fairness-segments"):
        names = st.multiselect(
            "Segments",
            tuple(variables),
            default=next(iter(variables)),
            format_func=lambda one: variables[one].label,
            help="What the log knows of people when it is decided; numbers are parted into fifths. "
            "Whether one stands for a protected attribute, you know: compare those that do.",
        )
        treatments = st.multiselect(
            "Counts as treatment", within.actions, default=within.usual,
            help="Being given any of these.",
        )  # fmt: skip
        st.form_submit_button("Compare", type="primary", icon=":material/balance:")
    for one in findings.fairness(run, tuple(names), tuple(treatments)):
        fairness_found.draw(one.policy, one.variable.label, one.log)


def _handed_in() -> None:
    """Upload, columns, table."""
    st.write(
        "Hand in a table of decisions, one a row: what the policy proposed, or what was sent. "
        "Nothing of it is kept."
    )
    file = st.file_uploader(
        "Decisions (CSV, CSV.gz or Parquet)", key="fairness-file",
        max_upload_size=LIMITS.bytes // MEGABYTE,
    )  # fmt: skip
    if file is None:
        st.caption(
            "A column for each protected attribute (gender, age band …), one for the treatment "
            "(0, 1 or a probability; or the action), and, where people come several times, one "
            "that says whose decision it is."
        )
        st.session_state.pop(FOUND, None)
        return
    content = file.getvalue()
    names = names_of(content)
    with st.form("fairness-columns"):
        attributes = st.multiselect("Protected attributes", names)
        treated = st.selectbox(
            "Treatment", names, index=names.index("treated") if "treated" in names else 0
        )
        action = st.text_input(
            "Action that counts as treatment", help="Empty: the column says 0 or 1"
        )
        unit = st.selectbox(
            "Whose decision it is", names, index=None, placeholder="every row another's"
        )
        pressed = st.form_submit_button("Compare", type="primary", icon=":material/balance:")
    if pressed:
        st.session_state.pop(FOUND, None)
        with held(content, LIMITS) as path, st.spinner("Comparing …"):
            st.session_state[FOUND] = fairness_of_file(
                path, attributes, treated=treated, action=action.strip() or None, unit=unit
            )
    for one in st.session_state.get(FOUND, ()):
        fairness_found.draw(one, one.attribute)
