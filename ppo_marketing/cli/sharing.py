"""`allocate`: one budget shared out over the campaigns of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.cli.options import Json, Seed
from ppo_marketing.cli.show import print_table, reporter, show

if TYPE_CHECKING:
    from rich.table import Table

    from ppo_marketing.what_if.allocation import Allocation


def allocate(
    runs: Annotated[
        list[Path], typer.Argument(help="Judged runs, each one campaign; of one decision.")
    ],
    total: Annotated[
        float | None, typer.Option(help="The budget to share; none: what all spend now.")
    ] = None,
    terms: Annotated[
        list[str] | None,
        typer.Option(
            "--terms",
            "-t",
            help="'RUN: locked' or 'RUN: least=0.5, most=2, size=1000' (x what it spends now; "
            "episodes that it has); may be repeated.",
        ),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", "-s", help="'Name: knob=factor, ...', for all.")
    ] = None,
    more: Annotated[
        float | None, typer.Option("--next", help="Where so much more would go, all else as now.")
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Simulated episodes of each.")] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Share one budget out over several runs: more to whoever makes most of the next unit."""
    from dataclasses import asdict

    from ppo_marketing.jobs.campaigns import curve_of_run, origin_of
    from ppo_marketing.jobs.kept_parts import parts_of
    from ppo_marketing.what_if.allocation import allocate as shared_out
    from ppo_marketing.what_if.allocation import next_money
    from ppo_marketing.what_if.campaigns import doubts, parsed_terms, refuse_mixed
    from ppo_marketing.what_if.scenarios import TODAY, parsed

    read = [parts_of(run) for run in runs]
    refuse_mixed([origin_of(parts) for parts in read])
    decision, currency = read[0].decision, read[0].settings.currency
    kept = parsed_terms(terms or [], [parts.run.name for parts in read])
    asked = TODAY if scenario is None else parsed(decision, scenario)
    with reporter().stage("playing other amounts of money"):
        found = [curve_of_run(parts, asked, episodes=episodes, seed=seed) for parts in read]
    origins = [origin for origin, _ in found]
    refuse_mixed(origins)
    campaigns = [kept[curve.name].campaign(curve) for _, curve in found]
    worth = 0.0 if decision.value_after_spend else 1.0
    budget = sum(one.curve.now for one in campaigns) if total is None else total
    shares = shared_out(campaigns, budget, worth=worth)
    went = () if more is None else next_money(campaigns, more, worth=worth)
    if json:
        told: dict[str, Any] = {
            "decision": decision.name,
            "currency": currency,
            "scenario": asked.text,
            **asdict(shares),
            "value": shares.value,
            "gain": shares.gain,
            "next": [{"run": name, "spend": spend, "gain": gain} for name, spend, gain in went],
            "curves": {one.name: one.curve.to_dict() for one in campaigns},
            "doubts": list(doubts(origins)),
        }
        show(True, told, "")
        return
    print_table(_table(shares, currency))
    typer.echo(
        f"shared so, they would earn {shares.value:,.4g} {currency}: {shares.gain:+,.4g} against "
        f"now; {shares.left:,.4g} stay unspent"
    )
    for name, spend, gain in went:
        typer.echo(f"of the next {more:,.4g}, {name} gets {spend:,.4g} and gains {gain:,.4g}")
    for line in doubts(origins):
        typer.echo(line)


def _table(found: Allocation, currency: str) -> Table:
    from rich.table import Table

    table = Table(
        title=f"{found.total:,.4g} {currency} over {len(found.shares)} campaigns",
        title_justify="left",
    )
    table.add_column("run")
    for name in ("spend now", "then", "value now", "then", "of the next unit"):
        table.add_column(name, justify="right")
    for one in found.shares:
        more = "-" if one.next_value is None else f"{one.next_value:,.3g}"
        amounts = (one.now, one.spend, one.value_now, one.value)
        table.add_row(one.name, *(f"{amount:,.4g}" for amount in amounts), more)
    return table
