"""Looking at a log before it is trained on, against what the last training was trained on."""

from __future__ import annotations

import dataclasses
import zipfile
from datetime import datetime
from pathlib import Path

from envs.core.log import LogTable
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import write_atomically
from ppo_marketing.jobs.alerts import tell
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.logs import Prepared
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.retraining.data_gate import (
    DataRules,
    checked,
    checks_as_plain,
    freshness,
    require_sound,
)
from ppo_marketing.retraining.profile import LogProfile, newer_part, profile_of
from ppo_marketing.retraining.project import Project
from ppo_marketing.retraining.shift import Shift, ShiftReport, shift_report

PROFILE, REPORT, LATEST = "log-profile.npz", "log-report.json", "latest"
"""`latest` names the run whose log was last trained on."""


def examined(project: Project, prepared: Prepared, record: Record, now: datetime) -> None:
    """Hold a log against the data gate and the last training's, and keep what was found.

    Raises UserError where it may not be trained on; every reason is listed.
    """
    if record.said("examined") is not None:
        return
    current = profile_of(prepared.log, prepared.settings.currency)
    last = last_profile(project)
    facts = None if last is None else last.facts
    checks = checked(current.facts, facts, rules_for(project), now)
    shift = shift_against(project, prepared.log, last)
    values = {"checks": checks_as_plain(checks), "shift": shift.as_dict()}
    write_json(record.folder / REPORT, values)
    require_sound(checks, prepared.log.source)
    require_no_alert(project, shift, prepared.log.source)
    write_atomically(record.folder / PROFILE, current.to_bytes())
    record.finish(
        "examined",
        last=current.facts.last,
        shift=shift.shift.word,
        cached=str(prepared.log.path.resolve()),
    )


def remember(project: Project, record: Record) -> None:
    """Let the next log be held against this run's, which is trained on now."""
    write_atomically(project.folder / LATEST, record.folder.name.encode())


def require_still_fresh(project: Project, record: Record, now: datetime) -> None:
    """Raise UserError where a log that needs no training has not grown for too long."""
    said = record.said("examined")
    assert said is not None
    check = freshness(said["last"], now, rules_for(project))
    require_sound((check,) if check is not None else (), "the log has not grown and")


def rules_for(project: Project) -> DataRules:
    """The data gate's rules; the built-in sample has no age."""
    sample = project.config.log.path is None
    return dataclasses.replace(project.data, most_hours_old=None) if sample else project.data


def last_profile(project: Project) -> LogProfile | None:
    """What is remembered of the log that was trained on last; None the first time.

    Raises IntegrityError where it is not what was written.
    """
    pointer = project.folder / LATEST
    if not pointer.exists():
        return None
    path: Path = project.folder / "runs" / pointer.read_text(encoding="utf-8").strip() / PROFILE
    try:
        return LogProfile.from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise IntegrityError(
            f"{path}, what is remembered of the last log, is lost or damaged ({error}). Delete "
            f"{pointer} to begin without it: the next log is then compared with nothing"
        ) from error


def shift_against(project: Project, log: LogTable, last: LogProfile | None) -> ShiftReport:
    """How far what is new in a log has moved from the last training's."""
    if last is None:
        return ShiftReport(())
    newer = profile_of(newer_part(log, last.facts), last.facts.currency)
    return shift_report(last.sample, newer.sample, project.shift)


def require_no_alert(project: Project, shift: ShiftReport, source: str) -> None:
    """Tell of a shift; raise UserError where it is an alert that stops."""
    if shift.shift is Shift.NONE:
        return
    listed = "\n  ".join(shift.told())
    said = f"{source} has shifted since the last training:\n  {listed}"
    if shift.shift is Shift.ALERT and project.shift.alert_stops:
        raise UserError(
            f"{said}\nIt is not trained on. Where the change is meant, set shift.alert_stops: "
            "false or name the columns in shift.ignored of the project file"
        )
    tell(project, "shifted", said)
