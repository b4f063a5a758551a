"""`serve`, `score` and `join`: an exported policy at work, and what comes of its decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import show

BundleFolder = Annotated[Path, typer.Argument(help="The folder that `export` wrote.")]


def serve(
    bundle: BundleFolder,
    config_file: Annotated[
        Path | None, typer.Option("--config", "-c", help="A YAML file; flags override it.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="The address; other than this machine needs a token.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0: any that is free.")] = None,
    folder: Annotated[
        str | None, typer.Option(help="Books and decision log; one server at a time has it.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="The bundle's hash, kept elsewhere; another is refused.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let books go on after a pause of over a month.")
    ] = False,
) -> None:
    """Answer live: what to do in each situation, behind the policy's guardrails.

    A newly exported bundle in the same folder takes over by itself, once it is verified.
    """
    from ppo_marketing.serve.run import serve as run
    from ppo_marketing.serve.settings import read_settings

    settings = read_settings(config_file, {"host": host, "port": port, "folder": folder})
    run(bundle, settings, sha256=sha256, resume=resume)


def join(
    log: Annotated[list[Path], typer.Argument(help="Decision logs: files, or their folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .csv or .parquet to write.")],
    outcomes: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: what came of decisions, by their id.")
    ] = None,
    key: Annotated[str, typer.Option(help="The column of --outcomes with the id.")] = "decision_id",
    absent: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=VALUE where nothing came of a decision; may be repeated."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: further rows of the same log.")
    ] = None,
    json: Json = False,
) -> None:
    """Make the next calibration's log of decisions and what came of them."""
    from ppo_marketing.cli.options import named_values
    from ppo_marketing.serve.outcomes import join_outcomes

    report = join_outcomes(
        log, output, outcomes=outcomes, key=key, absent=named_values(absent), events=events
    )
    show(
        json,
        report,
        f"{report['rows']:,} rows of {report['decisions']:,} decisions in {report['files']:,} "
        f"files, {report['with_outcome']:,} with an outcome, written to {report['output']}\n"
        f"{report['outcomes_of_unknown_decisions']:,} outcomes name a decision that is not there; "
        f"{report['without_row']:,} decisions are no row of a log",
    )


def score(
    bundle: BundleFolder,
    table: Annotated[Path, typer.Argument(help="CSV or Parquet; its columns are the fields.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .csv or .parquet to write.")],
    fallback: Annotated[
        float | None, typer.Option(help="The action where a row cannot be answered.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads that ask the policy.")] = 2,
    json: Json = False,
) -> None:
    """Decide every row of a table; exit 5 where the guardrails need one decision after another."""
    from ppo_marketing.cli.show import reporter
    from ppo_marketing.serve.scoring import score_table

    report = score_table(bundle, table, output, reporter(), fallback=fallback, threads=threads)
    lines = [f"{report['rows']:,} rows decided by {report['policy']}, in {report['output']}"]
    lines += [f"  {count:,} rows: {reason}" for reason, count in report["reasons"].items()]
    show(json, report, "\n".join(lines))
