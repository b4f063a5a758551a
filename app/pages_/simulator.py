"""Simulator: may it be believed? Observed and simulated side by side, and where the log is thin."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from app import access, charts, errors, layout, project, running, session, words
from app.layout import Card
from envs.core.decision import Decision
from envs.core.fidelity import Curve, FidelityReport
from ppo_marketing.errors import PpoMarketingError
from ppo_marketing.jobs import background
from ppo_marketing.jobs.kept_runs import KeptRun, runs_folder
from ppo_marketing.report import fidelity_finding
from ppo_marketing.thin_log import support_of, thin_points

TABS = {
    "distribution": "How outcomes are spread",
    "calibration": "Chances and what came",
    "backtest": "Backtest",
    "forecast": "Forecast and what came",
    "effect": "What actions change",
}
SAYS = {
    "distribution": "The two lines lie on each other where simulated outcomes are spread like "
    "the real ones.",
    "calibration": "Of what the simulator gives a chance of 2 %, 2 % should happen.",
    "backtest": "Totals that the held-out days would have had, had one acted otherwise.",
    "forecast": "Later days, foretold from the earlier ones; the band should hold nine of ten.",
    "effect": "What an action changes, by decisions that were left to chance.",
}


def page() -> None:
    """Draw the page."""
    choice = session.chosen()
    jobs = background.jobs_of(project.folder(), choice.decision.name)
    fitting = next((job for job in jobs if job.order.arguments[0] == "calibrate"), None)
    if fitting is not None and fitting.state == "running":
        layout.headline("Simulator", f"{fitting.order.title} …")
        running.watch(fitting)
        return
    if choice.run is None or not choice.run.calibration.is_dir():
        _none_yet(choice.decision)
        if fitting is not None:
            running.watch(fitting)
        return
    report = project.fidelity(choice.run)
    _verdict(choice.decision, choice.run, report)
    _pictures(report)
    _thin(choice.run, report)
    _checks(report)


def _none_yet(card: Decision) -> None:
    layout.headline("Simulator", "No simulator has been fitted yet: it is learned from a log.")
    own, sample = st.columns(2)
    with own:
        if st.button("Choose a log", type="primary", icon=":material/table_view:"):
            layout.go_to("data")
    with sample:
        if st.button("Fit one to the built-in sample", icon=":material/science:"):
            name = f"sample-{card.name}"
            background.start(
                project.folder(),
                desk=access.desk(),
                title="Fitting a simulator to the built-in sample",
                decision=card.name,
                command="calibrate",
                positional=(card.name,),
                config={},
                output=runs_folder(project.folder()) / name,
            )
            session.look_at(name)
            st.rerun()


def _verdict(card: Decision, run: KeptRun, report: FidelityReport) -> None:
    said = (
        "It can be believed as far as it was checked."
        if report.passed
        else "Do not build on it before what failed is understood."
    )
    layout.headline("Simulator", f"{fidelity_finding(report)} {said}")
    calibration = project.calibration(run)
    layout.cards(
        [
            Card(
                "Checks passed",
                f"{len(report.checks) - len(report.failures)} of {len(report.checks)}",
                help="Each compares the simulator with days that it was not fitted to.",
            ),
            Card(
                "Judged on days from",
                words.day(calibration.judged_from),
                help="Nothing from this day on was used for fitting, tuning or training.",
            ),
            Card(
                "Checked against",
                f"{words.number(max((check.n for check in report.checks), default=0))} rows",
                help="Rows of the largest check.",
            ),
        ]
    )
    for check in report.failures:
        st.error(
            f"**{errors.as_text(check.name)}** is {words.number(check.value)}, allowed "
            f"{_allowed(check.low, check.high)}. {errors.as_text(check.meaning)}",
            icon=":material/error:",
        )
    for note in calibration.notes:
        st.caption(errors.as_text(note))
    if run.reached == "calibrated" and st.button(
        "Train a policy in it", type="primary", icon=":material/model_training:"
    ):
        layout.go_to("train")


def _pictures(report: FidelityReport) -> None:
    kinds = [kind for kind in TABS if any(curve.kind == kind for curve in report.curves)]
    if not kinds:
        st.info("The log was too small for any picture: see the checks below.")
        return
    for tab, kind in zip(st.tabs([TABS[kind] for kind in kinds]), kinds, strict=True):
        with tab:
            st.caption(SAYS[kind])
            shown = [curve for curve in report.curves if curve.kind == kind]
            for start in range(0, len(shown), 2):
                for column, curve in zip(st.columns(2), shown[start : start + 2], strict=False):
                    with column:
                        st.markdown(f"**{errors.as_text(curve.name.capitalize())}**")
                        _curve(curve)


def _curve(curve: Curve) -> None:
    frame = pd.DataFrame(
        [
            {curve.x_label: x, curve.y_label: y, "who": who}
            for who, line in (("observed", curve.observed), ("simulated", curve.simulated))
            for x, y in zip(curve.x, line, strict=True)
        ]
    )
    chart: charts.Chart = charts.lines(frame, curve.x_label, curve.y_label, "who", points=True)
    table = {
        curve.x_label: curve.x,
        "observed": curve.observed,
        "simulated": curve.simulated,
    }
    if curve.low:
        band = pd.DataFrame({"x": curve.x, "low": curve.low, "high": curve.high})
        chart = alt.layer(
            alt.Chart(band)
            .mark_area(opacity=0.2, color=charts.PALETTE[1])
            .encode(x="x:Q", y="low:Q", y2="high:Q"),
            chart,
        )
        table |= {"5 %": curve.low, "95 %": curve.high}
    if curve.n:
        table |= {"rows": curve.n}
    apart = max(
        (abs(o - s) for o, s in zip(curve.observed, curve.simulated, strict=True)), default=0.0
    )
    charts.show(
        chart,
        table,
        alt=f"{curve.y_label} by {curve.x_label}: at most {words.number(apart)} apart",
    )


def _thin(run: KeptRun, report: FidelityReport) -> None:
    st.subheader("Where the log is thin", anchor=False)
    points = thin_points(report.curves)
    try:
        logged = project.logged_decisions(run)
    except PpoMarketingError as error:
        st.caption(errors.in_words(error))
        logged = None
    if logged is not None:
        support = support_of(logged)
        rare = [one for one in support if one.thin_cells > 0.5]
        st.write(
            f"Of {len(support)} actions, {len(rare)} were hardly ever taken in most situations: "
            "a policy that leans on them is not supported by the log."
            if rare
            else "Every action was taken often enough in most situations."
        )
        st.dataframe(
            pd.DataFrame(
                {
                    "action": one.action,
                    "rows": one.rows,
                    "situations with too few rows": words.share(one.thin_cells),
                }
                for one in support
            ),
            hide_index=True,
            width="stretch",
        )
    for point in points:
        st.caption(
            errors.as_text(
                f"{point.curve}: around {words.number(point.x)} ({point.x_label}) only "
                f"{words.number(point.rows)} rows, {words.number(point.usual)} elsewhere."
            )
        )
    if logged is None and not points:
        st.write("Nowhere that was looked at: all pictures rest on comparable numbers of rows.")


def _checks(report: FidelityReport) -> None:
    with st.expander(f"All {len(report.checks)} checks"):
        st.table(
            pd.DataFrame(
                {
                    "check": check.name,
                    "value": words.number(check.value),
                    "allowed": _allowed(check.low, check.high),
                    "on": f"{words.number(check.n)} {check.unit}",
                    "verdict": "passed" if check.passed else "FAILED",
                    "what it says": check.meaning,
                }
                for check in report.checks
            )
        )


def _allowed(low: float, high: float) -> str:
    ends = [words.number(end) for end in (low, high)]
    if ends[0] == "–":
        return f"up to {ends[1]}"
    return f"{ends[0]} or more" if ends[1] == "–" else f"{ends[0]} to {ends[1]}"


page()
