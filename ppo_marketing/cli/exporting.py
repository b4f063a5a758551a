"""`export`: what a judged policy becomes outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppo_marketing.cli.options import Json
from ppo_marketing.cli.show import show


def export(
    run: Annotated[Path, typer.Argument(help="The folder that `run` wrote to.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    target: Annotated[str, typer.Option(help="bundle, or a system that acts.")] = "bundle",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, write nothing.")] = False,
    json: Json = False,
) -> None:
    """Write what leaves the house, whole or not at all; exit 4 where the gate refuses it."""
    from datetime import UTC, datetime

    from ppo_marketing.jobs import exporting

    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    found = exporting.export_bundle(run, output, made_at=made_at, dry_run=dry_run)
    listed = "\n".join(f"  {size:>10,} {name}" for name, size in found["files"].items())
    left = "".join(f"\nwithout {name}: {why}" for name, why in found["left_out"].items())
    said = "would be written to" if dry_run else "is in"
    show(json, found, f"the bundle {said} {output}:\n{listed}{left}")
