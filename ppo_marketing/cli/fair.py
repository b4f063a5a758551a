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
    import numpy as np

    from envs.core.log_problems import LogError, Problems
    from envs.core.log_schema import Column
    from ppo_marketing.errors import UserError
    from ppo_marketing.experiment.files import id_column, read_cells
    from ppo_marketing.fairness import treatment_fairness

    told = (
        Column(name=treated, kind="number", unit="0, 1 or a probability")
        if action is None
        else id_column(treated)
    )
    names = [*attribute, *([] if unit is None else [unit])]
    problems = Problems(file.name)
    try:
        cells = read_cells(file, [told, *(id_column(name) for name in names)], problems)
        problems.refuse()
    except LogError as error:
        raise UserError(str(error)) from error
    share = cells[treated] if action is None else (cells[treated] == action).astype(np.float64)
    if action is not None and not share.any():
        known = ", ".join(sorted(set(cells[treated].tolist()))[:12])
        raise UserError(f"no decision of {file.name} is {action!r}: {treated} holds {known}")
    found = treatment_fairness(
        share,
        {name: cells[name] for name in attribute},
        unit=None if unit is None else cells[unit],
    )
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
