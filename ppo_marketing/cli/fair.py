"""`fairness`: who is treated how often, by the protected attributes of a table of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import print_table, show

if TYPE_CHECKING:
    from rich.table import Table

    from ppo_marketing.fairness import AttributeFairness


def fairness(
    file: Annotated[Path, typer.Argument(help="Decisions: CSV, CSV.gz or Parquet, one a row.")],
    attribute: Annotated[
        list[str], typer.Option(help="A column with a protected attribute; may be repeated.")
    ],
    treated: Annotated[
        str, typer.Option(help="The column of treatments: 0, 1 or a probability; or of actions.")
    ] = "treated",
    action: Annotated[
        str | None, typer.Option(help="Which action counts as treatment, where it holds actions.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="The column that says whose decision it is.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare how often protected groups are treated: four fifths, parity gap."""
    from ppo_marketing.fairness_file import fairness_of_file

    found = fairness_of_file(file, attribute, treated=treated, action=action, unit=unit)
    if json:
        show(True, {one.attribute: one.to_dict() for one in found}, "")
        return
    for one in found:
        print_table(_table(one))
        for reason in one.reasons:
            typer.echo(f"  {reason}")


def _table(found: AttributeFairness) -> Table:
    from rich.table import Table

    table = Table(title=f"{found.attribute}: {found.verdict}", title_justify="left")
    for column in ("group", "people", "treated [95 %]", "of the best", "gap [95 %]", "verdict"):
        table.add_column(column, justify="left" if column == "group" else "right")
    for row in found.groups:
        (low, high), bounds = row.rate_bounds, row.gap_bounds
        table.add_row(
            row.group,
            f"{row.units:,}",
            f"{100 * row.rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]",
            "-" if row.ratio is None else f"{row.ratio:.2f}",
            "-"
            if row.gap is None or bounds is None
            else f"{100 * row.gap:+.1f} [{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]",
            row.verdict,
        )
    return table
