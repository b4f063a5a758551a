"""`experiment design`, `assign` and `read`: a holdout test of a policy against the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import show
from ppo_marketing.errors import UserError

if TYPE_CHECKING:
    from ppo_marketing.experiment.design import Design
    from ppo_marketing.experiment.outcomes import Mean, Proportion
    from ppo_marketing.experiment.readout import ReadOut

app = typer.Typer(
    help="Plan a holdout test, deal units to its arms, read it out.", no_args_is_help=True
)

Share = Annotated[float, typer.Option(help="The challenger's part of the units.")]
Champion = Annotated[str, typer.Option(help="What the champion's arm is called.")]
Challenger = Annotated[str, typer.Option(help="What the challenger's arm is called.")]
UnitColumn = Annotated[str, typer.Option(help="The column of unit ids.")]


@app.command()
def design(
    base_rate: Annotated[
        float | None, typer.Option(help="The champion's rate, for outcomes of 0 and 1.")
    ] = None,
    sd: Annotated[
        float | None, typer.Option(help="Standard deviation, for amounts such as revenue.")
    ] = None,
    base_mean: Annotated[
        float | None, typer.Option(help="The champion's mean amount; --lift needs it.")
    ] = None,
    effect: Annotated[
        float | None, typer.Option(help="The change that matters, in the outcome's unit.")
    ] = None,
    lift: Annotated[
        float | None, typer.Option(help="The same relative to the champion: .05 is 5 %.")
    ] = None,
    units: Annotated[int | None, typer.Option(help="The units there are, of both arms.")] = None,
    share: Share = 0.5,
    alpha: Annotated[float, typer.Option(help="Chance to find what is not there.")] = 0.05,
    power: Annotated[float, typer.Option(help="Chance to find what is there.")] = 0.8,
    units_a_week: Annotated[
        float | None, typer.Option(help="New units a week, for the duration.")
    ] = None,
    outcome_days: Annotated[
        int, typer.Option(help="Days from a unit's arrival until its outcome is complete.")
    ] = 0,
    cluster_size: Annotated[
        float, typer.Option(help="Mean rows a cluster, where outcomes come in clusters.")
    ] = 1.0,
    cluster_correlation: Annotated[
        float, typer.Option(help="Correlation of outcomes within a cluster (ICC).")
    ] = 0.0,
    cluster_variation: Annotated[
        float, typer.Option(help="Variation of cluster sizes: their sd / mean.")
    ] = 0.0,
    json: Json = False,
) -> None:
    """Units for an effect; or the smallest effect that --units show; or, with both, the power."""
    from ppo_marketing.experiment.design import Plan, design_effect, designed

    plan = Plan(
        outcome=_outcome(base_rate, sd, base_mean),
        share=share,
        alpha=alpha,
        power=power,
        design_effect=design_effect(cluster_size, cluster_correlation, cluster_variation),
    )
    if lift is not None:
        if effect is not None:
            raise UserError("--effect and --lift say the same: give one of them")
        if not plan.outcome.base > 0:
            raise UserError("--lift is relative to the champion's mean: give --base-mean, above 0")
        effect = lift * plan.outcome.base
    found = designed(
        plan, effect=effect, units=units, units_a_week=units_a_week, outcome_days=outcome_days
    )
    show(json, found.to_dict(), _design_text(found))


@app.command()
def assign(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet with a column of unit ids.")],
    salt: Annotated[str, typer.Option(help="The experiment's name; another one deals anew.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv or .parquet to write.")],
    share: Share = 0.5,
    champion: Champion = "champion",
    challenger: Challenger = "challenger",
    unit_column: UnitColumn = "unit_id",
    json: Json = False,
) -> None:
    """Deal every unit to an arm by SHA-256 of salt and id: the same arm wherever it is asked."""
    from ppo_marketing.experiment.assignment import assigned
    from ppo_marketing.experiment.files import read_units, write_assignment

    if not 0 < share < 1:
        raise UserError(f"--share is {share}: the challenger's part must lie between 0 and 1")
    if champion == challenger:
        raise UserError(f"both arms are called {champion!r}: give them names of their own")
    unit_ids = read_units(file, unit_column)
    arms = assigned(salt, unit_ids, {champion: 1 - share, challenger: share})
    write_assignment(output, unit_ids, arms)
    counts = {name: int((arms == name).sum()) for name in (champion, challenger)}
    show(
        json,
        {"path": str(output), "salt": salt, "units": len(unit_ids), "arms": counts},
        f"{len(unit_ids):,} units dealt to {output}: "
        + ", ".join(f"{name} {count:,}" for name, count in counts.items()),
    )


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz or Parquet, one row an outcome.")],
    share: Share = 0.5,
    champion: Champion = "champion",
    challenger: Challenger = "challenger",
    unit_column: UnitColumn = "unit_id",
    arm_column: Annotated[str, typer.Option(help="The column of arms.")] = "arm",
    outcome_column: Annotated[str, typer.Option(help="The column of outcomes.")] = "outcome",
    before_column: Annotated[
        str | None,
        typer.Option(help="The same quantity before the test: narrows the interval (CUPED)."),
    ] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    json: Json = False,
) -> None:
    """The challenger against the champion, with intervals; refuses arms of the wrong sizes."""
    from ppo_marketing.experiment.files import ArmNames, ResultColumns, read_results
    from ppo_marketing.experiment.readout import read_out

    if not 0 < level < 1:
        raise UserError(f"--level is {level}: it must lie between 0 and 1, such as .95")
    columns = ResultColumns(unit_column, arm_column, outcome_column, before_column)
    results = read_results(file, columns, ArmNames(champion, challenger))
    found = read_out(results, share, level)
    show(json, found.to_dict(), _readout_text(found, champion, challenger))


def _outcome(
    base_rate: float | None, sd: float | None, base_mean: float | None
) -> Proportion | Mean:
    from ppo_marketing.experiment.outcomes import Mean, Proportion

    if (base_rate is None) == (sd is None):
        raise UserError("give --base-rate for outcomes of 0 and 1, or --sd for amounts")
    if base_rate is not None:
        if base_mean is not None:
            raise UserError("--base-mean belongs to --sd; --base-rate is the mean already")
        return Proportion(base_rate)
    assert sd is not None
    return Mean(sd) if base_mean is None else Mean(sd, base_mean)


def _design_text(found: Design) -> str:
    relative = "" if found.relative_effect is None else f" ({found.relative_effect:+.2%} relative)"
    lines = [
        f"effect     {found.effect:+.6g}{relative}",
        f"power      {found.power:.1%} at alpha {found.alpha:g}, two-sided",
        f"units      {found.units:,}: {found.champion:,} champion, {found.challenger:,} challenger",
    ]
    if found.design_effect > 1:
        lines.append(f"clusters   {found.design_effect:.3g} times the units of independent ones")
    if found.weeks is not None:
        lines.append(f"duration   {found.weeks} week{'s' if found.weeks > 1 else ''}")
    return "\n".join(lines)


_FINDINGS = {
    "better": "the challenger is better: the interval lies above 0",
    "worse": "the challenger is worse: the interval lies below 0",
    "open": "no difference is shown: the interval holds 0",
}


def _readout_text(found: ReadOut, champion: str, challenger: str) -> str:
    low, high = found.difference_bounds
    lines = [
        f"{name:<12}{arm.mean:.6g} ({arm.units:,} units, {arm.rows:,} rows)"
        for name, arm in ((champion, found.champion), (challenger, found.challenger))
    ]
    lines.append(
        f"difference  {found.difference:+.6g}, {low:+.6g} to {high:+.6g} "
        f"({100 * found.level:g} % interval, {found.method})"
    )
    if found.lift is None or found.lift_bounds is None:
        lines.append("lift        not said: the champion's mean is not clearly above 0")
    else:
        low, high = found.lift_bounds
        lines.append(f"lift        {found.lift:+.2%}, {low:+.2%} to {high:+.2%} (Fieller)")
    if found.variance_reduction is not None:
        lines.append(f"pre-period  took {found.variance_reduction:.1%} off the variance (CUPED)")
    lines.append(f"arm sizes   as dealt (p = {found.mismatch_p:.3g})")
    lines.append(_FINDINGS[found.finding])
    return "\n".join(lines)
