"""Train: what to train, for how long, within which limit; live curves; what was trained before."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import access, comparison_panel, errors, forms, layout, project, running, session, words
from envs.core.decision import Decision
from ppo_marketing.config import TrainingSection
from ppo_marketing.form_fields import changed, fields_of
from ppo_marketing.jobs import background
from ppo_marketing.jobs.background import Job
from ppo_marketing.jobs.kept_comparisons import comparisons_folder
from ppo_marketing.jobs.kept_runs import KeptRun, runs_folder
from ppo_marketing.jobs.run_log import config_of
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.rivals.table import RIVALS
from ppo_marketing.training_order import OWN, Changes, ordered, require_accepted

OURS = "ppo"
NO_LIMIT = "no limit"
TRAINS = ("run", "train", "compare")


def page() -> None:
    """Draw the page."""
    choice, run = layout.require("calibrated", "Train")
    card = choice.decision
    jobs = [
        job
        for job in background.jobs_of(project.folder(), card.name)
        if job.order.arguments[0] in TRAINS
    ]
    busy = [job for job in jobs if job.state == "running"]
    if busy:
        layout.headline(
            "Train", f"{busy[0].order.title} … Leave this page if you like: it goes on."
        )
        running.watch(busy[0], curves=True)
    else:
        layout.headline(
            "Train",
            f"A policy is learned in the simulator of the run {run.name} and judged on days "
            "that it has not seen.",
        )
        if jobs:
            _last(jobs[0])
        _form(card, run)
    comparison_panel.draw(card)
    _history(card)


def _last(job: Job) -> None:
    with st.expander(
        f"Last: {errors.as_text(job.order.title)} ({job.state}, {words.time(job.started)})",
        expanded=job.state != "finished",
    ):
        running.watch(job, curves=True)
        if job.state != "finished":
            return
        if job.order.arguments[0] == "compare":
            st.caption("What was found is below, under “Algorithms compared”.")
        elif st.button("See what it is worth", icon=":material/dashboard:"):
            session.look_at(job.order.output.name)
            layout.go_to("overview")


def _form(card: Decision, run: KeptRun) -> None:
    report = project.fidelity(run)
    base = config_of(run)
    training = tuple(
        field
        for field in fields_of(TrainingSection, TrainingSection(**base["training"]))
        if field.name not in OWN
    )
    main, more = training[:1], training[1:]
    ppo = fields_of(PPOConfig, PPOConfig(**{**card.ppo, **base["training"]["ppo"]}))
    settings = fields_of(card.settings_type, project.calibration_settings(run))
    with st.form("train"):
        left, right = st.columns(2)
        with left:
            name = st.text_input("Name of the run", _free_name(card, run), max_chars=60)
            algorithm = st.selectbox(
                "Algorithm",
                tuple(RIVALS),
                format_func=lambda one: (
                    RIVALS[one].title
                    + (
                        " (its policy can be released)"
                        if one == OURS
                        else " (beside PPO, to compare)"
                    )
                ),
            )
        with right:
            entered = forms.draw(main, "training")
            accepted = ""
            if not report.passed:
                accepted = st.text_input(
                    "The simulator failed its checks. Why train in it all the same?",
                    max_chars=300,
                    help="Kept with the run, and shown with everything that rests on it.",
                )
        limit = _limit(card)
        with st.expander("What the campaign allows"):
            environment = forms.draw(settings, "environment")
        with st.expander("How training is run"):
            entered |= forms.draw(more, "training")
        with st.expander("How PPO learns"):
            learning = forms.draw(ppo, "ppo")
        if not st.form_submit_button("Start", type="primary", icon=":material/play_arrow:"):
            return
    changes = Changes(
        training=changed(training, entered),
        ppo=changed(ppo, learning),
        environment=changed(settings, environment),
        constraint=limit,
        accepted=accepted,
    )
    require_accepted(report.passed, changes)
    _start(card, run, base, changes, background.require_name(name), algorithm)
    st.rerun()


def _limit(card: Decision) -> dict[str, Any] | None:
    if not card.limitable:
        st.caption(f"No limit can be held in training: {card.limit_instead}.")
        return None
    kpis = {kpi.name: kpi for kpi in card.kpis}

    def label(name: str) -> str:
        return kpis[name].label if name in kpis else name

    what, per, most = st.columns(3)
    with what:
        kpi = st.selectbox(
            "Keep within a limit", (NO_LIMIT, *card.limitable), format_func=label,
            help=f"The mean a {card.episode}; what must never happen belongs into the guardrails.",
        )  # fmt: skip
    with per:
        below = st.selectbox(
            "For each", (card.episode, *kpis), format_func=label,
            help="Another KPI makes the limit a ratio, such as a cost per event.",
        )  # fmt: skip
    with most:
        limit = st.number_input("At most", value=None, min_value=0.0, placeholder="not set")
    if kpi == NO_LIMIT or limit is None:
        return None
    return {"kpi": kpi, "limit": limit, **({} if below == card.episode else {"per": below})}


def _start(
    card: Decision,
    run: KeptRun,
    base: dict[str, Any],
    changes: Changes,
    name: str,
    algorithm: str,
) -> None:
    where = project.folder()
    output = runs_folder(where) / name
    config = ordered(card, base, changes, where, output)
    values = config.as_values()
    if algorithm == OURS:
        background.start(
            where, desk=access.desk(), title=f"Training {name}", decision=card.name,
            command="run", config=values, output=output,
        )  # fmt: skip
        session.look_at(name)
        return
    steps = str(config.training.total_steps)
    background.start(
        where,
        desk=access.desk(),
        title=f"Comparing {RIVALS[algorithm].title} with PPO",
        decision=card.name,
        command="compare",
        positional=(
            card.name, "--calibration", str(run.calibration), "--algorithms",
            f"{OURS},{algorithm}", "--seeds", "2", "--steps", steps, "--off-policy-steps", steps,
        ),
        config=values,
        output=comparisons_folder(where) / name,
    )  # fmt: skip


def _free_name(card: Decision, run: KeptRun) -> str:
    taken = {one.name for one in project.runs(card.name)}
    taken |= {one.name for one in project.comparisons(card.name)}
    if run.reached == "calibrated":
        return run.name
    return next(
        f"{run.name}-{i}" for i in range(2, len(taken) + 3) if f"{run.name}-{i}" not in taken
    )


def _history(card: Decision) -> None:
    st.subheader("Trained before", anchor=False)
    if not st.toggle("Ask MLflow", help="Every run that was ever recorded; takes some seconds."):
        return
    recorded, address = project.history(card.name)
    if not recorded:
        st.write("Nothing has been recorded yet.")
        return
    st.dataframe(
        pd.DataFrame(
            {
                "run": one.name,
                "status": one.status.lower(),
                "started": words.time(one.started),
                "minutes": words.number(one.minutes, 1),
                "share of the ceiling": words.share(one.metrics.get("evidence.share_of_ceiling")),
                "lift over the best rule": words.number(
                    100 * one.metrics["evidence.lift_over_best_rule"], 2, signed=True
                )
                if "evidence.lift_over_best_rule" in one.metrics
                else "–",
                "in MLflow": f"{address}/#/experiments/{one.experiment_id}/runs/{one.id}",
            }
            for one in recorded
        ),
        hide_index=True,
        width="stretch",
        column_config={"in MLflow": st.column_config.LinkColumn(display_text="open")},
    )
    st.caption("The links work while MLflow runs; this starts it on this machine:")
    st.code(project.history_command(), language="sh")


page()
