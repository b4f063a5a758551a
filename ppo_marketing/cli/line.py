"""`demo` and `run`: the whole line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppo_marketing.cli.options import (
    AcceptFidelity,
    Columns,
    Json,
    Output,
    ReaderName,
    ReaderOption,
    Seed,
    Setting,
    Steps,
    config_from,
    log_flags,
    named_values,
)
from ppo_marketing.cli.show import print_table, reporter, show_judgement

if TYPE_CHECKING:
    from ppo_marketing.config import RunConfig


def demo(
    decision: Annotated[
        str | None, typer.Argument(help="The decision type: a folder of envs/.")
    ] = None,
    steps: Steps = None,
    seed: Seed = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Run the whole line on the built-in sample and show what the policy earns."""
    from envs import decision_names
    from ppo_marketing.config import project_folder
    from ppo_marketing.jobs.folder import forget_finished
    from ppo_marketing.jobs.kept_runs import runs_folder

    name = decision or decision_names()[0]
    config = config_from(
        None,
        decision=name,
        seed=seed,
        output=output or runs_folder(project_folder()) / f"demo-{name}",
        training={"total_steps": steps},
    )
    # A demonstration shows what this code does now, not what a checkpoint remembers.
    forget_finished(config.output)
    _run_and_show(config, json)


def run(
    config_file: Annotated[Path | None, typer.Argument(help="A YAML file.")] = None,
    decision: Annotated[
        str | None, typer.Option(help="The decision type: a folder of envs/.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="The log; none: the built-in sample.")] = None,
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    steps: Steps = None,
    setting: Setting = None,
    seed: Seed = None,
    output: Output = None,
    accept_failed_fidelity: AcceptFidelity = None,
    json: Json = False,
) -> None:
    """The whole line: log, calibration, training, evidence, verdict."""
    config = config_from(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        log=log_flags(log, columns, reader, reader_option),
        training={"total_steps": steps},
        environment=named_values(setting),
        accept_failed_fidelity=accept_failed_fidelity,
    )
    _run_and_show(config, json)


def _run_and_show(config: RunConfig, json: bool) -> None:
    from ppo_marketing import report
    from ppo_marketing.jobs.line import run_line
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.tracking import ui_command

    card = decision_named(config.decision)
    summary = run_line(config, reporter())
    if json:
        show_judgement(summary.judgement, summary.verdict, card, True, None, summary.interventions)
        return
    fidelity = summary.calibration.fidelity
    typer.echo(f"{report.fidelity_finding(fidelity)} The report lists each.")
    if not fidelity.passed:
        print_table(report.fidelity_table(fidelity, failures_only=True))
        typer.echo(report.unsupported(summary.calibration, config.accept_failed_fidelity))
    show_judgement(summary.judgement, summary.verdict, card, False, None, summary.interventions)
    best = summary.training.best_score
    typer.echo(
        f"\ntrained in {summary.seconds_of_training:.0f} s"
        + ("" if best is None else f": {report.reached(best, card)}")
        + f"\nreport    {summary.output / 'report.md'}"
        f"\npolicy    {summary.output / 'policy'}"
        f"\nevidence  {summary.output / 'evidence.json'}"
        f"\nverdict   {summary.output / 'verdict.json'}: `gate` and `promote` read it"
        f"\nMLflow    run {summary.run_id}: {ui_command(config.project)}"
    )
    for note in summary.calibration.notes:
        typer.echo(f"note      {note}")
    if config.log.path is None:
        typer.echo(
            f"next      {Path(sys.executable).with_name('ppo-marketing')} run --decision "
            f"{config.decision} --log YOUR-LOG.csv --columns YOUR-COLUMNS.yaml"
        )
