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
    file: Annotated[
        Path,
        typer.Argument(
            help="Decisions: CSV, CSV.gz or Parquet, one a row; or the folder of a judged run, "
            "whose policy is then asked in its own held-out log."
        ),
    ],
    attribute: Annotated[
        list[str],
        typer.Option(
            help="A column with a protected attribute, or a segment of the run; may be repeated."
        ),
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
    if file.is_dir():
        _of_run(file, attribute, action, json)
        return
    from ppo_marketing.fairness_file import fairness_of_file

    found = fairness_of_file(file, attribute, treated=treated, action=action, unit=unit)
    if json:
        show(True, {one.attribute: one.to_dict() for one in found}, "")
        return
    for one in found:
        _print(one, one.attribute)


def _of_run(run: Path, names: list[str], action: str | None, json: bool) -> None:
    """By the segments of the log that a run was judged on: its policy, and the log itself."""
    from ppo_marketing.errors import UserError
    from ppo_marketing.jobs.kept_parts import parts_of
    from ppo_marketing.jobs.run_fairness import run_fairness, segments_of

    parts = parts_of(run)
    within = segments_of(parts)
    if within is None:
        raise UserError(
            "the log of this run holds no choices about people: name a table of decisions"
        )
    found = run_fairness(parts, within, names, () if action is None else (action,))
    if json:
        show(True, {one.variable.name: one.to_dict() for one in found}, "")
        return
    for one in found:
        _print(one.policy, f"{one.variable.name}, the policy")
        _print(one.log, f"{one.variable.name}, the log")


def _print(found: AttributeFairness, title: str) -> None:
    print_table(_table(found, title))
    for reason in found.reasons:
        typer.echo(f"  {reason}")


def _table(found: AttributeFairness, title: str) -> Table:
    from rich.table import Table

    table = Table(title=f"{title}: {found.verdict}", title_justify="left")
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
