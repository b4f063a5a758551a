"""What alignment did: both scores against the distance, and the audit of its texts."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from app import charts, content_project, errors, layout, words
from app.layout import Card
from ppo_marketing.content.curve import Curve
from ppo_marketing.content.places import Found

DISTANCE, SCORE = "√ of the KL from the reference, nats", "score, deviations of the reference"
PROXY, HELD_OUT, GOLD = "the score that PPO followed", "held-out score", "gold"
FIT = "fitted form"


def draw(found: Found) -> None:
    """The newest alignment, or the one chosen."""
    if not found.alignments:
        st.info(
            "No model was aligned yet. Align one with `ppo-marketing content ppo --model FOLDER "
            "--prompts FILE --reward FOLDER --rules reward.yaml -o data/content/NAME/ppo`."
        )
        return
    place = content_project.chosen(found.alignments, "Alignment", "content-alignment")
    curve = content_project.curve(place)
    st.markdown(errors.as_text(curve.sentence))
    _cards(curve)
    frame = _frame(curve)
    charts.show(
        _picture(frame),
        frame.round(3),
        alt=f"{SCORE} against {DISTANCE}: {', '.join(dict.fromkeys(frame['line']))}",
    )
    _audit(curve)


def _cards(curve: Curve) -> None:
    last = curve.proxy[-1]
    fit = curve.fit
    layout.cards(
        [
            Card(
                "Kept", f"update {curve.kept_update}", f"of {len(curve.proxy)}",
                "The update whose model is kept: the best by the held-out score, else the last. "
                "Gold chooses nothing, so that it stays true.",
            ),
            Card(
                "Distance", f"{words.number(last.distance**2, 2)} nats", "of the last update",
                "How far the model has moved from its reference, nats a text (KL).",
            ),
            Card(
                "Turns at",
                "–" if curve.peak_nats is None else f"{words.number(curve.peak_nats, 1)} nats",
                "within what was seen",
                "Where Gao et al.'s form d (α − β log d), d = √KL, is highest: beyond it, more "
                "optimisation loses.",
            ),
            Card(
                "Fit", "–" if fit is None else words.number(fit.r_squared, 2), "R²",
                "How much of gold's movement, or the held-out score's, the form explains.",
            ),
        ]
    )  # fmt: skip


def _picture(frame: pd.DataFrame) -> alt.LayerChart:
    """Dots of what was seen, a line of what was fitted to it."""
    plain = frame.set_axis(["x", "y", "line"], axis=1)
    names = [name for name in (PROXY, HELD_OUT, GOLD, FIT) if name in set(plain["line"])]
    legend = alt.Legend(orient="top", title=None, labelLimit=300)
    base = alt.Chart(plain).encode(
        x=alt.X("x:Q", title=DISTANCE),
        y=alt.Y("y:Q", title=SCORE, scale=alt.Scale(zero=False)),
        color=alt.Color("line:N", scale=charts.scale(names), sort=names, legend=legend),
    )
    dots = base.transform_filter(alt.datum.line != FIT).mark_point(filled=True, size=60, opacity=1)
    shape = alt.Shape("line:N", scale=alt.Scale(domain=names), sort=names, legend=legend)
    line = base.transform_filter(alt.datum.line == FIT).mark_line(strokeWidth=2)
    layered: alt.LayerChart = (
        dots.encode(
            shape=shape,
            tooltip=[
                alt.Tooltip("line:N", title="line"),
                alt.Tooltip("x:Q", title=DISTANCE, format=".3~g"),
                alt.Tooltip("y:Q", title=SCORE, format=".3~g"),
            ],
        )
        + line
    ).properties(height=300)
    return layered


def _frame(curve: Curve) -> pd.DataFrame:
    rows = [(point.distance, point.score, PROXY) for point in curve.proxy]
    rows += [(point.distance, point.score, HELD_OUT) for point in curve.held_out]
    rows += [(point.distance, point.score, GOLD) for point in curve.gold]
    rows += [(distance, score, FIT) for distance, score in curve.fitted]
    return pd.DataFrame(rows, columns=[DISTANCE, SCORE, "line"]).sort_values(
        ["line", DISTANCE], kind="stable"
    )


def _audit(curve: Curve) -> None:
    st.subheader("What happened to the texts", anchor=False)
    st.caption(
        "An audit of what happened, no warning of what may: by the time that a sign shows, the "
        "texts have usually become worse already."
    )
    charts.write(
        pd.DataFrame(
            {
                "sign": sign.name,
                "reference": words.number(sign.reference, 2),
                "aligned": words.number(sign.aligned, 2),
                "moved much": "yes" if sign.marked else "no",
            }
            for sign in curve.audit
        ).set_index("sign")
    )
