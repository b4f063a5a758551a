"""Charts in one colour-blind-safe palette, each shown with its values in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from app import errors

# Okabe and Ito 2008, in an order that neighbours are told apart by, on white and on black.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F")
ROLES: Mapping[str, str] = {
    "policy": "#0072B2",
    "rule": "#E69F00",
    "logging": "#CC79A7",
    "untrained": "#56B4E9",
    "rival": "#D55E00",
    "ceiling": "#009E73",
    "floor": "#7F7F7F",
    "champion": "#009E73",
}
"""The colour of each kind of actor, the same on every page."""

OBSERVED, SIMULATED = "observed", "simulated"
MOST_PLAIN_ROWS = 120
"""A table up to this length is written out whole, so that a screen reader reads all of it."""

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart


def show(chart: Chart, table: pd.DataFrame | Mapping[str, Sequence[Any]], alt: str) -> None:
    """A chart as wide as its place, `alt` in words below it, and its values in a table."""
    st.altair_chart(chart, width="stretch", alt=alt)
    st.caption(errors.as_text(alt))
    values = table if isinstance(table, pd.DataFrame) else pd.DataFrame(dict(table))
    with st.expander("The values as a table"):
        if len(values) <= MOST_PLAIN_ROWS:
            write(values)
        else:
            st.dataframe(values, width="stretch", hide_index=True)


def write(values: pd.DataFrame) -> None:
    """A table that shows its text as it is written, headings too."""
    st.table(values.map(_as_written).rename(index=_as_written, columns=_as_written))


def scale(names: Sequence[str]) -> alt.Scale:
    """The palette for these names, in their order."""
    return alt.Scale(
        domain=list(names), range=[PALETTE[i % len(PALETTE)] for i in range(len(names))]
    )


def lines(
    frame: pd.DataFrame, x: str, y: str, series: str, *, height: int = 280, points: bool = False
) -> alt.Chart:
    """One line a value of the column `series`; dashes tell them apart without colour as well."""
    plain = _plain(frame, x=x, y=y, series=series)
    names = list(dict.fromkeys(plain["series"]))
    chart: alt.Chart = (
        alt.Chart(plain)
        .mark_line(point=points, strokeWidth=2)
        .encode(
            x=alt.X("x", type="quantitative" if _is_number(plain["x"]) else "temporal", title=x),
            y=alt.Y("y:Q", scale=alt.Scale(zero=False), title=y),
            color=alt.Color("series:N", scale=scale(names), sort=names, legend=_legend()),
            strokeDash=alt.StrokeDash("series:N", sort=names, legend=_legend()),
            tooltip=[
                alt.Tooltip("x", title=x),
                alt.Tooltip("series:N", title=series),
                alt.Tooltip("y:Q", title=y, format=",.4~g"),
            ],
        )
        .properties(height=height)
    )
    return chart


def bands(
    frame: pd.DataFrame, x: str, y: str, series: str, low: str, high: str, *, height: int = 320
) -> alt.LayerChart:
    """As `lines`, with the spread between the columns `low` and `high` around each."""
    plain = _plain(frame, x=x, y=y, series=series, low=low, high=high)
    names = list(dict.fromkeys(plain["series"]))
    base = alt.Chart(plain).encode(
        x=alt.X("x:Q", title=x),
        color=alt.Color("series:N", scale=scale(names), sort=names, legend=_legend()),
    )
    spread = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=y), y2="high:Q")
    middle = base.mark_line(strokeWidth=2.5, point=True).encode(
        y=alt.Y("y:Q", title=y),
        strokeDash=alt.StrokeDash("series:N", sort=names, legend=_legend()),
        tooltip=[
            alt.Tooltip("series:N", title=series),
            alt.Tooltip("x:Q", title=x, format=","),
            *(
                alt.Tooltip(f"{part}:Q", title=title, format=",.4~g")
                for part, title in (("y", y), ("low", low), ("high", high))
            ),
        ],
    )
    layered: alt.LayerChart = (spread + middle).properties(height=height)
    return layered


def bars(frame: pd.DataFrame, x: str, y: str, *, height: int = 220) -> alt.Chart:
    """One bar a row, in the order of the frame."""
    chart: alt.Chart = (
        alt.Chart(_plain(frame, x=x, y=y))
        .mark_bar(color=PALETTE[0])
        .encode(
            x=alt.X("x:N", sort=None, title=x, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("y:Q", title=y),
            tooltip=[
                alt.Tooltip("x:N", title=x),
                alt.Tooltip("y:Q", title=y, format=",.4~g"),
            ],
        )
        .properties(height=height)
    )
    return chart


def intervals(frame: pd.DataFrame, name: str, unit: str) -> alt.LayerChart:
    """One dot with its interval a row; columns: `name`, value, low, high, kind."""
    plain = _plain(frame, name=name, value="value", low="low", high="high", kind="kind")
    kinds = list(dict.fromkeys(plain["kind"]))
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[ROLES.get(kind, PALETTE[-1]) for kind in kinds]),
        legend=None,
    )
    axis = alt.Axis(labelLimit=190, labelOverlap=False)
    base = alt.Chart(plain).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=axis), color=colour
    )
    told = [
        alt.Tooltip("name:N", title=name),
        *(alt.Tooltip(f"{part}:Q", format=",.4~g") for part in ("value", "low", "high")),
    ]
    reach = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title=unit, scale=alt.Scale(zero=False)), x2="high:Q", tooltip=told
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x="value:Q", tooltip=told)
    layered: alt.LayerChart = (reach + dots).properties(height=70 + 34 * len(plain))
    return layered


def _plain(frame: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """The columns under names that Vega cannot take for an expression: labels are from data."""
    return pd.DataFrame({plain: frame[column] for plain, column in columns.items()})


def parts(
    frame: pd.DataFrame, x: str, y: str, part: str, names: Sequence[str], *, height: int = 200
) -> alt.Chart:
    """One bar a day, coloured by its part; the last of the names is greyed."""
    colours = [*PALETTE[: len(names) - 1], PALETTE[-1]]
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(f"yearmonthdate({x})", type="ordinal", title=None,
                    axis=alt.Axis(format="%d %b", labelAngle=0, labelOverlap=True)),
            y=alt.Y(y, type="quantitative"),
            color=alt.Color(
                part, type="nominal", legend=_legend(),
                scale=alt.Scale(domain=list(names), range=colours),
            ),
            tooltip=[alt.Tooltip(x, type="temporal", format="%d %b %Y"), part,
                     alt.Tooltip(y, format=",")],
        )
        .properties(height=height)
    )  # fmt: skip
    return chart


def _as_written(cell: Any) -> Any:
    """A cell as it is: tables read Markdown, and a name from a log must not become a picture."""
    return errors.as_text(cell) if isinstance(cell, str) else cell


def _legend() -> alt.Legend:
    # Symbols are as strong as the lines, where a pale spread is drawn in the same colour.
    return alt.Legend(orient="top", title=None, labelLimit=300, symbolOpacity=1)


def _is_number(column: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))
