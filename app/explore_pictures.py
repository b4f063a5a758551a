"""The explorer's pictures, each made of an engine's value: a chart and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from app import charts
from envs.core.words import StateVariable, Words
from ppo_marketing.explore.heat_map import HeatMap
from ppo_marketing.explore.importance import Importance
from ppo_marketing.explore.inspector import Option, value_in_words
from ppo_marketing.explore.mix import Mix

OTHER = "all others"
MOST_CHOICES = 6
"""Told apart by colour; what is chosen more rarely is put together."""
FAINT = 0.28
"""Cells that rest on no case of the log."""


def axis_title(variable: StateVariable) -> str:
    """A variable with its unit."""
    return f"{variable.label}, {variable.unit}" if variable.unit else variable.label


def heat_frame(found: HeatMap, words: Words) -> pd.DataFrame:
    """One row a cell."""
    rows, columns = np.meshgrid(
        np.arange(len(found.y_values)), np.arange(len(found.x_values)), indexing="ij"
    )
    frame = pd.DataFrame(
        {
            "x": [_tick(found.x, v) for v in found.x_values[columns.ravel()].tolist()],
            "y": [_tick(found.y, v) for v in found.y_values[rows.ravel()].tolist()],
            "cases": found.met.ravel(),
        }
    )
    if words.action.choices:
        frame["action"] = [words.action.choices[int(a)] for a in found.value.ravel()]
        frame["probability"] = found.certainty.ravel()
    else:
        frame["amount"] = found.value.ravel()
    return frame


def heat_chart(found: HeatMap, words: Words, frame: pd.DataFrame) -> alt.Chart:
    """The action at every pair of values; faint where the log has no case."""
    xs = [_tick(found.x, v) for v in found.x_values.tolist()]
    ys = [_tick(found.y, v) for v in reversed(found.y_values.tolist())]
    frame = frame.assign(shade=np.where(frame["cases"] > 0, 1.0, FAINT))
    tooltip = [
        alt.Tooltip("x", title=axis_title(found.x)),
        alt.Tooltip("y", title=axis_title(found.y)),
        alt.Tooltip("cases", title="cases in the log"),
    ]
    if words.action.choices:
        names = list(frame["action"].value_counts().index)
        colour = alt.Color("action:N", scale=charts.scale(names), legend=_legend(names))
        tooltip += [alt.Tooltip("action"), alt.Tooltip("probability", format=".0%")]
    else:
        colour = _diverging(frame["amount"], words)
        tooltip.append(alt.Tooltip("amount", title=words.action.label, format=".3~g"))
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("x:O", sort=xs, title=axis_title(found.x), axis=_few(xs)),
            y=alt.Y("y:O", sort=ys, title=axis_title(found.y), axis=_few(ys)),
            color=colour,
            opacity=alt.Opacity("shade:Q", scale=None, legend=None),
            tooltip=tooltip,
        )
        .properties(height=400)
    )
    return chart


def _tick(variable: StateVariable, value: float) -> str:
    """A value on an axis whose title has the unit."""
    return value_in_words(variable, value).removesuffix(f" {variable.unit}")


def _diverging(amount: pd.Series, words: Words) -> alt.Color:
    middle = words.action.as_before
    title = f"{words.action.label}, {words.action.unit}"
    legend = alt.Legend(orient="top", title=title, gradientLength=220, titleLimit=300)
    if middle is None:
        return alt.Color("amount:Q", scale=alt.Scale(scheme="viridis"), legend=legend)
    reach = max(abs(float(amount.min()) - middle), abs(float(amount.max()) - middle), 1e-6)
    # Orange below, blue above: told apart with every common kind of colour blindness.
    scale = alt.Scale(
        domain=[middle - reach, middle, middle + reach],
        range=[charts.PALETTE[5], "#BFC7D1", charts.PALETTE[0]],
        interpolate="rgb",
    )
    return alt.Color("amount:Q", scale=scale, legend=legend)


def _few(values: Sequence[str]) -> alt.Axis:
    """At most eight labels, so that they can be read."""
    every = -(-len(values) // 8)
    return alt.Axis(values=list(values)[::every], labelAngle=0, labelOverlap=True)


def _legend(names: Sequence[str]) -> alt.Legend | None:
    return alt.Legend(orient="top", title=None, labelLimit=220, columns=3, values=list(names)[:9])


def mix_frame(mix: Mix, words: Words) -> pd.DataFrame:
    """Choices: one row a group and choice, the rare put together. Amounts: a row a group."""
    if mix.share is None:
        assert mix.quantiles is not None
        low, quarter, middle, three, high = mix.quantiles.T
        return pd.DataFrame(
            {"group": mix.groups, "10 %": low, "25 %": quarter, "median": middle, "75 %": three,
             "90 %": high, "decisions": mix.count}
        )  # fmt: skip
    overall = (mix.share * mix.count[:, None]).sum(axis=0)
    common = [int(a) for a in np.argsort(-overall)[:MOST_CHOICES] if overall[a] > 0]
    rows = []
    for g, group in enumerate(mix.groups):
        rest = 1.0
        for a in common:
            share = float(mix.share[g, a])
            rest -= share
            rows.append((group, words.action.choices[a], share, share * mix.count[g]))
        if rest > 1e-9:
            rows.append((group, OTHER, rest, rest * mix.count[g]))
    frame = pd.DataFrame(rows, columns=["group", "action", "share", "decisions"])
    return frame.assign(decisions=frame["decisions"].round().astype(int))


def mix_chart(mix: Mix, words: Words, frame: pd.DataFrame, title: str) -> charts.Chart:
    """Stacked shares of choices, or the middle and the spread of amounts, group by group."""
    groups = list(mix.groups)
    x = alt.X("group:O", sort=groups, title=title, axis=_few(groups))
    base = alt.Chart(frame).encode(x=x)
    if mix.share is not None:
        names = list(dict.fromkeys(frame["action"]))
        chart: alt.Chart = base.mark_bar().encode(
            y=alt.Y("share:Q", stack="zero", axis=alt.Axis(format="%"), title="share of decisions"),
            color=alt.Color("action:N", scale=charts.scale(names), legend=_legend(names)),
            tooltip=["group", "action", alt.Tooltip("share", format=".1%"), "decisions"],
        )
        return chart.properties(height=300)
    told = ["group", *(alt.Tooltip(n, format=".3~g") for n in ("10 %", "median", "90 %"))]
    unit = f"{words.action.label}, {words.action.unit}"
    scale = alt.Scale(zero=False)
    layers = alt.layer(
        base.mark_bar(size=6, opacity=0.35, color=charts.PALETTE[0]).encode(
            y=alt.Y("10 %:Q", title=unit, scale=scale), y2="90 %:Q", tooltip=told
        ),
        base.mark_bar(size=14, opacity=0.6, color=charts.PALETTE[0]).encode(
            y=alt.Y("25 %:Q", title=unit, scale=scale), y2="75 %:Q", tooltip=told
        ),
        base.mark_tick(size=18, thickness=3, color=charts.PALETTE[1]).encode(
            y=alt.Y("median:Q", title=unit, scale=scale), tooltip=told
        ),
    )
    return layers.properties(height=300)


def importance_frame(found: Sequence[Importance]) -> pd.DataFrame:
    """One row a variable that moves anything."""
    return pd.DataFrame(
        [(one.variable.label, one.change, one.change - 2 * one.error, one.change + 2 * one.error)
         for one in found if one.change > 0],
        columns=["variable", "change", "low", "high"],
    )  # fmt: skip


def importance_chart(frame: pd.DataFrame, unit: str) -> charts.Chart:
    """Bars, most important first, with twice the standard error."""
    order = list(frame["variable"])
    base = alt.Chart(frame).encode(
        y=alt.Y("variable:N", sort=order, title=None, axis=alt.Axis(labelLimit=220))
    )
    bars = base.mark_bar(color=charts.PALETTE[0]).encode(
        x=alt.X("change:Q", title=unit), tooltip=["variable", alt.Tooltip("change", format=".3~g")]
    )
    reach = base.mark_rule(strokeWidth=2, color=charts.PALETTE[1]).encode(x="low:Q", x2="high:Q")
    return alt.layer(bars, reach).properties(height=70 + 26 * len(frame))


def options_chart(options: Sequence[Option]) -> alt.Chart:
    """The likeliest choices in one state."""
    frame = pd.DataFrame(
        [(one.choice, one.probability, one.why_not or "allowed") for one in options],
        columns=["choice", "probability", "allowed"],
    )
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_bar(color=charts.PALETTE[0])
        .encode(
            y=alt.Y("choice:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
            x=alt.X("probability:Q", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            tooltip=["choice", alt.Tooltip("probability", format=".1%"), "allowed"],
        )
    )
    return chart.properties(height=70 + 32 * len(frame))
