"""`compare` and `tune`: would another algorithm, or other settings, do better?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    config_from,
    log_flags,
    named_values,
)
from ppo_marketing.cli.show import print_table, reporter, show

if TYPE_CHECKING:
    from ppo_marketing.config import RunConfig

Calibration = Annotated[
    Path | None,
    typer.Option(help="The folder that `calibrate` wrote; none: calibrate on --log."),
]
LogFile = Annotated[
    Path | None, typer.Option(help="The log; neither this nor --calibration: the built-in sample.")
]
Processes = Annotated[
    int | None, typer.Option(help="Trainings at once, one thread each; default: one a core.")
]


def compare(
    decision: DecisionName,
    algorithms: Annotated[
        str | None, typer.Option(help="Names with commas between; none: all that fit.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each, from --seed upwards.")] = 3,
    steps: Annotated[
        int, typer.Option(help="Environment steps of each on-policy training.")
    ] = 1_000_000,
    off_policy_steps: Annotated[
        int, typer.Option(help="The same of DQN, SAC and DDPG, which are dearer a step.")
    ] = 100_000,
    actions: Annotated[
        str,
        typer.Option(
            help="fitting (own where it fits, else the other form), own, discrete, continuous."
        ),
    ] = "fitting",
    sweep: Annotated[
        str | None, typer.Option(help="Settings of PPO, one at a time: clip,epochs,batch,...")
    ] = None,
    calibration: Calibration = None,
    log: LogFile = None,
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    setting: Setting = None,
    config_file: ConfigFile = None,
    processes: Processes = None,
    seed: Seed = None,
    output: Output = None,
    accept_failed_fidelity: AcceptFidelity = None,
    json: Json = False,
) -> None:
    """Train every algorithm that fits on equal steps and judge them on the same episodes."""
    from ppo_marketing import report_comparison
    from ppo_marketing.jobs.comparing import compare as compare_all
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.plan import ComparisonPlan
    from ppo_marketing.tracking import ui_command

    config = search_config(
        config_file, decision, seed, output, accept_failed_fidelity, setting,
        log_flags(log, columns, reader, reader_option), calibration,
    )  # fmt: skip
    plan = ComparisonPlan(
        algorithms=listed(algorithms),
        seeds=seeds,
        steps=steps,
        off_policy_steps=off_policy_steps,
        actions=actions,  # type: ignore[arg-type] # the plan refuses what is none
        sweep=listed(sweep),
        processes=processes,
    )
    card = decision_named(config.decision)
    found = compare_all(card, config, plan, calibration, reporter(), announce)
    if json:
        show(True, found.comparison.to_dict(), "")
        return
    print_table(report_comparison.comparison_table(found.comparison), width=200)
    typer.echo(
        f"\n{report_comparison.conclusion(found.comparison)}\n{report_comparison.LEGEND}\n"
        f"\nreport    {found.output / 'report.md'}"
        f"\nevidence  {found.output / 'comparison.json'}"
        f"\nMLflow    run {found.run_id}: {ui_command(config.project)}"
    )


def tune(
    decision: DecisionName,
    trials: Annotated[int, typer.Option(help="Settings to try altogether, pruned ones too.")] = 40,
    steps: Annotated[int, typer.Option(help="Environment steps of each training.")] = 200_000,
    seeds: Annotated[int, typer.Option(help="Trainings of each trial, from --seed upwards.")] = 1,
    calibration: Calibration = None,
    log: LogFile = None,
    columns: Columns = None,
    reader: ReaderName = None,
    reader_option: ReaderOption = None,
    setting: Setting = None,
    config_file: ConfigFile = None,
    processes: Processes = None,
    seed: Seed = None,
    output: Output = None,
    accept_failed_fidelity: AcceptFidelity = None,
    json: Json = False,
) -> None:
    """Search PPO's settings on the validation score; run again to go on."""
    import dataclasses

    from ppo_marketing import report
    from ppo_marketing.constrained import share_of
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.study import TuningPlan
    from ppo_marketing.jobs.tuning import tune as search
    from ppo_marketing.tracking import ui_command

    config = search_config(
        config_file, decision, seed, output, accept_failed_fidelity, setting,
        log_flags(log, columns, reader, reader_option), calibration,
    )  # fmt: skip
    plan = TuningPlan(trials=trials, steps=steps, seeds=seeds, processes=processes)
    card = decision_named(config.decision)
    found = search(card, config, plan, calibration, reporter(), announce)
    default = found.default_score
    scores = {"best_score": share_of(found.best_score), "default_score": share_of(default)}
    show(
        json,
        {**dataclasses.asdict(found), **scores},
        f"best: {report.reached(found.best_score, card)}\nthe settings it began from: "
        f"{'not measured' if default is None else report.reached(default, card)}\n"
        f"{found.trials} trials, {found.pruned} of them pruned\n"
        f"settings  {found.output / 'tuned.yaml'}"
        f"\nsummary   {found.output / 'tuning.json'}"
        f"\nMLflow    run {found.run_id}: {ui_command(config.project)}"
        f"\nnext      {use_of(found.output / 'tuned.yaml', config, calibration)}",
    )


def use_of(tuned: Path, config: RunConfig, calibration: Path | None) -> str:
    """The command that trains with what was found, on the market that it was found on."""
    line = [str(Path(sys.executable).with_name("ppo-marketing"))]
    if calibration is None:
        line += ["run", str(tuned)]
    else:
        line += ["train", config.decision, "--calibration", str(calibration)]
        line += ["--config", str(tuned)]
    line += ["--output", str(tuned.with_name("trained"))]
    if config.accept_failed_fidelity is not None:
        line += ["--accept-failed-fidelity", config.accept_failed_fidelity]
    return shlex.join(line)


def search_config(
    config_file: Path | None,
    decision: str,
    seed: int | None,
    output: Path | None,
    accepted: str | None,
    setting: list[str] | None,
    log: dict[str, Any],
    calibration: Path | None,
) -> RunConfig:
    """The configuration of a search; a log beside a calibration would change nothing."""
    from ppo_marketing.errors import UserError

    if log and calibration is not None:
        raise UserError(
            "--calibration was fitted to its own log, so that --log, --columns and --reader would "
            "change nothing: give one or the other"
        )
    return config_from(
        config_file,
        decision=decision,
        seed=seed,
        output=output,
        log=log,
        environment=named_values(setting),
        accept_failed_fidelity=accepted,
    )


def listed(text: str | None) -> tuple[str, ...]:
    """The names of a list with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def announce(text: str) -> None:
    """Say something to people before the waiting begins."""
    typer.echo(text, err=True)
