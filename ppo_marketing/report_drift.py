"""What a challenger would change, in words and tables; no number is made here."""

from __future__ import annotations

import math

from rich.table import Table

from ppo_marketing.drift import Distance, Drift

LARGEST_FLOWS = 6
"""Shown of what changes; the rest is in the JSON."""

_COLUMNS = (
    "decisions", "of them", "change", "KL, nats", "95th percentile", "total variation",
    "money moved a decision", "net",
)  # fmt: skip


def drift_table(drift: Drift) -> Table:
    """One row for everyone and each segment: how much is decided otherwise, and its money."""
    table = Table(title="what would change, against the champion", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "decisions" else "right")
    for row in (drift.overall, *drift.segments):
        table.add_row(*_cells(row))
    return table


def flows(drift: Drift) -> str:
    """The largest changes of action, and the bounds that are broken."""
    changed = [flow for flow in drift.flows if flow.origin != flow.target][:LARGEST_FLOWS]
    lines = [
        f"  {100 * flow.share:.1f} % of decisions: {flow.origin} -> {flow.target}"
        + ("" if flow.money_change is None else f" ({flow.money_change:+.4g} a decision)")
        for flow in changed
        if flow.share > 0
    ]
    return "\n".join(lines or ["  nothing changes"])


def drift_markdown(drift: Drift) -> str:
    """The same as a section of a report."""
    return "\n".join([
        "## What would change, against the champion", "",
        f"| {' | '.join(_COLUMNS)} |", f"|---{'|---:' * (len(_COLUMNS) - 1)}|",
        *(f"| {' | '.join(_cells(row))} |" for row in (drift.overall, *drift.segments)),
        "", *(f"* {line.strip()}" for line in flows(drift).splitlines()),
    ])  # fmt: skip


def _cells(row: Distance) -> tuple[str, ...]:
    return (
        row.segment,
        f"{row.decisions:,}",
        f"{100 * row.changed:.1f} %",
        _number(row.mean_kl),
        _number(row.kl_95),
        _number(row.total_variation),
        _money(row.money_moved, ".4g"),
        _money(row.money_change, "+.4g"),
    )


def _number(value: float) -> str:
    return "infinite" if math.isinf(value) else f"{value:.3f}"


def _money(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
