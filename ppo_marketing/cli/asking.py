"""`limits` and `report`: what a judged run is asked further, without judging it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import print_table, show

if TYPE_CHECKING:
    from rich.table import Table

    from ppo_marketing.evaluation import Estimate
    from ppo_marketing.shadow_prices import ShadowPrices

RunFolder = Annotated[
    Path, typer.Argument(help="The folder that `run` or `evaluate` wrote to.", metavar="RUN")
]


def limits(
    run: RunFolder,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML with a `guardrails:` section; none: the run's."),
    ] = None,
    json: Json = False,
) -> None:
    """Price guardrails: the run's policy with and without each limit, on the same episodes."""
    from ppo_marketing.jobs.kept_parts import parts_of
    from ppo_marketing.jobs.limit_costs import checked_section, limit_costs, section_in

    parts = parts_of(run)
    section = (
        parts.config.guardrails
        if config_file is None
        else checked_section(parts, section_in(config_file))
    )
    found = limit_costs(parts, section)
    if json:
        show(True, found.to_dict(), "")
        return
    print_table(_table(found))
    typer.echo(
        f"without any limit {_money(found.unguarded)}, with all {_money(found.guarded)}: they cost "
        f"{_money(found.cost)}, and change {found.changed:,} of {found.decisions:,} decisions"
    )
    if found.not_simulated:
        typer.echo(
            "not priced, since these episodes cannot ask about them: "
            f"{', '.join(found.not_simulated)}"
        )


def report(
    run: RunFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .html file to write.")],
    json: Json = False,
) -> None:
    """Write a run's evidence and verdict as one page of HTML that stands alone."""
    from ppo_marketing.jobs.run_report import write_report

    written = write_report(run, output)
    show(json, {"path": str(written)}, f"the report is in {written}")


def _table(found: ShadowPrices) -> Table:
    from rich.table import Table

    table = Table(title="what limits cost, an episode", title_justify="left")
    for column in ("limit", "allows", "changes", "alone [95 %]", "shadow price [95 %]"):
        table.add_column(column, justify="left" if column in ("limit", "allows") else "right")
    for one in found.limits:
        table.add_row(
            one.limit, one.allows, f"{one.changed:,}", _money(one.alone), _money(one.price)
        )
    return table


def _money(estimate: Estimate) -> str:
    return f"{estimate.value:,.4g} [{estimate.low:,.4g}, {estimate.high:,.4g}] {estimate.unit}"
