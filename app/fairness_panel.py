"""Who is treated how often: treatment rates by protected group, from a table of decisions."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, errors, words
from app.uploaded import LIMITS, held, names_of
from ppo_marketing.fairness import FOUR_FIFTHS, AttributeFairness
from ppo_marketing.fairness_file import fairness_of_file
from ppo_marketing.uploads import MEGABYTE

FOUND = "fairness-found"
TELL = {"passes": st.success, "fails": st.error, "too few to say": st.warning}
SAID = {
    "passes": "nobody is treated at less than four fifths of the rate of the group treated most",
    "fails": "a group is treated at less than four fifths of the rate of the group treated most",
    "too few to say": "there are too few people to say",
}


def draw() -> None:
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
        _attribute(one)


def _attribute(found: AttributeFairness) -> None:
    st.subheader(errors.as_text(found.attribute), anchor=False)
    TELL[found.verdict](f"By {errors.as_text(found.attribute)}, {SAID[found.verdict]}.")
    frame = pd.DataFrame(
        {
            "group": row.group,
            "kind": "logging" if row.group == found.best else "policy",
            "value": row.rate,
            "low": row.rate_bounds.low,
            "high": row.rate_bounds.high,
        }
        for row in found.groups
    )
    table = pd.DataFrame(
        {
            "group": row.group,
            "people": words.number(row.units),
            "treated": words.share(row.rate),
            "95 %": f"{words.share(row.rate_bounds.low)} to {words.share(row.rate_bounds.high)}",
            "of the best": "–" if row.ratio is None else words.number(row.ratio, 2),
            "gap": "–" if row.gap is None else words.share(row.gap, signed=True),
            "verdict": row.verdict,
        }
        for row in found.groups
    )
    charts.show(
        charts.intervals(frame, "group", "share treated"),
        table.set_index("group"),
        alt=f"Share treated by {found.attribute}, with 95 % intervals; a rate below "
        f"{FOUR_FIFTHS:g} of the highest fails",
    )
    for reason in found.reasons:
        st.caption(errors.as_text(reason))
