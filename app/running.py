"""A background job on a page: how far it is, its curves, and buttons to stop or resume it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import access, charts, errors, project, session, words
from ppo_marketing.jobs import background
from ppo_marketing.jobs.background import Job

EVERY = "2s"
"""How often a running job is looked at: its file is small, and nobody reads faster."""

# What training reports after each update, in the order of interest; others are in MLflow.
CURVES = {
    "validation_score": "share of the ceiling on fresh episodes",
    "mean_return": "return of the training episodes",
    "entropy": "entropy of the decisions",
    "kl": "KL of an update",
}


def watch(job: Job, *, curves: bool = False) -> None:
    """Show a job until it ends; the page is then drawn anew, with what the job has made."""
    if job.state == "running":
        _watch(job.id, curves)
    else:
        _ended(job, curves)


@st.fragment(run_every=EVERY)
def _watch(identity: str, curves: bool) -> None:
    with errors.kindly():
        job = background.job_named(project.folder(), identity)
        if job.state != "running":
            session.look_at(job.order.output.name)
            st.rerun(scope="app")
        seen = job.seen
        title = seen.stage or "starting"
        st.progress(seen.share, text=f"{errors.as_text(title)} · {errors.as_text(seen.note)}")
        done = [f"{name} ({words.number(took, 1)} s)" for name, took in seen.stages if took]
        if done:
            st.caption("Done: " + errors.as_text(", ".join(done)))
        if curves:
            draw_curves(job)
        if st.button("Stop", icon=":material/stop:", key=f"stop-{identity}"):
            background.stop(job, access.desk())
            st.toast("It saves what it has and ends. Resume it whenever you like.")


def _ended(job: Job, curves: bool) -> None:
    if curves:
        draw_curves(job)
    if job.state == "finished":
        return
    said = errors.in_words(RuntimeError(job.said))
    if job.state == "stopped":
        st.info("Stopped; what it had saved is kept.", icon=":material/pause_circle:")
    else:
        st.error(f"{errors.as_text(job.order.title)} failed: {said}", icon=":material/error:")
    if st.button("Resume", icon=":material/play_arrow:", key=f"resume-{job.id}"):
        background.resume(project.folder(), job, access.desk())
        st.rerun()


def draw_curves(job: Job) -> None:
    """What training has reported so far, one small chart a number."""
    found = job.seen.curves or {}
    named = [(name, CURVES[name]) for name in CURVES if len(found.get(name, ())) > 1]
    for column, (name, meaning) in zip(st.columns(max(len(named), 1)), named, strict=False):
        with column:
            frame = pd.DataFrame(found[name], columns=["steps", name])
            frame["line"] = name
            last = words.number(found[name][-1][1])
            charts.show(
                charts.lines(frame, "steps", name, "line", height=180),
                frame[["steps", name]],
                alt=f"{meaning}, by steps of training; last {last}",
            )
