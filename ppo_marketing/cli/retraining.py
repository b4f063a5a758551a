"""`retrain`, `schedule` and `regress`: what happens when nobody is looking."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppo_marketing.cli.options import ConfigFile, Json, account, config_from
from ppo_marketing.cli.show import print_table, reporter, show

if TYPE_CHECKING:
    from ppo_marketing.jobs.retraining_job import Job, Retrained

ProjectFile = Annotated[Path, typer.Argument(help="The project file (YAML).", metavar="PROJECT")]


def retrain(
    project: Annotated[
        Path | None, typer.Argument(help="The project file (YAML).", metavar="PROJECT")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print a project file that works, and do nothing.")
    ] = False,
    decision: Annotated[
        str | None, typer.Option(help="Of --example: the decision type, a folder of envs/.")
    ] = None,
    check_heartbeat: Annotated[
        bool,
        typer.Option("--check-heartbeat", help="Exit 1, and alert, where no job ended well."),
    ] = False,
    watch: Annotated[
        Path | None,
        typer.Option(help="Take up new log files as they land in this folder, until stopped."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Of --watch: take up what is there, then end.")
    ] = False,
    json: Json = False,
) -> None:
    """Retrain, judge and release by one file; done before: nothing to do.

    Exit 0: promoted, waiting for a person, or nothing to do. Exit 4: the champion stays, with the
    reasons.
    """
    if example:
        _example(decision)
        return
    if project is None:
        raise typer.BadParameter("name a project file; --example prints one")
    if once and watch is None:
        raise typer.BadParameter("--once goes with --watch FOLDER")
    from ppo_marketing.retraining.project import load_project

    loaded = load_project(project)
    if check_heartbeat:
        from ppo_marketing.jobs.alerts import check_heartbeat as checked

        found = checked(loaded, datetime.now(UTC))
        said = f"{found['hours']:.1f} hours ago: {found['outcome']}"
        show(json, found, f"the last retraining of {loaded.name} ended {said}")
        return
    from ppo_marketing.jobs.retraining import retrain as retrained
    from ppo_marketing.jobs.retraining_job import Job

    job = Job(loaded, account(), lambda: datetime.now(UTC), reporter())
    if watch is not None:
        _watch(job, watch, once, json)
        return
    _show(retrained(job), json)


def schedule(
    project: ProjectFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    time: Annotated[str, typer.Option(help="HH:MM, UTC.")] = "03:00",
    weekday: Annotated[str | None, typer.Option(help="Mon, Tue, ...; none: every day.")] = None,
    image: Annotated[
        str, typer.Option(help="The container image that Kubernetes starts.")
    ] = "registry.example/ppo-marketing:latest",
    json: Json = False,
) -> None:
    """Write a systemd timer, a cron line, a Kubernetes CronJob and an Airflow DAG that retrain."""
    from ppo_marketing.files import made, write_atomically
    from ppo_marketing.retraining.project import load_project
    from ppo_marketing.retraining.schedules import Schedule, files

    loaded = load_project(project)
    planned = Schedule(
        name=loaded.name,
        project=loaded.path,
        command=(sys.executable, "-m", "ppo_marketing"),
        time=time,
        weekday=weekday,
        image=image,
    )
    written = files(planned)
    made(output)
    for name, text in written.items():
        write_atomically(output / name, text.encode())
    show(
        json,
        {"folder": str(output), "files": list(written)},
        "\n".join([f"written to {output}:", *(f"  {name}" for name in written)]),
    )


def regress(
    old: Annotated[Path, typer.Argument(help="The run folder of what runs today.")],
    new: Annotated[Path, typer.Argument(help="The run folder of what would run.")],
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show what a changed setting, reward, limit or guardrail changes; exit 5 beyond the bounds.

    Bounds are `drift:` of --config, or of the new run.
    """
    from ppo_marketing import report_drift
    from ppo_marketing.config import read_mapping
    from ppo_marketing.jobs.regressing import regress as regressed
    from ppo_marketing.jobs.regressing import require_within

    bounds = None
    if config_file is not None:
        decision = read_mapping(new / "config.yaml")["decision"]
        bounds = config_from(config_file, decision=decision).drift
    found = regressed(old, new, bounds=bounds)
    if json:
        show(True, found.as_dict(), "")
    else:
        for line in found.told() or ["nothing was asked for otherwise"]:
            typer.echo(line)
        print_table(report_drift.drift_table(found.drift))
        typer.echo(report_drift.flows(found.drift))
        if found.of_shipped_alone:
            typer.echo(
                "an action no longer means what it meant: what reaches the market is compared, "
                "and not how sure the policies are of it"
            )
    require_within(found)


def _example(decision: str | None) -> None:
    from envs import decision_names
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.retraining.project import example

    card = decision_named(decision or decision_names()[0])
    typer.echo(example(card.name), nl=False)


def _show(done: Retrained, json: bool) -> None:
    from ppo_marketing.errors import GateNotPassed
    from ppo_marketing.retraining.decisions import Outcome

    values = {**asdict(done), "outcome": str(done.outcome), "folder": str(done.folder)}
    listed = [f"  {reason}" for reason in done.reasons]
    if not done.new:
        first = f"nothing to do: run {done.key[:16]} ended on {done.ended}: {done.outcome}"
    else:
        first = f"{done.outcome}: run {done.key[:16]} in {done.folder}"
    show(json, values, "\n".join([first, *listed]))
    if done.new and done.outcome is Outcome.KEPT:
        raise GateNotPassed("the champion stays; the reasons are above")


def _watch(job: Job, folder: Path, once: bool, json: bool) -> None:
    from ppo_marketing.jobs.watching import watch

    for taken in watch(job, folder, until_empty=once):
        show(json, taken.as_dict(), taken.told())
