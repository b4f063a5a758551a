"""The report of a judged run, written as one page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ppo_marketing.errors import UserError
from ppo_marketing.files import made, write_atomically
from ppo_marketing.jobs.kept_runs import kept_evidence
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.verdicts import kept_verdict
from ppo_marketing.lifts import lifts
from ppo_marketing.overview import headline
from ppo_marketing.report_run import run_page


def write_report(run: Path, output: Path) -> Path:
    """Write the page of the run in `run` to `output`, an .html file that may exist already.

    Raises:
        UserError: the file is named otherwise, or the run was not judged.
        IntegrityError: verdict or evidence is not what was written.
    """
    if output.suffix != ".html":
        raise UserError(f"a report is a page of HTML: name a file {output.stem}.html")
    audited, evidence = kept_verdict(run), kept_evidence(run)
    card = decision_named(audited.decision)

    def money(amount: float) -> str:
        return f"{amount:,.4g} {evidence.currency}"

    said = headline(evidence.judgement.later, card.episode, audited.verdict.passed).sentence(money)
    html = run_page(
        card, run.name, evidence, audited.verdict, lifts(evidence.judgement.later), said,
        money=money, made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )  # fmt: skip
    made(output.parent)
    write_atomically(output, html.encode())
    return output
