"""`export`: what a judged policy becomes outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import show


def export(
    run: Annotated[Path, typer.Argument(help="The folder that `run` wrote to.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    target: Annotated[
        str,
        typer.Option(
            help="bundle, table, google_ads, microsoft_ads, braze_users, braze_catalog, crm or "
            "multipliers."
        ),
    ] = "bundle",
    rows: Annotated[
        Path | None, typer.Option(help="What you run now: keywords, campaigns, customers.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="YAML: the target's settings, `columns` and `join`.")
    ] = None,
    suppression: Annotated[
        Path | None, typer.Option(help="Ids that are left alone, dated; people need it.")
    ] = None,
    consent: Annotated[
        Path | None, typer.Option(help="Ids that agreed, dated; people need it.")
    ] = None,
    list_hours: Annotated[float, typer.Option(min=0, help="How old both lists may be.")] = 24.0,
    max_change: Annotated[
        float, typer.Option(min=0, help="The largest change since the last export: 0.5 is half.")
    ] = 0.5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, write nothing.")] = False,
    json: Json = False,
) -> None:
    """Write what leaves the house, whole or not at all; exit 4 where the gate refuses it.

    Exit 5 where a change is too large or a list is missing or stale, 6 where a file is not what was
    written.
    """
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    if target == "bundle":
        from ppo_marketing.jobs.exporting import export_bundle

        made_at = now.isoformat(timespec="seconds")
        bundle = export_bundle(run, output, made_at=made_at, dry_run=dry_run)
        show(json, bundle, _about_bundle(bundle))
        return
    from ppo_marketing.jobs.handing_over import Order, hand_over, require_written

    report = hand_over(
        run,
        Order(
            target=target, output=output, now=now, rows=rows, profile=profile,
            suppression=suppression, consent=consent, list_hours=list_hours,
            max_change=max_change, dry_run=dry_run,
        ),
    )  # fmt: skip
    show(json, report, _about(report))
    require_written(report)


def _about_bundle(found: dict[str, Any]) -> str:
    said = "would be written to" if found["dry_run"] else "is in"
    lines = [f"the bundle {said} {found['folder']}:"]
    lines += [f"  {size:>10,} {name}" for name, size in found["files"].items()]
    lines += [f"without {name}: {why}" for name, why in found["left_out"].items()]
    return "\n".join(lines)


PREVIEWED = 8
"""Rows of the preview that people are shown; --json has more."""


def _about(report: dict[str, Any]) -> str:
    """The validation report as people read it."""
    lines = [
        f"{report['target']}: {report['rows']:,} of {report['given']:,} rows; "
        f"{report['added']:,} new, {report['changed']:,} changed, "
        f"{report['unchanged']:,} as before, {report['removed']:,} gone"
    ]
    for one in report["preview"][:PREVIEWED]:
        cells = "; ".join(f"{n}: {old} -> {new}" for n, (old, new) in one["cells"].items())
        lines.append(f"  {one['change']} {one['key']}: {cells}")
    lines += [f"refused ({count}): {why}" for why, count in report["refused_because"].items()]
    lines += [f"left out ({count}): {why}" for why, count in report["left_out"].items()]
    lines += [f"note: {warning}" for warning in report["warnings"]]
    if report["stopped"] is None:
        said = "would be written to" if report["dry_run"] else "written to"
        lines += [f"{said} {report['output']}: {', '.join(report['files'])}"]
    return "\n".join(lines)
