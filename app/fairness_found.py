"""One attribute's treatment rates on a page: the verdict, the rates with intervals, why."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, errors, words
from ppo_marketing.fairness import FOUR_FIFTHS, AttributeFairness, GroupTreatment

TELL = {"passes": st.success, "fails": st.error, "too few to say": st.warning}
SAID = {
    "passes": "nobody is treated at less than four fifths of the rate of the group treated most",
    "fails": "a group is treated at less than four fifths of the rate of the group treated most",
    "too few to say": "there are too few people to say",
}


def draw(found: AttributeFairness, label: str, log: AttributeFairness | None = None) -> None:
    """The verdict and the rates of every group; `log`: how often the log treated the same."""
    st.subheader(errors.as_text(label), anchor=False)
    TELL[found.verdict](f"By {errors.as_text(label)}, {SAID[found.verdict]}.")
    logged = {} if log is None else {row.group: row for row in log.groups}
    rows = [_row(row, "policy" if log is not None or row.group != found.best else "logging")
            for row in found.groups]  # fmt: skip
    rows += [_row(row, "logging") for row in logged.values()]
    table = pd.DataFrame(
        {
            "group": row.group,
            "people": words.number(row.units),
            "treated": words.share(row.rate),
            "95 %": f"{words.share(row.rate_bounds.low)} to {words.share(row.rate_bounds.high)}",
            **({"in the log": words.share(logged[row.group].rate)} if row.group in logged else {}),
            "of the best": "–" if row.ratio is None else words.number(row.ratio, 2),
            "gap": "–" if row.gap is None else words.share(row.gap, signed=True),
            "verdict": row.verdict,
        }
        for row in found.groups
    )
    colours = "; blue is the policy, pink the log" if log is not None else ""
    charts.show(
        charts.intervals(pd.DataFrame(rows), "group", "share treated"),
        table.set_index("group"),
        alt=f"Share treated by {label}, with 95 % intervals; a rate below {FOUR_FIFTHS:g} of the "
        f"highest fails{colours}",
    )
    for reason in found.reasons:
        st.caption(errors.as_text(reason))


def _row(row: GroupTreatment, kind: str) -> dict[str, object]:
    return {
        "group": row.group,
        "kind": kind,
        "value": row.rate,
        "low": row.rate_bounds.low,
        "high": row.rate_bounds.high,
    }
