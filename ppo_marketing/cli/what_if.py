"""`scenario`: what a trained policy would earn if market or money were otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.cli.options import Json, Seed
from ppo_marketing.cli.show import print_table, reporter, show

if TYPE_CHECKING:
    from envs.core.decision import Decision
    from ppo_marketing.what_if.answers import Answer
    from ppo_marketing.what_if.curve import Curve
    from ppo_marketing.what_if.stage import Stage
    from ppo_marketing.what_if.target import Limit


def scenario(
    run: Annotated[Path, typer.Argument(help="The folder that `run` or `evaluate` wrote to.")],
    scenarios: Annotated[
        list[str] | None,
        typer.Option("--scenario", "-s", help="'Name: knob=factor, ...'; may be repeated."),
    ] = None,
    saved: Annotated[bool, typer.Option("--saved", help="Those kept in the project too.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Keep those given in the project.")] = False,
    knobs: Annotated[bool, typer.Option("--knobs", help="Only list what can be moved.")] = False,
    beside: Annotated[bool, typer.Option("--beside", help="Beside every tuned rule.")] = False,
    curve: Annotated[bool, typer.Option("--curve", help="What other spend would bring.")] = False,
    cpa: Annotated[
        float | None, typer.Option(help="The most that an additional event may cost.")
    ] = None,
    roas: Annotated[
        float | None, typer.Option(help="The least additional value for a unit of money.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that can be mailed.")] = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Simulated episodes; all scenarios share them.")
    ] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Ask a trained policy what if: scenarios on the same simulated episodes, beside today."""
    from ppo_marketing.jobs.asking import stage_of_run
    from ppo_marketing.jobs.kept_parts import parts_of
    from ppo_marketing.what_if.answers import asked
    from ppo_marketing.what_if.curve import spend_curve
    from ppo_marketing.what_if.saved import save_scenario, saved_scenarios
    from ppo_marketing.what_if.scenarios import TODAY, parsed, several
    from ppo_marketing.what_if.sharing import to_query

    read = parts_of(run)
    if knobs:
        _show_knobs(read.decision, json)
        return
    given = [parsed(read.decision, text) for text in scenarios or []]
    kept = saved_scenarios(read.config.project, read.decision) if saved else ()
    named_already = {TODAY.name, *(one.name for one in given)}
    chosen = several([TODAY, *given, *(one for one in kept if one.name not in named_already)])
    limits = _limits(cpa, roas)
    with reporter().stage("simulating the episodes"):
        stage = stage_of_run(read, episodes=episodes, seed=seed, beside=beside)
    with reporter().stage("asking"):
        answers = asked(stage, chosen, tuple(stage.others) if beside else ())
        curves = [spend_curve(stage, one) for one in chosen] if curve or limits else []
        targets = {one.name: _targets(one, limits) for one in curves}
        found = {
            "run": run.name,
            "decision": read.decision.name,
            "episodes": stage.episodes,
            "seed": stage.seed,
            "query": to_query(chosen),
            "answers": [answer.to_dict() for answer in answers],
            "curves": {one.name: one.to_dict() for one in curves},
            "targets": targets,
        }
    for one in given if save else ():
        save_scenario(read.config.project, read.decision, one)
    if html is not None:
        _write_page(html, read.decision, run.name, answers, curves)
    if json:
        show(True, found, "")
        return
    _show(stage, answers, curves, targets)


def _limits(cpa: float | None, roas: float | None) -> list[Limit]:
    from ppo_marketing.what_if.target import Limit

    given = (Limit("cpa", cpa) if cpa is not None else None,
             Limit("roas", roas) if roas is not None else None)  # fmt: skip
    return [limit for limit in given if limit is not None]


def _targets(curve: Curve, limits: list[Limit]) -> dict[str, Any]:
    """The target of each limit, or why there is none: one scenario's says nothing of another's."""
    from dataclasses import asdict

    from ppo_marketing.errors import UserError
    from ppo_marketing.what_if.target import largest_within

    found: dict[str, Any] = {}
    for limit in limits:
        try:
            found[limit.measure] = asdict(largest_within(curve, limit))
        except UserError as error:
            found[limit.measure] = {"refused": str(error)}
    return found


def _show_knobs(decision: Decision, json: bool) -> None:
    from rich.table import Table

    from envs.core.scenario import knobs_of

    found = knobs_of(decision.scenario_type)
    if json:
        show(True, {name: vars(knob) for name, knob in found.items()}, "")
        return
    table = Table(title=f"What a scenario of {decision.title} can move", title_justify="left")
    for heading in ("knob", "from", "to", "what"):
        table.add_column(heading)
    for name, knob in found.items():
        table.add_row(name, f"{knob.low:g}", f"{knob.high:g}", f"{knob.label}: {knob.help}")
    print_table(table)


def _show(
    stage: Stage, answers: tuple[Answer, ...], curves: list[Curve], targets: dict[str, Any]
) -> None:
    from ppo_marketing import report_what_if

    print_table(report_what_if.answers_table(stage, answers))
    for curve in curves:
        print_table(report_what_if.curve_table(stage, curve))
    for name, found in targets.items():
        for measure, target in found.items():
            typer.echo(f"{name}: {report_what_if.target_sentence(measure, target)}")
    for line in (*report_what_if.notes(answers), *report_what_if.warnings(answers)):
        typer.echo(line)


def _write_page(
    path: Path, decision: Decision, run: str, answers: tuple[Answer, ...], curves: list[Curve]
) -> None:
    from datetime import UTC, datetime

    from ppo_marketing.files import written_whole
    from ppo_marketing.report_what_if import what_if_page

    made_at = f"{datetime.now(UTC):%d %b %Y, %H:%M} UTC"
    page = what_if_page(decision, run, answers, curves, made_at=made_at)
    with written_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
