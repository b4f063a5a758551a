"""Data: hand a log in, see whether it is sound, what is in it and how far it has moved."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from app import access, errors, forms, layout, log_pictures, project, session, words
from app.layout import Card
from envs.core.decision import Decision
from envs.core.log import LogTable
from ppo_marketing.form_fields import changed, fields_of
from ppo_marketing.jobs import background
from ppo_marketing.jobs.kept_runs import KeptRun, runs_folder
from ppo_marketing.uploads import (
    MEGABYTE,
    KeptLog,
    LogRefused,
    Preview,
    UploadLimits,
    keep,
    kept_logs,
    preview,
)

LIMITS = UploadLimits()
ABSENT = "– not in the file –"
LOG, VIEW, KEPT, SAID = "log", "data-view", "_kept", "_said"
LOOKED, HANDED = "The log", "Hand in another"


def page() -> None:
    """Draw the page."""
    choice = session.chosen()
    card = choice.decision
    kept = kept_logs(project.folder(), card.name)
    options = _options(choice.run, kept)
    if not options:
        layout.headline("Data", f"No log of {card.title.lower()} is here yet: hand one in.")
        _hand_in(card)
        return
    layout.headline("Data", "")
    fresh = st.session_state.pop(KEPT, None)
    if fresh is not None:
        st.session_state[LOG], st.session_state[VIEW] = fresh, LOOKED
        st.session_state[SAID] = fresh
    if st.session_state.get(LOG) not in options:
        st.session_state[LOG] = next(iter(options))
    st.session_state.setdefault(VIEW, LOOKED)
    view = st.segmented_control(
        "View", (LOOKED, HANDED), key=VIEW, required=True, label_visibility="collapsed"
    )
    if view == LOOKED:
        _chosen(card, choice.run, options)
    else:
        _hand_in(card)


def _chosen(card: Decision, run: KeptRun | None, options: dict[str, KeptLog | None]) -> None:
    name = st.selectbox(
        "Log",
        tuple(options),
        key=LOG,
        format_func=lambda one: one if options[one] else f"the log of the run {one}",
    )
    if st.session_state.get(SAID) == name:
        st.success(f"{errors.as_text(name)} is sound and kept.", icon=":material/check_circle:")
    chosen = options[name]
    if chosen is None:
        assert run is not None
        _look_at(card, run, project.run_log(run))
    else:
        _look_at(card, run, project.kept_log(chosen))
        _fit_to(card, chosen)


def _options(run: KeptRun | None, kept: tuple[KeptLog, ...]) -> dict[str, KeptLog | None]:
    """The log of the run that is looked at, and those that were handed in, by name."""
    own: dict[str, KeptLog | None] = {} if run is None else {run.name: None}
    return own | {_named(log): log for log in kept}


def _named(log: KeptLog) -> str:
    return f"{log.name} ({log.sha256[:6]})"


def _look_at(card: Decision, run: KeptRun | None, log: LogTable) -> None:
    currency = words.currency_of(card.sample_settings())
    summary = project.summary(log, currency)
    age = words.duration((datetime.now(UTC) - summary.last).total_seconds())
    st.markdown(
        f"##### {words.number(summary.rows)} rows over {len(summary.volume)} days, all sound; "
        f"the last one is {age} old."
    )
    layout.cards(
        [
            Card("Rows", words.number(summary.rows), help="Rows that were kept."),
            Card("From", words.day(summary.first)),
            Card("To", words.day(summary.last), interval=f"{age} ago"),
            Card(
                "Repeats dropped",
                words.number(summary.duplicates_dropped),
                help="Rows identical to an earlier one with the same id.",
            ),
        ]
    )
    for note in summary.notes:
        st.caption(errors.as_text(note))
    log_pictures.volume(summary)
    if run is not None:
        with errors.kindly():
            reference = project.run_log(run)
            if reference.sha256 != log.sha256:
                log_pictures.drift(project.summary(reference, currency), summary, run.name)
            else:
                st.info("The last training learned from this very log: nothing has moved since.")
    log_pictures.spreads(summary)


def _fit_to(card: Decision, log: KeptLog) -> None:
    st.subheader("Next: fit a simulator to it", anchor=False)
    with st.form("fit"):
        suggested = "".join(c if c.isalnum() else "-" for c in log.name.split(".")[0]).strip("-")
        name = st.text_input("Name of the run", suggested or "first", max_chars=60)
        fields = fields_of(card.settings_type)
        with st.expander("Settings of the campaign"):
            entered = forms.draw(fields, "fit")
        if st.form_submit_button("Fit the simulator", type="primary", icon=":material/science:"):
            name = background.require_name(name)
            background.start(
                project.folder(),
                desk=access.desk(),
                title=f"Fitting a simulator to {log.name}",
                decision=card.name,
                command="calibrate",
                positional=(card.name,),
                config={"log": log.section(), "environment": changed(fields, entered)},
                output=runs_folder(project.folder()) / name,
            )
            session.look_at(name)
            layout.go_to("simulator")


def _hand_in(card: Decision) -> None:
    st.write(
        f"CSV, CSV.gz or Parquet, at most {LIMITS.bytes / MEGABYTE:.0f} MB. It is checked whole; "
        "nothing is kept of a log that has a problem, and nothing in it is ever executed."
    )
    file = st.file_uploader("Log", key="upload", max_upload_size=LIMITS.bytes // MEGABYTE)
    _schema(card)
    if file is None:
        return
    content = file.getvalue()
    try:
        seen = preview(content, card.schema, LIMITS)
    except LogRefused as refused:
        _refused(refused)
        return
    st.subheader("The first rows", anchor=False)
    st.dataframe(
        pd.DataFrame(list(seen.rows), columns=list(seen.names)), hide_index=True, width="stretch"
    )
    _mapping(card, content, file.name, seen)


def _mapping(card: Decision, content: bytes, name: str, seen: Preview) -> None:
    with st.form("mapping"):
        st.subheader("Which column is which?", anchor=False)
        columns = st.columns(3)
        mapped = {}
        options = (ABSENT, *seen.names)
        for number, column in enumerate(card.schema.columns):
            guess = seen.guesses.get(column.name, ABSENT)
            with columns[number % 3]:
                mapped[column.name] = st.selectbox(
                    f"{column.name}{' *' if column.required else ''}",
                    options,
                    index=options.index(guess),
                    key=f"map-{column.name}",
                    help=f"{column.kind}, {column.unit}"
                    + ("; may be left out" if not column.required else ""),
                )
        taken = set(mapped.values())
        context = st.multiselect(
            "Context: what else was known before each decision",
            [one for one in seen.names if one not in seen.guesses.values()],
            help="Such as region, device or segment. The simulator may tell rows apart by it.",
        )
        if not st.form_submit_button("Check the log", type="primary", icon=":material/rule:"):
            return
    chosen = {column: source for column, source in mapped.items() if source != ABSENT}
    chosen |= {one: one for one in context if one not in taken}
    try:
        with st.spinner("Checking every row …"):
            kept, _ = keep(project.folder(), card, content, name, chosen, limits=LIMITS)
    except LogRefused as refused:
        _refused(refused)
        return
    st.session_state[KEPT] = _named(kept)
    st.rerun()


def _refused(refused: LogRefused) -> None:
    count = len(refused.problems)
    st.error(
        f"This log is not kept: {count} problem{'s' if count > 1 else ''}. Nothing was stored.",
        icon=":material/error:",
    )
    st.table(
        pd.DataFrame(
            {
                "column": problem.column or "the file",
                "found": errors.as_text(problem.found),
                "rows": words.number(problem.rows) if problem.rows else "",
                "first at": ", ".join(map(str, problem.first_rows)),
                "allowed": errors.as_text(problem.allowed),
                "what to do": errors.as_text(problem.action),
            }
            for problem in refused.problems
        )
    )


def _schema(card: Decision) -> None:
    with st.expander("What the log must hold"):
        st.table(
            pd.DataFrame(
                {
                    "column": column.name,
                    "needed": "yes" if column.required else "no",
                    "kind": column.kind,
                    "unit": column.unit,
                }
                for column in card.schema.columns
            )
        )


page()
