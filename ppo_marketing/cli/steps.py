"""The line a step at a time: `generate`, `validate`, `calibrate`, `train`, `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppo_marketing.cli.options import (
    AcceptFidelity,
    Columns,
    ConfigFile,
    DecisionName,
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
from ppo_marketing.cli.show import print_table, reporter, show, show_judgement, show_off_policy


def generate(
    decision: DecisionName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    preset: Annotated[str, typer.Option(help="The market to draw from.")] = "default",
    days: Annotated[
        int,
        typer.Option(min=1, help="Length of the log, in the decision's own periods (days; weeks)."),
    ] = 28,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Json = False,
) -> None:
    """Write a sample log, drawn from the built-in market."""
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.logs import generate as generate_sample

    card = decision_named(decision)
    rows = generate_sample(card, preset, days, seed, output)
    length = f"{days} {card.sample_period}"
    show(
        json,
        {"path": str(output), "rows": rows, "length": length},
        f"{rows:,} rows of {length} written to {output}",
    )


def validate(
    decision: DecisionName,
    log: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet.")],
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    json: Json = False,
) -> None:
    """Check a log whole; every problem is listed at once."""
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.logs import validate as validate_log

    config = config_from(
        None, decision=decision, log=log_flags(log, columns, reader, reader_option)
    )
    found = validate_log(decision_named(config.decision), config.log, config.project)
    show(
        json,
        found,
        "\n".join(
            f"{name:<20}{'; '.join(value) if isinstance(value, list) else value}"
            for name, value in found.items()
        ),
    )


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
    from ppo_marketing import report
    from ppo_marketing.jobs.calibration import calibrate as calibrate_log
    from ppo_marketing.jobs.logs import decision_named

    config = config_from(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        log=log_flags(log, columns, reader, reader_option),
        environment=named_values(setting),
    )
    calibration = calibrate_log(
        decision_named(config.decision), config, config.output / "calibration", reporter()
    )
    if not json:
        print_table(report.fidelity_table(calibration.fidelity))
        for note in calibration.notes:
            typer.echo(f"note: {note}", err=True)
    show(
        json,
        {"folder": str(config.output / "calibration"), **calibration.fidelity.as_dict()},
        f"the calibration is in {config.output / 'calibration'}",
    )


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
    from ppo_marketing import report
    from ppo_marketing.constrained import share_of
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.training import train_only

    config = config_from(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        training={"total_steps": steps},
        environment=named_values(setting),
        accept_failed_fidelity=accept_failed_fidelity,
    )
    card = decision_named(config.decision)
    result = train_only(card, calibration, config, reporter())
    last, best = result.history[-1], result.best_score
    assert best is not None, "training validates"
    found = {
        "policy": str(config.output / "policy"),
        "steps": last.steps,
        "seconds": last.seconds,
        "steps_per_second": last.steps / last.seconds,
        "validation_share_of_ceiling": share_of(best),
        "best_update": result.best_update,
    }
    show(
        json,
        found,
        f"{last.steps:,} steps in {last.seconds:.1f} s; the best update was {result.best_update} "
        f"of {last.update}: {report.reached(best, card)}\n"
        f"the policy is in {config.output / 'policy'}",
    )


def evaluate(
    decision: DecisionName,
    policy: Annotated[
        Path,
        typer.Option(
            help="The folder that `train` wrote; with --log a CSV or Parquet of probabilities, a "
            "row for each of the log's and a column for each action, or `uniform`."
        ),
    ],
    calibration: Annotated[
        Path | None, typer.Option(help="The folder that `calibrate` wrote: simulators judge.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="A log that judges alone, without any simulator.")
    ] = None,
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    champion: Annotated[
        Path | None,
        typer.Option(help="The folder of the policy that runs today: what would change?"),
    ] = None,
    config_file: ConfigFile = None,
    episodes: Annotated[int | None, typer.Option(help="Simulated episodes to judge on.")] = None,
    seed: Seed = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Judge a policy on days never seen, beside ceiling, floor and every tuned rule.

    Or, with --log, by what a log alone says of it: every estimator beside the others.
    """
    from ppo_marketing.jobs.judging import evaluate_only
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.off_policy import evaluate_on_log

    if (calibration is None) == (log is None):
        raise typer.BadParameter(
            "give --calibration FOLDER, and simulators judge a trained policy; or --log FILE, and "
            "that log alone judges a table of probabilities"
        )
    if log is not None and champion is not None:
        raise typer.BadParameter("--champion is compared in a simulator: give --calibration too")
    config = config_from(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        log=log_flags(log, columns, reader, reader_option),
        evaluation={"episodes": episodes},
    )
    card = decision_named(config.decision)
    if calibration is None:
        show_off_policy(evaluate_on_log(card, policy, config, reporter()), json)
        return
    judged = evaluate_only(card, calibration, policy, config, reporter(), champion)
    show_judgement(judged.judgement, judged.verdict, card, json, judged.drift, judged.interventions)


def gate(
    folder: Annotated[Path, typer.Argument(help="The folder that `run` or `evaluate` wrote to.")],
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Hold a judged policy to the rules of release; exit 4 where a test refuses it.

    Rules come from the evaluation, or from `gate:` of --config, where they are stricter.
    """
    from ppo_marketing.cli.show import show_verdict
    from ppo_marketing.gate import judge
    from ppo_marketing.jobs.verdicts import kept_verdict, require_passed

    kept = kept_verdict(folder)
    rules = kept.rules
    if config_file is not None:
        rules = config_from(config_file, decision=kept.decision).gate
    verdict = judge(kept.audit, rules)
    if json:
        show(True, verdict.as_dict(), "")
    else:
        show_verdict(verdict)
    require_passed(verdict)
