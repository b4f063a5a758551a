"""A released run to every target that a project names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppo_marketing.jobs.exporting import export_bundle
from ppo_marketing.jobs.handing_over import Order, hand_over, require_written
from ppo_marketing.retraining.project import ExportSection

BUNDLE = "bundle"


def export_all(
    exports: Sequence[ExportSection], run: Path, made_at: str, *, dry_run: bool
) -> list[dict[str, Any]]:
    """Write a judged run to every target, each whole or not at all; reports, one a target.

    Raises Refused where a target refuses a row or a change, and as `hand_over`.
    """
    return [_exported(export, run, made_at, dry_run) for export in exports]


def _exported(export: ExportSection, run: Path, made_at: str, dry_run: bool) -> dict[str, Any]:
    if export.target == BUNDLE:
        return export_bundle(run, export.output, made_at=made_at, dry_run=dry_run)
    report = hand_over(
        run,
        Order(
            target=export.target, output=export.output, now=datetime.now(UTC), rows=export.rows,
            profile=export.profile, suppression=export.suppression, consent=export.consent,
            list_hours=export.list_hours, max_change=export.max_change, dry_run=dry_run,
        ),
    )  # fmt: skip
    require_written(report)
    return report
