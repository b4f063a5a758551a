"""A log in pictures: volume over time, spreads of its columns, how far it has moved."""

from __future__ import annotations

from typing import Literal

import altair as alt
import pandas as pd
import streamlit as st

from app import charts, errors, words
from ppo_marketing.log_summary import LogSummary, Spread, moved
from ppo_marketing.retraining.shift import Shift

BESIDE = 3
"""Pictures of columns in a row."""

SHIFT_WORDS = {
    Shift.NONE: "as before",
    Shift.MONITOR: "has moved: watch it",
    Shift.ALERT: "has moved much",
}


def volume(summary: LogSummary) -> None:
    """Rows a day."""
    st.subheader("Volume over time", anchor=False)
    frame = pd.DataFrame({"day": pd.Timestamp(day), "rows": rows} for day, rows in summary.volume)
    chart = (
        alt.Chart(frame)
        .mark_area(line={"color": charts.PALETTE[0]}, color=charts.PALETTE[4], opacity=0.35)
        .encode(
            x=alt.X("day:T", title=None),
            y=alt.Y("rows:Q", title="rows a day"),
            tooltip=["day:T", "rows:Q"],
        )
        .properties(height=180)
    )
    least, most = frame["rows"].min(), frame["rows"].max()
    charts.show(
        chart,
        pd.DataFrame(
            {"day": [words.day(day) for day, _ in summary.volume], "rows": list(frame["rows"])}
        ),
        alt=f"Rows a day: from {words.number(least)} to {words.number(most)}",
    )


def drift(reference: LogSummary, current: LogSummary, run: str) -> None:
    """How far each column has moved since the run's log."""
    st.subheader(f"What has moved since the run {run}", anchor=False)
    found = moved(reference, current)
    worst = SHIFT_WORDS[found.shift]
    st.write(f"All in all the log {worst}." if found.columns else "The two logs share no column.")
    if found.columns:
        st.table(
            pd.DataFrame(
                {
                    "column": column.column,
                    "PSI": words.number(column.psi, 3),
                    "by chance up to": words.number(column.psi_by_chance, 3),
                    "KS": words.number(column.ks, 3),
                    "verdict": SHIFT_WORDS[column.shift],
                }
                for column in found.columns
            )
        )


def spreads(summary: LogSummary) -> None:
    """One small picture a column."""
    st.subheader("What is in it", anchor=False)
    for first in range(0, len(summary.spreads), BESIDE):
        row = summary.spreads[first : first + BESIDE]
        for column, spread in zip(st.columns(BESIDE), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                st.markdown(f"**{errors.as_text(spread.column)}**")
                _spread(spread)


def _spread(spread: Spread) -> None:
    empty = f"; {words.share(spread.empty)} empty" if spread.empty else ""
    if not spread.places:
        st.caption(f"no value at all{empty}")
        return
    title = spread.unit if spread.numeric else "level"
    frame = pd.DataFrame({"x": list(spread.places), "share": list(spread.shares)})
    most = spread.places[spread.shares.index(max(spread.shares))]
    told = words.number(most) if isinstance(most, float) else most
    kind: Literal["quantitative", "nominal"] = "quantitative" if spread.numeric else "nominal"
    chart = (
        alt.Chart(frame)
        .mark_bar(color=charts.PALETTE[0])
        .encode(
            x=alt.X("x", type=kind, sort=None, title=title, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", axis=alt.Axis(format="%"), title=None),
            tooltip=["x", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=140)
    )
    charts.show(chart, frame.rename(columns={"x": title}), alt=f"most often {told}{empty}")
