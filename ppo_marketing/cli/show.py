"""Results on stdout, as tables and sentences or as one JSON object; progress on stderr."""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from envs.core.decision import Decision
    from ppo_marketing.drift import Drift
    from ppo_marketing.evaluation import Judgement
    from ppo_marketing.gate import Verdict
    from ppo_marketing.guardrails import Interventions
    from ppo_marketing.jobs.off_policy import JudgedByLog
    from ppo_marketing.progress import Reporter


def show(json: bool, values: dict[str, Any], text: str) -> None:
    """Print one JSON object, or the text."""
    typer.echo(json_module.dumps(values, default=str) if json else text)


def print_table(table: Any, width: int = 140) -> None:
    """Print a table as wide as the terminal, or `width` characters wide in a pipe."""
    from rich.console import Console

    # A pipe has no width of its own; the table needs room for its intervals.
    Console(width=None if sys.stdout.isatty() else width).print(table)


def reporter() -> Reporter:
    """Return what shows progress to people, or writes it to the file that a watcher named."""
    from ppo_marketing.progress import TerminalReporter
    from ppo_marketing.progress_file import VARIABLE, FileReporter

    watched = os.environ.get(VARIABLE)
    return FileReporter(Path(watched)) if watched else TerminalReporter()


def show_judgement(
    judgement: Judgement,
    verdict: Verdict,
    card: Decision,
    json: bool,
    drift: Drift | None = None,
    interventions: Interventions | None = None,
) -> None:
    """Print who earns what on the later part, what they do, the conclusion and the verdict."""
    from ppo_marketing import report, report_drift, report_guardrails

    if json:
        show(True, _plain(judgement, verdict, drift, interventions), "")
        return
    for evidence in judgement.shown:
        print_table(report.evidence_table(evidence, card))
    print_table(report.kpi_table(judgement.later, card))
    typer.echo(f"\n{report.conclusion(judgement.later)}\n{report.optimism(judgement)}")
    if judgement.limit is not None:
        typer.echo(report.limit(judgement, card))
    if interventions is not None:
        print_table(report_guardrails.interventions_table(interventions))
    if drift is not None:
        print_table(report_drift.drift_table(drift))
        typer.echo(report_drift.flows(drift))
    typer.echo("")
    show_verdict(verdict)


def _plain(
    judgement: Judgement,
    verdict: Verdict,
    drift: Drift | None,
    interventions: Interventions | None,
) -> dict[str, Any]:
    changed = {} if drift is None else {"drift": drift.to_dict()}
    guarded = {} if interventions is None else {"guardrails": interventions.as_dict()}
    return {**judgement.to_dict(), "verdict": verdict.as_dict(), **changed, **guarded}


def show_verdict(verdict: Verdict) -> None:
    """Print every test of the gate, and the verdict in a sentence."""
    from ppo_marketing import gate, report

    print_table(report.verdict_table(verdict))
    typer.echo(gate.sentence(verdict))
    for line in gate.advice(verdict.findings):
        typer.echo(f"  {line}")


def show_off_policy(judged: JudgedByLog, json: bool) -> None:
    """Print every estimator beside the others, what they rest on, and what the log cannot say."""
    from ppo_marketing import report_off_policy

    if json:
        show(True, judged.as_dict(), "")
        return
    found = judged.report
    title = f"{judged.policy}, judged by {judged.log.source} alone"
    print_table(report_off_policy.estimates_table(found, title))
    print_table(report_off_policy.diagnostics_table(found))
    if found.calibration is not None:
        print_table(report_off_policy.calibration_table(found.calibration))
    typer.echo(f"\n{report_off_policy.sentence(found)}")
    for line in report_off_policy.remarks(found, judged.notes):
        typer.echo(f"  {line}")
