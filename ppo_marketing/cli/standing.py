"""`overview` and `jobs`: where a decision stands, and what runs in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ppo_marketing.cli.options import DecisionName, Json
from ppo_marketing.cli.show import print_table, show


def overview(
    decision: DecisionName,
    run: Annotated[
        str | None, typer.Option(help="A run in data/runs, by name; none: the newest.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a policy would earn, on data how fresh, what is released and what needs a look."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from ppo_marketing.config import project_folder
    from ppo_marketing.jobs.kept_runs import run_named
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.overview import overview as look
    from ppo_marketing.roster import roster

    card, project = decision_named(decision), project_folder()
    seen = look(project, card, run_named(project, card.name, run), datetime.now(UTC))
    currency = "" if seen.evidence is None else seen.evidence.currency
    said = (
        f"nothing of {decision} has been judged yet: `ppo-marketing demo {decision}`"
        if seen.headline is None
        else seen.headline.sentence(lambda amount: f"{amount:,.2f} {currency}")
    )
    values: dict[str, Any] = {
        "decision": decision,
        "run": None if seen.run is None else seen.run.name,
        "headline": said,
        "rows": [asdict(row) for row in seen.rows],
        "alerts": [asdict(alert) for alert in seen.alerts],
        "champion": None if seen.champion is None else seen.champion.champion.to_version,
        "challenger": None if seen.challenger is None else seen.challenger.to_version,
        "project": [one.to_dict() for one in roster(project)],
    }
    show(json, values, "\n".join([said, *(f"  {alert.text}" for alert in seen.alerts)]))


def jobs(
    stop: Annotated[
        str | None, typer.Option(help="Ask the job of this id to save and end.")
    ] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with the job of this id.")] = None,
    json: Json = False,
) -> None:
    """List what runs, or ran, in the background; stop or resume one of them."""
    from rich.table import Table

    from ppo_marketing.config import project_folder
    from ppo_marketing.jobs import background

    project = project_folder()
    if stop is not None:
        background.stop(background.job_named(project, stop))
    if resume is not None:
        background.resume(project, background.job_named(project, resume))
    found = background.jobs_of(project)
    if json:
        show(True, {"jobs": [_plain(job) for job in found]}, "")
        return
    table = Table(title="jobs", title_justify="left")
    for column in ("id", "what", "state", "done", "results"):
        table.add_column(column)
    for job in found:
        output = str(Path(job.order.output).name)
        table.add_row(job.id, job.order.title, job.state, f"{job.seen.share:.0%}", output)
    print_table(table)


def _plain(job: Any) -> dict[str, Any]:
    return {
        "id": job.id,
        "title": job.order.title,
        "decision": job.order.decision,
        "state": job.state,
        "exit_code": job.exit_code,
        "output": str(job.order.output),
        "stage": job.seen.stage,
        "share": job.seen.share,
        "said": job.said,
    }
