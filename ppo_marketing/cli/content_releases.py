"""`content approve`, `reject`, `promote`, `rollback`, `champion`, `export`: a model goes live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppo_marketing.cli.content_options import Seed
from ppo_marketing.cli.options import Json
from ppo_marketing.cli.releases import Approver, Why, champion_text, show_released
from ppo_marketing.cli.show import show

if TYPE_CHECKING:
    from ppo_marketing.jobs.release_book import Desk

Judged = Annotated[
    Path, typer.Argument(help="The folder that `content gate --output` wrote to.", metavar="JUDGED")
]


def approve(
    judged: Judged, approver: Approver = None, reason: Why = None, json: Json = False
) -> None:
    """Record that a person agrees to the release of a judged model (four eyes)."""
    from ppo_marketing.jobs import releasing

    done = releasing.approve(judged, _desk(), approver=approver, reason=reason or "")
    show_released(done, json, "approved")


def reject(
    judged: Judged, approver: Approver = None, reason: Why = None, json: Json = False
) -> None:
    """Record that a judged model must not be released; approvals of it no longer count."""
    from ppo_marketing.jobs import reviewing

    done = reviewing.reject(judged, _desk(), approver=approver, reason=reason)
    show_released(done, json, "rejected")


def promote(
    judged: Judged,
    approver: Approver = None,
    override: Annotated[
        str | None, typer.Option(help="Why it is released though the gate refused it.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="The override's last day, YYYY-MM-DD; at most 90 days ahead.")
    ] = None,
    reason: Why = None,
    json: Json = False,
) -> None:
    """Make a judged model the champion; exit 4 where the gate refused it."""
    from ppo_marketing.jobs import releasing
    from ppo_marketing.releases import override_from

    desk = _desk()
    asked = override is not None or expires is not None
    given = override_from(override, approver, expires, desk.now) if asked else None
    done = releasing.promote(judged, desk, approver=approver, override=given, reason=reason or "")
    show_released(done, json, "promoted")


def rollback(approver: Approver = None, reason: Why = None, json: Json = False) -> None:
    """Make the model before this champion champion again."""
    from ppo_marketing.jobs import releasing
    from ppo_marketing.jobs.releasable import LANGUAGE_MODEL

    done = releasing.rollback(LANGUAGE_MODEL, _desk(), approver=approver, reason=reason)
    show_released(done, json, "rolled back")


def champion(json: Json = False) -> None:
    """Who is champion, since when, by whom, on what verdict."""
    from ppo_marketing.jobs import released
    from ppo_marketing.jobs.releasable import LANGUAGE_MODEL

    desk = _desk()
    values, text = champion_text(released.champion_of(LANGUAGE_MODEL, desk), desk)
    show(json, values, text)


def export(
    judged: Judged,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the files.")],
    per_prompt: Annotated[int, typer.Option(min=1, help="Texts of each prompt.")] = 1,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Write copy of a model that may be used: a copy deck and a Braze catalog; exit 4 if not."""
    from ppo_marketing.files import made, write_atomically
    from ppo_marketing.jobs.content_exporting import export_copy

    found = export_copy(judged, _desk(), per_prompt=per_prompt, seed=seed)
    made(output)
    for name, content in found.files.items():
        write_atomically(output / name, content)
    values = {
        "files": [str(output / name) for name in found.files],
        "texts": len(found.rows),
        "blocked": found.blocked,
        "without_text": list(found.without),
    }
    show(
        json,
        values,
        f"{len(found.rows):,} texts in {output}: {', '.join(found.files)}; {found.blocked:,} were "
        "blocked",
    )


def _desk() -> Desk:
    from ppo_marketing.config import project_folder
    from ppo_marketing.jobs.release_book import desk_of

    return desk_of(project_folder())
