"""What one analyst has chosen: in the session, and in the address, so that a link shows the same.

Nothing here outlives a session or is shared between two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app import project, words
from envs.core.decision import Decision
from ppo_marketing.jobs.kept_runs import KeptRun, Reached

DECISION, RUN = "decision", "run"


@dataclass(frozen=True)
class Choice:
    """The decision that is looked at and one of its runs; None where there is none yet."""

    decision: Decision
    run: KeptRun | None


def choose() -> Choice:
    """Let the analyst choose in the sidebar; the address follows, and is followed on arrival."""
    names = project.decisions()
    with st.sidebar:
        _settle(DECISION, names, _busiest(names))
        name = st.selectbox(
            "Decision",
            names,
            key=DECISION,
            format_func=lambda one: project.card(one).title,
            help="What is decided: each has its own log, simulator and policies.",
        )
        runs = project.runs(name)
        by_name = {run.name: run for run in runs}
        run = None
        if runs:
            _settle(RUN, tuple(by_name), runs[0].name)
            chosen = st.selectbox(
                "Run",
                tuple(by_name),
                key=RUN,
                format_func=lambda one: f"{one} · {by_name[one].reached}",
                help="One log, one simulator, one policy and what was found of it.",
            )
            run = by_name[chosen]
            st.caption(f"{run.reached.capitalize()} on {words.time(run.made)}")
    _to_address({DECISION: name, RUN: None if run is None else run.name})
    return Choice(project.card(name), run)


def chosen() -> Choice:
    """What is chosen now; for pages, which run after `choose`."""
    name = st.session_state[DECISION]
    runs = {run.name: run for run in project.runs(name)}
    return Choice(project.card(name), runs.get(st.session_state.get(RUN, "")))


def look_at(run: str) -> None:
    """Choose another run from the next rerun on."""
    st.session_state["_next_run"] = run


def reached(run: KeptRun | None, needed: Reached) -> bool:
    """Whether a run got as far as a page needs."""
    order: tuple[Reached, ...] = ("calibrated", "trained", "judged")
    return run is not None and order.index(run.reached) >= order.index(needed)


def _settle(key: str, options: Sequence[str], otherwise: str) -> None:
    """Give a widget a value that it has: asked for, kept, from the address, or the usual one."""
    asked = st.session_state.pop(f"_next_{key}", None)
    for wanted in (asked, st.session_state.get(key), st.query_params.get(key)):
        if wanted in options:
            st.session_state[key] = wanted
            return
    st.session_state[key] = otherwise


def _busiest(names: Sequence[str]) -> str:
    """The first decision that has a run."""
    return next((name for name in names if project.runs(name)), names[0])


def _to_address(values: dict[str, str | None]) -> None:
    for key, value in values.items():
        if value is None:
            st.query_params.pop(key, None)
        elif st.query_params.get(key) != value:
            st.query_params[key] = value
