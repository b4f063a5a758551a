"""The challenger against the champion: what changes, for whom, how much money moves."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from app import charts, errors, findings, layout, words
from app.layout import Card
from envs.core.decision import Decision
from ppo_marketing.drift import AS_BEFORE, EVERYONE, Distance, Drift
from ppo_marketing.jobs.challenging import Challenge
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.release_state import ReleaseState
from ppo_marketing.report_run import percent

MOST_FLOWS = 10


def draw(card: Decision, run: KeptRun, state: ReleaseState) -> None:
    """Cards, segments, flows."""
    if state.is_champion:
        st.info("This policy is the champion: nothing would change.")
        return
    if state.champion is None:
        st.info(
            "There is no champion to compare with: this would be the first release. Evidence says "
            "what it would earn beyond what is done today."
        )
        return
    found = findings.against_champion(run)
    if found is None:
        st.info("This policy is the champion: nothing would change.")
        return
    _cards(card, found)
    _bounds(found.drift)
    _segments(found.drift)
    _flows(found.drift, found.lift.value.unit)
    for note in found.notes:
        st.caption(errors.as_text(note))


def _cards(card: Decision, found: Challenge) -> None:
    overall, currency = found.drift.overall, found.lift.value.unit
    moved = overall.money_share
    layout.cards(
        [
            Card(
                f"It earns, a {card.episode}",
                words.money(found.lift.value.value, currency, signed=True),
                f"{words.interval(found.lift.value, 'currency', currency)}; P(lift > 0) "
                f"{percent(found.lift.probability)}",
                help=f"Beyond version {found.champion_version}, both in the same simulated "
                f"{card.episode}s of days that the challenger was not trained on.",
            ),
            Card(
                "Decisions that change",
                words.share(overall.changed),
                f"of {words.number(overall.decisions)} that the champion meets",
                help="Shipped actions that differ, in states drawn by the champion's own play.",
            ),
            Card(
                "Money that moves",
                "–" if moved is None else "all of it" if math.isinf(moved) else words.share(moved),
                "these decisions cost nothing"
                if overall.money_change is None
                else f"{words.number(overall.money_change, signed=True)} {words.short(currency)} a "
                "decision, net",
                help="The mean absolute change of what a decision costs, over the champion's own "
                "cost; net, what is spent more or less.",
            ),
        ]
    )


def _bounds(drift: Drift) -> None:
    if drift.within_bounds:
        st.success(
            "It stays within what was agreed to change at once.", icon=":material/check_circle:"
        )
        return
    listed = "\n".join(f"* {errors.as_text(reason)}" for reason in drift.reasons)
    st.warning(f"It changes more at once than was agreed:\n\n{listed}", icon=":material/warning:")


def _segments(drift: Drift) -> None:
    st.subheader(
        "For whom",
        help="KL: how far the challenger's chances lie from the champion's, in nats. Total "
        "variation: the least share of decisions in which draws from the two must differ.",
        anchor=False,
    )
    rows = (drift.overall, *drift.segments)
    frame = pd.DataFrame({"segment": row.segment, "share": row.changed} for row in rows)
    table = pd.DataFrame([_row(row) for row in rows])
    charts.show(
        charts.bars(frame, "segment", "share"),
        table,
        alt="Share of decisions that change, for everyone and by segment",
    )
    if drift.too_few:
        st.caption(f"Too few decisions to judge: {errors.as_text(', '.join(drift.too_few))}")


def _row(row: Distance) -> dict[str, str]:
    return {
        "segment": "everyone" if row.segment == EVERYONE else row.segment,
        "decisions": words.number(row.decisions),
        "of them change": words.share(row.changed),
        "KL": "infinite" if math.isinf(row.mean_kl) else words.number(row.mean_kl, 3),
        "total variation": words.number(row.total_variation, 3),
        "money moved": words.number(row.money_moved),
        "net": words.number(row.money_change, signed=True),
    }


def _flows(drift: Drift, currency: str) -> None:
    moving = [flow for flow in drift.flows if flow.origin != flow.target and flow.share > 0]
    st.subheader("What becomes what", anchor=False)
    if not moving:
        st.write("No decision changes.")
        return
    stays = sum(flow.share for flow in drift.flows if flow.origin == flow.target)
    frame = pd.DataFrame(
        {
            "from": "the champion's amount" if flow.origin == AS_BEFORE else flow.origin,
            "to": flow.target,
            "share of decisions": words.share(flow.share),
            f"money, {words.short(currency)} a decision": words.number(
                flow.money_change, signed=True
            ),
        }
        for flow in moving[:MOST_FLOWS]
    )
    st.dataframe(frame, width="stretch", hide_index=True)
    st.caption(f"{words.share(stays)} of decisions stay as they are.")
