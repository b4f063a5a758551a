"""The command line: `ppo-marketing COMMAND`. Results on stdout, everything for people on stderr.

Heavy libraries are imported inside the commands, so that help answers at once.
"""

from __future__ import annotations

import json as json_module
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ppo_marketing.errors import Interrupted, PpoMarketingError, UserError

if TYPE_CHECKING:
    from envs.core.decision import Decision
    from ppo_marketing.config import RunConfig
    from ppo_marketing.evaluation import Judgement

EXIT_CODES = """
Exit codes: 0 done; 1 unexpected; 2 usage; 3 bad data or configuration; 4 gate not passed;
5 guardrail or approval refusal; 6 integrity (a hash does not match); 75 another job holds the lock;
130 / 143 interrupted by Ctrl-C / SIGTERM after saving: the same command resumes.
"""

app = typer.Typer(
    help="Decision policies for marketing, learned from your own logs and judged before they ship.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DecisionName = Annotated[str, typer.Argument(help="The decision type: a folder of envs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="A YAML file; flags override it.")
]
Seed = Annotated[int | None, typer.Option(help="Fixes every draw of the run.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where results go.")]
Columns = Annotated[
    Path | None, typer.Option(help="YAML: canonical column name -> the name in your file.")
]
ReaderName = Annotated[
    str | None, typer.Option("--reader", help="A named reader of a known format.")
]
ReaderOption = Annotated[
    list[str] | None, typer.Option("--reader-option", help="NAME=NUMBER; may be repeated.")
]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE, a setting of the environment (YAML); may be repeated."),
]
Steps = Annotated[int | None, typer.Option("--steps", help="Environment steps of training.")]
AcceptFidelity = Annotated[
    str | None,
    typer.Option(
        "--accept-failed-fidelity",
        help="Train although the simulator failed its checks; the reason is recorded.",
    ),
]


@app.command()
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
    from ppo_marketing import jobs
    from ppo_marketing.config import PROJECT

    name = decision or decision_names()[0]
    config = _config(
        None,
        decision=name,
        seed=seed,
        output=output
        or Path(os.environ.get("PPO_MARKETING_PROJECT", PROJECT))
        / "data"
        / "runs"
        / f"demo-{name}",
        training={"total_steps": steps},
    )
    # A demonstration shows what this code does now, not what a checkpoint remembers.
    jobs.forget_finished(config.output)
    _run_and_show(config, json)


@app.command()
def generate(
    decision: DecisionName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    preset: Annotated[str, typer.Option(help="The market to draw from.")] = "default",
    days: Annotated[int, typer.Option(min=1, help="Length of the log.")] = 28,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Json = False,
) -> None:
    """Write a sample log, drawn from the built-in market."""
    from ppo_marketing import jobs

    rows = jobs.generate(jobs.decision_named(decision), preset, days, seed, output)
    _show(json, {"path": str(output), "rows": rows}, f"{rows:,} rows written to {output}")


@app.command()
def validate(
    decision: DecisionName,
    log: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet.")],
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    json: Json = False,
) -> None:
    """Check a log whole; every problem is listed at once."""
    from ppo_marketing import jobs

    config = _config(None, decision=decision, log=_log_flags(log, columns, reader, reader_option))
    found = jobs.validate(jobs.decision_named(config.decision), config.log, config.project)
    _show(
        json,
        found,
        "\n".join(
            f"{name:<20}{'; '.join(value) if isinstance(value, list) else value}"
            for name, value in found.items()
        ),
    )


@app.command()
def calibrate(
    decision: DecisionName,
    log: Annotated[Path | None, typer.Argument(help="The log; none: the built-in sample.")] = None,
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    setting: Setting = None,
    config_file: ConfigFile = None,
    seed: Seed = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Fit the simulator to a log and say whether it can be believed."""
    from ppo_marketing import jobs, report

    config = _config(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        log=_log_flags(log, columns, reader, reader_option),
        environment=_settings(setting),
    )
    reporter = _reporter()
    calibration = jobs.calibrate(
        jobs.decision_named(config.decision), config, config.output / "calibration", reporter
    )
    if not json:
        _print(report.fidelity_table(calibration.fidelity))
        for note in calibration.notes:
            typer.echo(f"note: {note}", err=True)
    _show(
        json,
        {"folder": str(config.output / "calibration"), **calibration.fidelity.as_dict()},
        f"the calibration is in {config.output / 'calibration'}",
    )


@app.command()
def train(
    decision: DecisionName,
    calibration: Annotated[Path, typer.Option(help="The folder that `calibrate` wrote.")],
    steps: Steps = None,
    setting: Setting = None,
    config_file: ConfigFile = None,
    seed: Seed = None,
    output: Output = None,
    accept_failed_fidelity: AcceptFidelity = None,
    json: Json = False,
) -> None:
    """Train PPO through a calibrated simulator; run again to resume."""
    from ppo_marketing import jobs

    config = _config(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        training={"total_steps": steps},
        environment=_settings(setting),
        accept_failed_fidelity=accept_failed_fidelity,
    )
    result = jobs.train_only(jobs.decision_named(config.decision), calibration, config, _reporter())
    last = result.history[-1]
    found = {
        "policy": str(config.output / "policy"),
        "steps": last.steps,
        "seconds": last.seconds,
        "steps_per_second": last.steps / last.seconds,
        "validation_share_of_ceiling": result.best_score,
        "best_update": result.best_update,
    }
    _show(
        json,
        found,
        f"{last.steps:,} steps in {last.seconds:.1f} s; the best update was {result.best_update} "
        f"of {last.update} with {result.best_score:.4f} of the ceiling on validation days\n"
        f"the policy is in {config.output / 'policy'}",
    )


@app.command()
def evaluate(
    decision: DecisionName,
    calibration: Annotated[Path, typer.Option(help="The folder that `calibrate` wrote.")],
    policy: Annotated[Path, typer.Option(help="The folder that `train` wrote.")],
    config_file: ConfigFile = None,
    episodes: Annotated[int | None, typer.Option(help="Simulated episodes to judge on.")] = None,
    seed: Seed = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Judge a policy on days never seen, beside ceiling, floor and every tuned rule."""
    from ppo_marketing import jobs

    config = _config(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        evaluation={"episodes": episodes},
    )
    card = jobs.decision_named(config.decision)
    judgement = jobs.evaluate_only(card, calibration, policy, config, _reporter())
    _show_judgement(judgement, card, json)


@app.command()
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
    """The whole line: log, calibration, training, evidence."""
    config = _config(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        log=_log_flags(log, columns, reader, reader_option),
        training={"total_steps": steps},
        environment=_settings(setting),
        accept_failed_fidelity=accept_failed_fidelity,
    )
    _run_and_show(config, json)


def _run_and_show(config: RunConfig, json: bool) -> None:
    from ppo_marketing import jobs, report
    from ppo_marketing.tracking import ui_command

    card = jobs.decision_named(config.decision)
    summary = jobs.run_line(config, _reporter())
    if json:
        _show_judgement(summary.judgement, card, True)
        return
    _print(report.fidelity_table(summary.calibration.fidelity))
    if not summary.calibration.fidelity.passed:
        typer.echo(report.unsupported(summary.calibration, config.accept_failed_fidelity))
    _show_judgement(summary.judgement, card, False)
    best = summary.training.best_score
    typer.echo(
        f"\ntrained in {summary.seconds_of_training:.0f} s"
        + ("" if best is None else f" to {best:.4f} of the ceiling on its validation days")
        + f"\nreport    {summary.output / 'report.md'}"
        f"\npolicy    {summary.output / 'policy'}"
        f"\nevidence  {summary.output / 'evidence.json'}"
        f"\nMLflow    run {summary.run_id}: {ui_command(config.project)}"
    )
    for note in summary.calibration.notes:
        typer.echo(f"note      {note}")
    if config.log.path is None:
        typer.echo(
            f"next      {Path(sys.executable).with_name('ppo-marketing')} run --decision "
            f"{config.decision} --log YOUR-LOG.csv --columns YOUR-COLUMNS.yaml"
        )


def _show_judgement(judgement: Judgement, card: Decision, json: bool) -> None:
    from ppo_marketing import report

    if json:
        _show(True, judgement.to_dict(), "")
        return
    for evidence in judgement.shown:
        _print(report.evidence_table(evidence, card))
    _print(report.kpi_table(judgement.later, card))
    typer.echo(f"\n{report.conclusion(judgement.later)}\n{report.optimism(judgement)}")


def _config(path: Path | None, **flags: Any) -> RunConfig:
    from ppo_marketing.config import load_config

    return load_config(path, _given(flags))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were set, on every level."""
    kept: dict[str, Any] = {}
    for name, value in flags.items():
        inner = _given(value) if isinstance(value, dict) else value
        if inner is not None and inner != {}:
            kept[name] = inner
    return kept


def _log_flags(
    log: Path | None, columns: Path | None, reader: str | None, options: list[str] | None
) -> dict[str, Any]:
    from ppo_marketing.config import read_columns

    return _given(
        {
            "path": log,
            "columns": None if columns is None else read_columns(columns),
            "reader": reader,
            "reader_options": _settings(options),
        }
    )


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    import yaml

    wrong = [pair for pair in pairs or [] if "=" not in pair]
    if wrong:
        raise UserError(f"write NAME=VALUE, not {', '.join(wrong)}")
    values = {}
    for pair in pairs or []:
        name, value = pair.split("=", 1)
        try:
            values[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"{pair} cannot be read: the value is not YAML ({error})") from error
    return values


def _reporter() -> Any:
    from ppo_marketing.progress import TerminalReporter

    return TerminalReporter()


def _print(table: Any) -> None:
    from rich.console import Console

    # A pipe has no width of its own; the table needs room for its intervals.
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _show(json: bool, values: dict[str, Any], text: str) -> None:
    typer.echo(json_module.dumps(values, default=str) if json else text)


STOPPED = "stopped; what had been saved is kept, and the same command goes on from it"


def _terminated(number: int, frame: object) -> NoReturn:
    """Outside training, which saves first, SIGTERM ends the program like Ctrl-C, with a word."""
    raise Interrupted(STOPPED, number)


def main() -> None:
    """Run the command line and exit with the documented code."""
    # Idle threads must not spin beside other work; read by OpenMP before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    command = typer.main.get_command(app)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = command.main(standalone_mode=False)
    except PpoMarketingError as error:
        typer.echo(f"ppo-marketing: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo(f"ppo-marketing: {STOPPED}", err=True)
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # usage errors know how to show themselves
        if show is None or not hasattr(error, "exit_code"):
            raise
        show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
