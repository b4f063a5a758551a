"""`approve`, `reject`, `promote`, `rollback`, `champion`, `audit`: releasing, on the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppo_marketing.cli.options import ConfigFile, DecisionName, Json, config_from
from ppo_marketing.cli.show import show
from ppo_marketing.errors import UserError

if TYPE_CHECKING:
    from ppo_marketing.jobs.release_book import Desk
    from ppo_marketing.jobs.released import Champion
    from ppo_marketing.jobs.releasing import Released

audit = typer.Typer(help="The record of all releases: verify it, mend it.", no_args_is_help=True)

RunFolder = Annotated[
    Path,
    typer.Argument(
        help="The folder that `run`, `evaluate` or `content gate` wrote to.", metavar="RUN"
    ),
]
Approver = Annotated[
    str | None, typer.Option("--approver", help="Who answers for it, by name; recorded.")
]
Why = Annotated[str | None, typer.Option("--reason", help="Why; recorded.")]


def approve(
    run: RunFolder,
    approver: Approver = None,
    reason: Why = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Record that a person agrees to the release of a judged policy (four-eyes)."""
    from ppo_marketing.jobs import releasing

    desk = _desk(_decision_of(run), config_file)
    _show_released(
        releasing.approve(run, desk, approver=approver, reason=reason or ""), json, "approved"
    )


def reject(
    run: RunFolder,
    approver: Approver = None,
    reason: Why = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Record that a judged policy must not be released; approvals of it no longer count."""
    from ppo_marketing.jobs import reviewing

    desk = _desk(_decision_of(run), config_file)
    _show_released(reviewing.reject(run, desk, approver=approver, reason=reason), json, "rejected")


def promote(
    run: RunFolder,
    approver: Approver = None,
    override: Annotated[
        str | None,
        typer.Option(
            help="The reason to release it though its verdict did not pass; needs --approver and "
            "--expires."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="The override's last day, YYYY-MM-DD; at most 90 days ahead.")
    ] = None,
    reason: Why = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Make a judged policy the champion; exit 4 where its verdict did not pass."""
    from ppo_marketing.jobs import releasing
    from ppo_marketing.releases import override_from

    desk = _desk(_decision_of(run), config_file)
    asked = override is not None or expires is not None
    given = override_from(override, approver, expires, desk.now) if asked else None
    done = releasing.promote(run, desk, approver=approver, override=given, reason=reason or "")
    _show_released(done, json, "promoted")


def rollback(
    decision: DecisionName,
    approver: Approver = None,
    reason: Why = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Make the champion before this one champion again."""
    from ppo_marketing.jobs import releasing

    desk = _desk(decision, config_file)
    _show_released(
        releasing.rollback(decision, desk, approver=approver, reason=reason), json, "rolled back"
    )


def champion(
    decision: DecisionName,
    restore: Annotated[
        bool, typer.Option(help="Set an alias that was moved by hand back to what was released.")
    ] = False,
    approver: Approver = None,
    reason: Why = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Who is champion, since when, by whom, on what verdict."""
    from ppo_marketing.jobs import released

    desk = _desk(decision, config_file)
    if restore:
        done = released.restore(decision, desk, approver=approver, reason=reason)
        _show_released(done, json, "restored")
        return
    if approver is not None or reason is not None:
        raise UserError("--approver and --reason go with --restore: add it, or leave them out")
    found = released.champion_of(decision, desk)
    values, text = _champion(found, desk)
    show(json, values, text)


@audit.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="A head that an earlier command printed and you kept.")
    ] = None,
    json: Json = False,
) -> None:
    """Find any changed, removed, moved or added line of the audit trail; exit 6 naming it."""
    from ppo_marketing.jobs import released

    desk = _desk_of(_project())
    found = released.verify(desk, head)
    show(
        json,
        {
            "trail": str(desk.trail),
            "lines": len(found.lines),
            "head": found.head,
            "heads_compared": found.anchors,
        },
        f"{len(found.lines)} lines of {desk.trail} are what was written, held against "
        f"{found.anchors} heads kept elsewhere\nhead      {found.head}",
    )


@audit.command()
def log(
    decision: Annotated[str | None, typer.Argument(help="Only of this decision type.")] = None,
    json: Json = False,
) -> None:
    """List what was recorded, the oldest first, after verifying it."""
    from ppo_marketing.jobs import released
    from ppo_marketing.jobs.release_book import as_values

    found = released.verify(_desk_of(_project()))
    lines = [line for line in found.lines if decision in (None, line.decision)]
    show(
        json,
        {"lines": [as_values(line) for line in lines], "head": found.head},
        "\n".join(
            [
                *(
                    f"{line.sequence:>4}  {line.time}  {line.action:<8}  {line.decision}  "
                    f"{_version(line.from_version)} -> {_version(line.to_version)}  "
                    f"{line.approver} ({line.actor})  {line.verdict}: {line.reason}"
                    for line in lines
                ),
                f"head      {found.head}",
            ]
        ),
    )


@audit.command()
def mend(approver: Approver = None, reason: Why = None, json: Json = False) -> None:
    """Set the torn last line of a killed job aside, and record that."""
    from ppo_marketing.jobs import released

    done = released.mend(_desk_of(_project()), approver=approver, reason=reason)
    _show_released(done, json, "mended")


def _decision_of(run: Path) -> str:
    from ppo_marketing.jobs.releasable import releasable

    return releasable(run).decision


def _project() -> Path:
    from ppo_marketing.config import project_folder

    return project_folder()


def _desk(decision: str, config_file: Path | None) -> Desk:
    """Where a decision is released from; who must agree on a language model, its verdict says."""
    from ppo_marketing.jobs.logs import decision_named
    from ppo_marketing.jobs.releasable import LANGUAGE_MODEL

    if decision == LANGUAGE_MODEL:
        if config_file is not None:
            raise UserError(
                "leave --config out: who must agree on a language model is said to `content gate` "
                "(--four-eyes, --approvers)"
            )
        return _desk_of(_project())
    config = config_from(config_file, decision=decision_named(decision).name)
    return _desk_of(config.project)._replace(rules=config.release)


def _desk_of(project: Path) -> Desk:
    from ppo_marketing.jobs.release_book import desk_of

    return desk_of(project)


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"


def _show_released(done: Released, json: bool, what: str) -> None:
    from ppo_marketing.jobs.release_book import as_values

    line = done.line
    moved = f"{_version(line.from_version)} -> {_version(line.to_version)}"
    said = f"{what}: {line.decision} {moved}, by {line.approver}" if done.new else "nothing new"
    show(
        json,
        {"new": done.new, **as_values(line), "head": done.head, "notes": list(done.notes)},
        "\n".join([said, *(f"note      {note}" for note in done.notes), f"head      {done.head}"]),
    )


def _champion(found: Champion, desk: Desk) -> tuple[dict[str, Any], str]:
    from ppo_marketing.jobs.release_book import as_values
    from ppo_marketing.releases import force_text, in_force
    from ppo_marketing.tracking.registry import model_name

    shared = {
        "decision": found.decision,
        "model": model_name(found.decision),
        "challenger": found.challenger,
        "head": found.head,
        "notes": list(found.notes),
    }
    end = [
        *([] if found.challenger is None else [f"challenger version {found.challenger}"]),
        *(f"note       {note}" for note in found.notes),
        f"head       {found.head}",
    ]
    now = found.standing
    if now is None:
        none: dict[str, Any] = {**shared, "champion": None, "in_force": False}
        return none, "\n".join([f"champion   none: nothing of {found.decision} was released", *end])
    record, since = now.champion, now.since
    reasons = f" ({', '.join(record.reasons)})" if record.reasons else ""
    values = {
        **shared,
        "champion": record.to_version,
        "since": since.time,
        "by": since.approver,
        "action": str(since.action),
        "verdict": record.verdict,
        "reasons": list(record.reasons),
        "in_force": in_force(record, desk.now),
        "force": force_text(record, desk.now),
        "expires": record.expires,
        "previous": [line.to_version for line in now.earlier],
        "release": as_values(record),
    }
    before = ", ".join(f"version {line.to_version}" for line in now.earlier) or "none"
    text = [
        f"champion   version {record.to_version} of {model_name(found.decision)}",
        f"since      {since.time}, by {since.approver} ({since.action}): {since.reason}",
        f"verdict    {record.verdict}{reasons}",
        f"force      {force_text(record, desk.now)}",
        f"policy     {record.policy_sha256}",
        f"data       {record.data_sha256}",
        f"before it  {before}",
    ]
    return values, "\n".join([*text, *end])
