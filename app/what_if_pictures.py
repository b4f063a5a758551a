"""The pictures and tables of what-ifs, each made of the engine's answers."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from app import charts, words
from envs.core.decision import Decision
from ppo_marketing.what_if.answers import Answer
from ppo_marketing.what_if.curve import Curve
from ppo_marketing.what_if.fan import Fan

_LEGEND = alt.Legend(orient="top", title=None, labelLimit=300, symbolOpacity=1, symbolStrokeWidth=2)


def change_frame(answers: Sequence[Answer]) -> pd.DataFrame:
    """One row a scenario that is compared with the first."""
    changes = [(answer.scenario.name, answer.change) for answer in answers]
    return pd.DataFrame(
        {"scenario": name, "value": c.value, "low": c.low, "high": c.high, "kind": "policy"}
        for name, c in changes
        if c is not None
    )


def kpi_table(card: Decision, answers: Sequence[Answer], currency: str) -> pd.DataFrame:
    """KPIs and ratios down, scenarios across."""
    rows = {}
    for kpi in card.kpis:
        rows[kpi.label] = [
            words.amount(answer.kpis[kpi.name].value, kpi.unit, currency) for answer in answers
        ]
    for ratio in card.ratios:
        rows[ratio.label] = [
            words.amount(answer.ratios[ratio.label], ratio.unit, currency) for answer in answers
        ]
    names = [answer.scenario.name for answer in answers]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def beside_table(answers: Sequence[Answer], currency: str) -> pd.DataFrame:
    """What others would earn, and how far the policy is ahead (95 % interval, paired)."""
    rows: dict[str, list[str]] = {}
    for name in answers[0].beside:
        cells = []
        for answer in answers:
            one = answer.beside[name]
            ahead = words.money(one.lift.value, currency, signed=True)
            low, high = (words.number(end, signed=True) for end in (one.lift.low, one.lift.high))
            cells.append(
                f"{words.money(one.value.value, currency)} (policy {ahead}; 95 %: {low} to {high})"
            )
        rows[name] = cells
    names = [answer.scenario.name for answer in answers]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def fan_frame(fans: Sequence[Fan]) -> pd.DataFrame:
    """One row a scenario and place along its course."""
    parts = [
        pd.DataFrame(
            {"scenario": fan.scenario.name, "x": fan.x, "5 %": fan.bands[0], "25 %": fan.bands[1],
             "median": fan.bands[2], "75 %": fan.bands[3], "95 %": fan.bands[4]}
        )
        for fan in fans
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def fan_chart(frame: pd.DataFrame, x_title: str, y_title: str) -> charts.Chart:
    """A line with half and 90 % of the paths around it, a scenario a colour."""
    names = list(dict.fromkeys(frame["scenario"]))
    colour = alt.Color("scenario:N", scale=charts.scale(names), legend=_LEGEND)
    x = alt.X("x:Q", title=x_title)
    base = alt.Chart(frame).encode(x=x, color=colour)
    told = ["scenario", "x", *(alt.Tooltip(n, format=",.3~g") for n in ("5 %", "median", "95 %"))]
    wide = base.mark_area(opacity=0.12).encode(y=alt.Y("5 %:Q", title=y_title), y2="95 %:Q")
    half = base.mark_area(opacity=0.22).encode(y=alt.Y("25 %:Q", title=y_title), y2="75 %:Q")
    middle = base.mark_line(strokeWidth=2.5).encode(
        y=alt.Y("median:Q", title=y_title),
        strokeDash=alt.StrokeDash("scenario:N", sort=names, legend=None),
        tooltip=told,
    )
    return alt.layer(wide, half, middle).properties(height=380)


def curve_frame(curves: Sequence[Curve]) -> pd.DataFrame:
    """One row a scenario and amount of money."""
    parts = [
        pd.DataFrame(
            {"scenario": curve.name, "spend": curve.spend, "value": curve.value,
             "low": curve.low, "high": curve.high,
             "of the next unit": [*curve.marginal.tolist(), np.nan]}
        )
        for curve in curves
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def curve_chart(
    frame: pd.DataFrame, curves: Sequence[Curve], spend: str, value: str
) -> charts.Chart:
    """Value against spend with its interval, and a dot where each scenario stands."""
    names = [curve.name for curve in curves]
    colour = alt.Color("scenario:N", scale=charts.scale(names), legend=_LEGEND)
    base = alt.Chart(frame).encode(x=alt.X("spend:Q", title=spend), color=colour)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=value), y2="high:Q")
    numbers = ("spend", "value", "low", "high", "of the next unit")
    told = ["scenario", *(alt.Tooltip(name, format=",.4~g") for name in numbers)]
    line = base.mark_line(strokeWidth=2.5, point=True).encode(
        y=alt.Y("value:Q", title=value),
        strokeDash=alt.StrokeDash("scenario:N", sort=names, legend=None),
        tooltip=told,
    )
    now = pd.DataFrame(
        {"scenario": curve.name, "spend": curve.now, "value": curve.value_at(curve.now)}
        for curve in curves
    )
    dots = (
        alt.Chart(now)
        .mark_point(size=170, filled=True, shape="diamond", opacity=1)
        .encode(x="spend:Q", y="value:Q", color=colour, tooltip=["scenario", "spend", "value"])
    )
    return alt.layer(band, line, dots).properties(height=340)


def marginal_chart(frame: pd.DataFrame, spend: str, worth: float) -> charts.Chart:
    """What the next unit of money brings at each spend; the line is where it breaks even."""
    known = frame.dropna(subset=["of the next unit"])
    names = list(dict.fromkeys(known["scenario"]))
    title = "value of the next unit"
    steps = (
        alt.Chart(known)
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=alt.X("spend:Q", title=spend),
            y=alt.Y("of the next unit:Q", title=title),
            color=alt.Color("scenario:N", scale=charts.scale(names), legend=_LEGEND),
            strokeDash=alt.StrokeDash("scenario:N", sort=names, legend=None),
            tooltip=["scenario", *(alt.Tooltip(n, format=",.4~g") for n in ("spend",
                                                                            "of the next unit"))],
        )
    )  # fmt: skip
    even = (
        alt.Chart(pd.DataFrame({"worth": [worth]}))
        .mark_rule(strokeDash=[4, 4], color=charts.PALETTE[-1])
        .encode(y="worth:Q")
    )
    return alt.layer(even, steps).properties(height=220)
