"""Money: what more or less would bring, where the next goes, targets; then one budget shared."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import allocation_panel, asked, charts, errors, layout, what_if_pictures, words
from envs.core.decision import Decision
from envs.core.scenario import knobs_of
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.what_if.allocation import campaign, next_money
from ppo_marketing.what_if.curve import Curve
from ppo_marketing.what_if.scenarios import Named
from ppo_marketing.what_if.target import Limit, Measure, Target, largest_within

CPA, ROAS = "cost per additional event", "value per unit of spend"
MEASURES: dict[str, Measure] = {CPA: "cpa", ROAS: "roas"}


def draw(
    card: Decision, run: KeptRun, scenarios: Sequence[Named], episodes: int, currency: str
) -> None:
    """The curve of every scenario, and what follows from them."""
    assert card.spend_kpi is not None
    assert card.spend_knob is not None
    curves = [asked.curve(run, scenario, episodes) for scenario in scenarios]
    frame = what_if_pictures.curve_frame(curves)
    spend, value = words.kpi_named(card, card.spend_kpi), words.value_kpi(card)
    unit = words.short(currency)
    knob = knobs_of(card.scenario_type)[card.spend_knob]
    st.subheader("What more or less money would bring", anchor=False)
    charts.show(
        what_if_pictures.curve_chart(
            frame, curves, f"{spend.label} a {card.episode}, {unit}",
            f"{value.label} a {card.episode}, {unit}",
        ),
        frame,
        alt=f"{value.label} against {spend.label.lower()} as “{knob.label}” is varied; diamonds "
        "mark where each scenario stands, bands are 95 % intervals. Nothing is known beyond the "
        "last point",
    )  # fmt: skip
    worth = 0.0 if card.value_after_spend else 1.0
    st.subheader("What the next unit of money brings", anchor=False)
    marginal = frame[["scenario", "spend", "of the next unit"]].dropna()
    kind = "value left after spend" if card.value_after_spend else "value for what is spent"
    charts.show(
        what_if_pictures.marginal_chart(frame, f"{spend.label} a {card.episode}, {unit}", worth),
        marginal,
        alt=f"Marginal return, {kind}: it falls as more is spent; the dashed line is where the "
        "next unit just breaks even",
    )
    _next(card, curves, worth, currency)
    _target(card, curves, currency)
    allocation_panel.draw(card, run, scenarios, curves, episodes, currency)


def _next(card: Decision, curves: Sequence[Curve], worth: float, currency: str) -> None:
    st.subheader(
        "Where does the next money go?",
        anchor=False,
        help="Each scenario is taken as a campaign of its own; whoever makes most of the next unit "
        "of money gets it. Curves are made to have falling returns first.",
    )
    usual = round(0.1 * max(curve.now for curve in curves), 2) or 0.01
    amount = st.number_input(
        f"The next …, {words.short(currency)} a {card.episode}",
        min_value=0.01,
        value=float(usual),
        step=float(usual),
        key="what_if_next",
    )
    went = next_money([campaign(curve) for curve in curves], amount, worth=worth)
    layout.cards(
        [
            layout.Card(
                label=name,
                value=words.money(spend, currency, signed=True),
                interval=f"{words.money(gain, currency, signed=True)} of value"
                if spend > 0
                else "none of it",
                help="Value gained / spend: "
                + (words.number(gain / spend) if spend > 0 else "nothing is spent"),
            )
            for name, spend, gain in went[:4]
        ]
    )
    left = amount - sum(spend for _, spend, _ in went)
    if left > 0.005 * amount:
        even = "brings nothing more" if card.value_after_spend else "does not earn itself back"
        st.caption(
            f"{words.money(left, currency)} stay: beyond that more {even}, or nothing is known."
        )


def _target(card: Decision, curves: Sequence[Curve], currency: str) -> None:
    event = words.kpi_named(card, card.event_kpi)
    st.subheader(
        "The most within a target",
        anchor=False,
        help="The largest value whose cost per additional event, or value per unit of spend, keeps "
        "to a limit. Additional means beyond doing nothing.",
    )
    label = st.segmented_control("Target", tuple(MEASURES), default=CPA, required=True)
    with st.form(f"what_if_target_{label}", border=True):
        bound = st.number_input(
            "At most" if label == CPA else "At least",
            min_value=1e-6,
            value=_usual(curves[0], MEASURES[label]),
            format="%.4g",
            help=f"{event.label}: {event.definition}",
        )
        asked_for = st.form_submit_button("Search", type="primary")
    if not asked_for:
        return
    rows = []
    for one in curves:
        with errors.kindly():
            found = largest_within(one, Limit(MEASURES[label], bound))
            rows.append(_target_row(one.name, found, currency))
    if rows:
        charts.write(pd.DataFrame(rows).set_index("scenario"))


def _usual(curve: Curve, measure: Measure) -> float:
    """What the first scenario reaches as it stands: a target to start from."""
    reached = Limit(measure, 1.0).reached(curve, curve.now)
    return float(f"{reached:.3g}") if reached is not None and reached > 0 else 1.0


def _target_row(name: str, found: Target, currency: str) -> dict[str, str]:
    return {
        "scenario": name,
        "spend": words.money(found.spend, currency),
        "value": words.money(found.value, currency),
        "reached": words.number(found.reached),
        "set the knob to": f"x {words.number(found.factor)}",
        "": "the target binds" if found.binds else "more is not worth spending",
    }
