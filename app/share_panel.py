"""Share: the address that shows the same, scenarios kept in the project, files to pass on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app import access, errors, project, session, words
from envs.core.decision import Decision
from ppo_marketing.access import Permission
from ppo_marketing.jobs.keeping_scenarios import drop_scenario, keep_scenario
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.report_what_if import csv_of, moved, what_if_page
from ppo_marketing.what_if.answers import Answer
from ppo_marketing.what_if.saved import saved_scenarios
from ppo_marketing.what_if.scenarios import Named
from ppo_marketing.what_if.sharing import to_query


def draw(
    card: Decision, run: KeptRun, scenarios: Sequence[Named], answers: Sequence[Answer]
) -> None:
    """Pass on what is compared."""
    st.subheader("A link that shows the same", anchor=False)
    looked_at = {
        session.DECISION: card.name,
        session.RUN: run.name,
        "episodes": str(answers[0].episodes),
    }
    query = f"{urlencode(looked_at)}&{to_query(scenarios)}"
    st.code(f"{_address()}/what_if?{query}", language=None, wrap_lines=True)
    st.caption("Whoever can reach this app sees these scenarios, of this run, with these numbers.")
    _kept(card, scenarios)
    st.subheader("Files", anchor=False)
    currency, made = answers[0].value.unit, datetime.now(UTC)
    page = what_if_page(
        card, run.name, answers, (), made_at=words.time(made),
        money=lambda amount: words.money(amount, currency),
    )  # fmt: skip
    left, right = st.columns(2)
    left.download_button(
        "The numbers (CSV)",
        csv_of(answers),
        file_name=f"{run.name}-what-if.csv",
        mime="text/csv",
        icon=":material/table_view:",
        on_click="ignore",
        width="stretch",
    )
    right.download_button(
        "One page to mail or print (HTML)",
        page.encode(),
        file_name=f"{run.name}-what-if.html",
        mime="text/html",
        icon=":material/description:",
        on_click="ignore",
        width="stretch",
    )


def _address() -> str:
    """Where this app is served, as the browser knows it."""
    url = st.context.url or ""
    return url.rsplit("/", 1)[0] if url.count("/") > 2 else url


def _kept(card: Decision, scenarios: Sequence[Named]) -> None:
    st.subheader("Kept in the project", anchor=False)
    kept = {one.name: one for one in saved_scenarios(project.folder(), card)}
    given: dict[str, Any] = {"width": "stretch"}
    if not access.may_here(Permission.KEEP_SCENARIOS):
        given |= {"disabled": True, "help": "Viewers look; analysts and approvers keep."}
    for one in scenarios:
        if not one.values:
            continue
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.markdown(f"**{errors.as_text(one.name)}**: {errors.as_text(moved(card, one))}")
        if kept.get(one.name) == one:
            if right.button("Drop", key=f"what_if_drop_{one.name}", **given):
                drop_scenario(access.desk(), card, one.name)
                st.rerun()
        elif right.button("Keep", key=f"what_if_keep_{one.name}", **given):
            keep_scenario(access.desk(), card, one)
            st.rerun()
    if all(not one.values for one in scenarios):
        st.caption("Only today is compared: make a scenario first.")
