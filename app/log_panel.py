"""What the held-out log itself says of a policy, by whichever way its decision allows."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, errors, findings, layout, words
from app.layout import Card
from envs.core.decision import Decision
from ppo_marketing.gate import LogLift
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.log_word import LogWord
from ppo_marketing.maturity import sentence
from ppo_marketing.ope.battery import OffPolicyReport
from ppo_marketing.ope.lift import Lift
from ppo_marketing.report_off_policy import diagnostics

CHECKED = "judged on"
PARTS = {"taught": "taught", "judged": CHECKED}
NOT_YET = "not complete"


def draw(card: Decision, run: KeptRun, lift: LogLift | None, currency: str) -> None:
    """The lift by the log alone, as it was judged; opened, what it rests on."""
    st.subheader(
        "What the log itself says",
        help="Without any simulator: held-out decisions, what was done and what came of it.",
        anchor=False,
    )
    if lift is None:
        st.info("The log does not hold what its own policy did, so that it cannot compare.")
        return
    _lift(lift, currency)
    # Resampling a log takes seconds: the details are worked out for whoever opens them.
    details = st.expander("How the log comes to say so", key="log-details", on_change="rerun")
    if not details.open:
        return
    with details:
        word = findings.word(run)
        if word.rows is not None:
            _rows(word.rows, currency)
        elif word.sequences is not None:
            _sequences(word.sequences, currency)
        elif word.gains is not None:
            _gains(card, word, currency)


def _lift(lift: LogLift, currency: str) -> None:
    at_least = "the log cannot say" if lift.low is None else words.money(
        lift.low, currency, signed=True
    )  # fmt: skip
    layout.cards(
        [
            Card(
                f"Lift a {lift.unit}",
                words.money(lift.value, currency, signed=True),
                errors.as_text(lift.method),
                help="What the policy would have earned beyond what was done, by the log alone.",
            ),
            Card(
                "At least",
                at_least,
                "with 95 % confidence",
                help="The lower bound: above 0, the log shows that the policy is better.",
            ),
            Card(
                "Effective size",
                words.number(lift.effective_n, 0),
                f"independent {lift.unit}s of equal weight that this rests on",
                help="The effective sample size: unequal weights count as fewer.",
            ),
        ]
    )
    for reason in lift.cannot:
        st.warning(errors.as_text(reason), icon=":material/help:")


def _rows(report: OffPolicyReport, currency: str) -> None:
    rows = [*report.estimates, report.logging]
    frame = pd.DataFrame(
        {
            "estimator": "the log's own policy" if row is report.logging else row.name,
            "kind": "logging" if row is report.logging else "policy",
            "value": row.value,
            "low": row.value if row.bootstrap is None else row.bootstrap.low,
            "high": row.value if row.bootstrap is None else row.bootstrap.high,
            "rests on": row.family,
        }
        for row in rows
    )
    charts.show(
        charts.intervals(frame, "estimator", f"value a decision, {words.short(currency)}"),
        frame.drop(columns="kind"),
        alt="Every estimator of the policy's value beside the log's own; when those that rest on "
        "different things agree, the value does not hang on one assumption",
    )
    st.markdown("**How much of the log speaks of it**")
    table = pd.DataFrame(diagnostics(report), columns=["", "found", "what it means"])
    st.table(table.set_index(""))
    for line in (*report.refusals, *report.warnings):
        st.warning(errors.as_text(line), icon=":material/visibility:")


def _sequences(found: Lift, currency: str) -> None:
    frame = pd.DataFrame(
        {"who": who, "kind": kind, "value": one.value, "low": one.low, "high": one.high}
        for who, kind, one in (
            ("this policy", "policy", found.target),
            ("the log's own policy", "logging", found.logging),
            ("difference", "rule", found.lift),
        )
    )
    charts.show(
        charts.intervals(frame, "who", f"value a unit, {words.short(currency)}; 90 % intervals"),
        frame.drop(columns="kind"),
        alt=f"By fitted Q evaluation between cells, over {words.number(found.units)} units drawn "
        "whole: the policy beside the log's own",
    )
    steps = pd.DataFrame(
        {
            "step": [str(step + 1) for step in range(len(found.effective_trajectories))],
            "histories": found.effective_trajectories,
        }
    )
    charts.show(
        charts.bars(steps, "step", "histories"),
        steps,
        alt="Logged histories of equal weight that still do what the policy does, by step: where "
        "few are left, their weights say nothing, and values are carried from cell to cell instead",
    )
    worst = float(found.support.by_step.max())
    st.caption(
        f"In its worst step {words.share(worst)} of what it does is hardly in the log; above 20 % "
        "nothing is concluded."
    )


def _gains(card: Decision, word: LogWord, currency: str) -> None:
    assert word.gains is not None
    frame = pd.DataFrame(
        {
            card.episode: [str(number + 1) for number in range(len(word.gains))],
            "gain": word.gains,
        }
    )
    charts.show(
        charts.bars(frame, card.episode, "gain"),
        frame,
        alt=f"Held-out {card.episode}s played again as they were: what the policy earns in each "
        f"beyond what was done, {words.short(currency)}",
    )


def draw_days(card: Decision, run: KeptRun) -> None:
    """The days of the log: what taught, what judges, what is not complete yet."""
    st.subheader(
        "Which days this rests on",
        help="What a day's decisions came to is known only after the attribution window; younger "
        "days look worse than they are.",
        anchor=False,
    )
    days = findings.days(run)
    if not days:
        st.caption("This run does not keep the days of its log.")
        return
    frame = pd.DataFrame(
        {
            "day": pd.Timestamp(day.day),
            "rows": day.rows,
            "part": PARTS[day.part] if day.mature else NOT_YET,
        }
        for day in days
    )
    shown = frame.assign(day=[words.day(day.day) for day in days])
    charts.show(
        charts.parts(frame, "day", "rows", "part", (*PARTS.values(), NOT_YET)),
        shown,
        alt=f"Rows a day: {sentence(days, card.attribution_days)}",
    )
