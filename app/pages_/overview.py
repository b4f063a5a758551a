"""Overview: what the policy would earn, on data how fresh, released by whom, what needs a look."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from app import access, charts, errors, layout, project, running, session, words
from app.layout import Card
from envs.core.decision import Decision
from ppo_marketing.evaluation import Estimate, Row
from ppo_marketing.freshness import Freshness
from ppo_marketing.jobs import background
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.overview import Overview, overview
from ppo_marketing.roster import Listed, roster

WHO = {
    "floor": "Do nothing",
    "logging": "Today's policy",
    "rule": "Best rule",
    "policy": "This policy",
    "ceiling": "Ceiling",
}
MEANING = {
    "floor": "What is earned where nothing is ever done: the least that any policy must beat.",
    "logging": "The policy that made the decisions of the log.",
    "rule": "The best of the rules that practitioners use, each tuned on history only.",
    "policy": "The policy that was trained here, judged on days that it has not seen.",
    "ceiling": "What perfect knowledge could have earned: no policy can be above it.",
}


def page() -> None:
    """Draw the page."""
    choice = session.chosen()
    seen = overview(project.folder(), choice.decision, choice.run, datetime.now(UTC))
    if seen.evidence is None:
        _nothing_judged(choice.decision, seen)
        return
    assert seen.headline is not None
    currency = seen.evidence.currency
    layout.headline(
        choice.decision.title,
        seen.headline.sentence(lambda amount: words.money(amount, currency)),
    )
    st.caption(choice.decision.question)
    _alerts(seen)
    _who_earns_what(choice.decision, seen, currency)
    left, right = st.columns(2)
    with left:
        _freshness(seen)
    with right:
        _release(seen)
    _roster()
    _last_runs(seen)


def _nothing_judged(card: Decision, seen: Overview) -> None:
    running_now = [job for job in seen.jobs if job.state == "running"]
    if running_now:
        layout.headline(card.title, f"{running_now[0].order.title} …")
        running.watch(running_now[0], curves=True)
        return
    layout.headline(card.title, "Nothing has been trained here yet. Start with one of these.")
    _alerts(seen)
    _roster()
    sample, own = st.columns(2)
    with sample, st.container(border=True, height="stretch"):
        st.subheader("See it work", anchor=False)
        st.write(
            "A log is generated, a simulator is fitted to it, a policy is trained in it and judged "
            "on days that it has not seen. Takes a minute or two; you can watch."
        )
        if st.button("Train on the built-in sample", type="primary", icon=":material/play_arrow:"):
            _start_sample(card)
            st.rerun()
    with own, st.container(border=True, height="stretch"):
        st.subheader("Use your own log", anchor=False)
        st.write(
            "Upload a CSV or Parquet file or choose one that was checked before. Every problem in "
            "it is listed at once, and nothing is kept of a log that has any."
        )
        if st.button("Go to Data", icon=":material/upload_file:"):
            layout.go_to("data")
    if seen.jobs:
        running.watch(seen.jobs[0])


def _start_sample(card: Decision) -> None:
    name = f"sample-{card.name}"
    background.start(
        project.folder(),
        desk=access.desk(),
        title="Training on the built-in sample",
        decision=card.name,
        command="run",
        config={},
        output=runs_folder(project.folder()) / name,
    )
    session.look_at(name)


def _alerts(seen: Overview) -> None:
    for alert in seen.alerts:
        tell, icon = {
            "bad": (st.error, ":material/error:"),
            "look": (st.warning, ":material/visibility:"),
        }[alert.level]
        tell(errors.in_words(RuntimeError(alert.text)), icon=icon)


def _who_earns_what(card: Decision, seen: Overview, currency: str) -> None:
    kpi = words.value_kpi(card)
    st.subheader(f"{kpi.label} a {card.episode}", help=kpi.definition, anchor=False)
    layout.cards([_card(row, currency) for row in seen.rows])
    frame = pd.DataFrame(
        {
            "who": WHO[row.kind] + (f": {row.name}" if row.kind == "rule" else ""),
            "kind": row.kind,
            "value": row.value.value,
            "low": row.value.low,
            "high": row.value.high,
        }
        for row in seen.rows
    )
    best = max(seen.rows, key=lambda row: row.value.value if row.kind != "ceiling" else 0.0)
    unit = f"{kpi.label.lower()} a {card.episode}, {words.short(currency)}"
    charts.show(
        charts.intervals(frame, "who", unit),
        frame.drop(columns="kind"),
        alt=f"{kpi.label} a {card.episode} with 95 % intervals; after the ceiling, "
        f"{WHO[best.kind].lower()} earns the most",
    )


def _card(row: Row, currency: str) -> Card:
    lift = row.policy_lift
    delta = None
    if lift is not None and row.kind != "ceiling":
        delta = f"{words.number(100 * lift.value, 1, signed=True)} points"
    return Card(
        label=WHO[row.kind],
        value=words.money(row.value.value, currency),
        interval=words.interval(row.value, "currency", currency),
        help=MEANING[row.kind]
        + (f" Here: {errors.as_text(row.name)}." if row.kind == "rule" else ""),
        delta=delta,
    )


def _freshness(seen: Overview) -> None:
    with st.container(border=True, height="stretch"):
        st.subheader("The log it learned from", anchor=False)
        fresh = seen.freshness
        if fresh is None:
            st.write("The run does not keep what it learned from.")
            return
        source = "the built-in sample" if fresh.generated else fresh.source
        st.write(f"{words.number(fresh.rows)} rows of {errors.as_text(source)}")
        age = fresh.age(datetime.now(UTC))
        if fresh.first is not None and fresh.last is not None and age is not None:
            st.write(
                f"{words.day(fresh.first)} to {words.day(fresh.last)}: its last row is "
                f"{words.duration(age.total_seconds())} old"
            )
        if st.button("See the data", icon=":material/table_view:"):
            layout.go_to("data")


def _release(seen: Overview) -> None:
    with st.container(border=True, height="stretch"):
        st.subheader("What is released", anchor=False)
        if seen.champion is None:
            st.write("Nothing is released yet: there is no champion.")
        else:
            line = seen.champion.champion
            since = datetime.fromisoformat(seen.champion.since.time)
            st.write(
                f"**Champion:** version {line.to_version}, since {words.time(since)}, by "
                f"{errors.as_text(line.approver)}"
            )
        if seen.challenger is not None:
            line = seen.challenger
            on = words.time(datetime.fromisoformat(line.time))
            st.write(
                f"**Challenger:** version {line.to_version}, approved by "
                f"{errors.as_text(line.approver)} on {on}"
            )


def _roster() -> None:
    """All champions and challengers of the project, whatever is chosen."""
    listed = roster(project.folder())
    if not listed:
        return
    st.subheader(
        "Champions and challengers",
        help="Of every decision of the project: what is released, and what was approved and waits. "
        "The gain is what it earns beyond what is done today, in the episodes that judged it, with "
        "its 95 % interval; the gate's word is that of the day it was decided.",
        anchor=False,
    )
    charts.write(pd.DataFrame(_listed(one) for one in listed).set_index("decision"))


def _listed(one: Listed) -> dict[str, str]:
    since = words.day(datetime.fromisoformat(one.line.time))
    known = one.decision in project.decisions()
    return {
        "decision": project.card(one.decision).title if known else one.decision,
        "stands as": f"{one.role}, version {one.line.to_version}, {since}",
        "run": "no longer here" if one.run is None else one.run.name,
        "gain": "–" if one.gain is None else _gain(one.gain),
        "gate": one.line.verdict or "–",
        "log": "–" if one.freshness is None else _age(one.freshness),
    }


def _gain(gain: Estimate) -> str:
    reach = words.interval(gain, "currency", gain.unit)
    return f"{words.money(gain.value, gain.unit, signed=True)} ({reach})"


def _age(fresh: Freshness) -> str:
    age = fresh.age(datetime.now(UTC))
    if fresh.generated:
        return "generated"
    return "–" if age is None else f"{words.duration(age.total_seconds())} old"


def _last_runs(seen: Overview) -> None:
    st.subheader("Last runs", anchor=False)
    st.table(
        pd.DataFrame(
            {
                "run": one.run.name,
                "reached": one.run.reached,
                "on": words.time(one.run.made),
                "value": "–" if one.value is None else words.money(one.value.value, one.value.unit),
                "of the ceiling": "–"
                if one.share_of_ceiling is None
                else words.share(one.share_of_ceiling.value),
                "gate": one.verdict,
            }
            for one in seen.last_runs
        ).set_index("run")
    )


page()
