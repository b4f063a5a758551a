"""What guardrails did, in words; no number is made here."""

from __future__ import annotations

from rich.table import Table

from ppo_marketing.guardrails import MEANING, Interventions, Reason

HEADINGS = ("guard", "what it met", "decisions", "of all")


def interventions_table(found: Interventions) -> Table:
    """One row a reason that applied, the most frequent first; what was changed below."""
    table = Table(
        title=f"guardrails, {found.decisions:,} decisions",
        title_justify="left",
        caption=changed(found),
        caption_justify="left",
    )
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if place < 2 else "right")
    for row in _rows(found):
        table.add_row(*row)
    return table


def interventions_markdown(found: Interventions) -> str:
    """The same table for a page."""
    lines = [
        f"## Guardrails, {found.decisions:,} decisions",
        "",
        changed(found),
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in _rows(found)),
    ]
    return "\n".join(lines)


def changed(found: Interventions) -> str:
    """How often something else was shipped than was proposed, in a sentence."""
    if not found.decisions:
        return "No decision has been guarded yet."
    share = _share(found.changed, found.decisions)
    return (
        f"{found.changed:,} decisions ({share}) were shipped other than proposed; a decision may "
        "have several reasons."
    )


def _rows(found: Interventions) -> list[tuple[str, str, str, str]]:
    applied = sorted(found.counts.items(), key=lambda item: (-item[1], list(Reason).index(item[0])))
    return [
        (
            reason.value.replace("_", " "),
            MEANING[reason],
            f"{count:,}",
            _share(count, found.decisions),
        )
        for reason, count in applied
    ]


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.2f} %"
