"""`retrain --watch`: new decision-log files are taken up as they land, each exactly once.

A file is known by its content. It is read, held against the last log, laid beside the logs that
were taken up before, and the policy is retrained on all of them; then a line in the ledger says so.
A kill before the line takes the file up again, to the same policy by the same run key; a kill after
it does not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow import concat_tables

from envs.core.log import LogTable
from ppo_marketing.config import LogSection
from ppo_marketing.errors import IntegrityError, Interrupted, Refused, UserError
from ppo_marketing.files import held_alone, made, read_json, written_whole
from ppo_marketing.jobs.alerts import tell, told
from ppo_marketing.jobs.examining import last_profile, shift_against
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.logs import cache_of, decision_named
from ppo_marketing.jobs.retraining import retrained
from ppo_marketing.jobs.retraining_job import Job
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.pipeline import reading
from ppo_marketing.ppo.signals import StopSignal, stop_on_signals
from ppo_marketing.retraining.profile import profile_of
from ppo_marketing.retraining.shift import Shift, ShiftBounds

LEDGER, ASIDE = "ledger.json", "set-aside"
LOOK_EVERY_S = 5.0
NEVER = ShiftBounds(
    monitor_psi=math.inf, alert_psi=math.inf, monitor_ks=math.inf, alert_ks=math.inf
)
_LOGS = (".csv", ".csv.gz", ".parquet")


class Fate(StrEnum):
    """What became of a file."""

    TAKEN = "taken up"
    CORRUPT = "corrupt"
    SHIFTED = "shifted"
    REPLAYED = "replayed"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One file: its content's hash, what became of it and why; what the retraining on it gave.

    `shift` is none, monitor or alert; `kl` the challenger's mean KL to the champion in nats, where
    there is a champion.
    """

    file: str
    sha256: str
    fate: Fate
    time: str
    said: str = ""
    shift: str = ""
    run_key: str = ""
    outcome: str = ""
    kl: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "fate": str(self.fate)}

    def told(self) -> str:
        """One line for people."""
        parts = [f"{self.file}: {self.fate}"]
        parts += [f"shift {self.shift}"] if self.shift not in ("", "none") else []
        parts += [self.outcome] if self.outcome else []
        parts += [] if self.kl is None else [f"KL to the champion {self.kl:.4f} nats"]
        parts += [self.said] if self.said else []
        return "; ".join(parts)


def watch(job: Job, folder: Path, *, until_empty: bool) -> Iterator[Taken]:
    """Take up the files of `folder` in the order of their names, and those that land later.

    Whoever writes a file gives it its name when it is whole; names that begin with a dot are left
    alone. With `until_empty` the end is reached when nothing new is there.

    Raises:
        AlreadyRunning: another job retrains this project.
        UserError: there is no such folder, or the project names no log to begin with.
        As `retrain`, for what is no fault of the file; it is taken up again then.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: make it, and let new log files land in it")
    if job.project.config.log.path is None:
        raise UserError("run.log.path is missing: new files are laid beside a log to begin with")
    otherwise = "try again when it has ended: nothing is lost"
    with held_alone(job.project.folder, otherwise), told(job.project):
        while True:
            with stop_on_signals() as stop:
                landed = _landed(folder)
                fresh = next((t for t in (_taken(job, path) for path in landed) if t), None)
                if fresh is None and not until_empty:
                    _wait(stop)
            if fresh is not None:
                yield fresh
            elif until_empty:
                return
            if stop.number is not None:
                raise Interrupted("stopped; files that land are taken up next time", stop.number)


def ledger(job: Job) -> list[Taken]:
    """Every file that was looked at, in order."""
    path = _place(job) / LEDGER
    lines = read_json(path)["files"] if path.exists() else []
    return [Taken(**{**line, "fate": Fate(line["fate"])}) for line in lines]


def _landed(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.name.endswith(_LOGS)
    )


def _wait(stop: StopSignal) -> None:
    until = time.monotonic() + LOOK_EVERY_S
    while stop.number is None and time.monotonic() < until:
        time.sleep(0.1)


def _taken(job: Job, path: Path) -> Taken | None:
    """What became of a file; None where that was said before."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    known = ledger(job)
    before = [line for line in known if line.sha256 == sha256]
    if before:
        if before[0].fate in (Fate.CORRUPT, Fate.SHIFTED) and before[0].file == path.name:
            _set_aside(path)  # a kill came between the line and this
            return None
        if any(line.file == path.name for line in before):
            return None
        said = f"it is the content of {before[0].file}"
        return _noted(job, known, _about(job, path, sha256, Fate.REPLAYED, said=said))
    taken = _looked_at(job, path, sha256, known)
    if taken.fate in (Fate.CORRUPT, Fate.SHIFTED):
        tell(job.project, "set aside", taken.told())
    elif taken.shift == Shift.ALERT.word:
        tell(job.project, "shifted", taken.told())
    taken = _noted(job, known, taken)
    if taken.fate in (Fate.CORRUPT, Fate.SHIFTED):
        _set_aside(path)
    return taken


def _looked_at(job: Job, path: Path, sha256: str, known: list[Taken]) -> Taken:
    project = job.project
    decision = decision_named(project.config.decision)
    section = project.config.log
    cache = cache_of(project.config.project)
    try:
        base = reading.read(decision, section, cache)
    except UserError as error:
        raise UserError(f"the log to begin with cannot be used: {error}") from error
    try:
        log = reading.read(decision, section.model_copy(update={"path": path}), cache)
        _require_same_columns(base, log)
        own = _kept(job, log, sha256)
        parts = [line.sha256 for line in known if line.fate is Fate.TAKEN]
        merged = _merged(job, base, [*(_part(job, part) for part in parts), own], [*parts, sha256])
        everything = LogSection(
            path=merged,
            columns={name: name for name in base.names},
            special_ad_category=section.special_ad_category,
            protected=section.protected,
        )
        reading.read(decision, everything, cache)
    except UserError as error:
        return _about(job, path, sha256, Fate.CORRUPT, said=str(error))
    shift = shift_against(project, log, last_profile(project) or profile_of(base, ""))
    log.path.unlink(missing_ok=True)  # from the cache: its rows are in our keeping
    about = {"shift": shift.shift.word}
    if shift.shift is Shift.ALERT and project.shift.alert_stops:
        return _about(job, path, sha256, Fate.SHIFTED, said="; ".join(shift.told()), **about)
    return _about(job, path, sha256, Fate.TAKEN, **about, **_updated(job, everything))


def _updated(job: Job, log: LogSection) -> dict[str, Any]:
    """Retrain on everything; a log that cannot be trained on is said, and the file stays taken."""
    project = job.project
    config = project.config.model_copy(update={"log": log})
    # The file was held against the last log by itself: the whole is not asked once more.
    whole = dataclasses.replace(project, config=config, shift=NEVER)
    try:
        done = retrained(job._replace(project=whole))
    except (IntegrityError, Refused):
        raise
    except UserError as error:
        tell(project, "failed", str(error))
        return {"outcome": "not retrained", "said": str(error)}
    record = Record.opened(job.runs, done.key, job.clock())
    chosen = record.said("chosen") or {}
    trained = record.said(f"seed {chosen.get('seed')}") or {}
    return {"run_key": done.key, "outcome": str(done.outcome), "kl": trained.get("kl")}


def _require_same_columns(base: LogTable, log: LogTable) -> None:
    if set(log.names) != set(base.names):
        gone = sorted(set(base.names) - set(log.names))
        new = sorted(set(log.names) - set(base.names))
        raise UserError(
            f"{log.source} has other columns than the log to begin with: without "
            f"{', '.join(gone) or 'none'}, and with {', '.join(new) or 'none'} that is new"
        )


def _place(job: Job) -> Path:
    return made(job.project.folder / "continuous")


def _part(job: Job, sha256: str) -> Path:
    return made(_place(job) / "logs") / f"{sha256}.parquet"


def _kept(job: Job, log: LogTable, sha256: str) -> Path:
    """The file's rows in our own keeping, since the folder is somebody else's."""
    place = _part(job, sha256)
    if not place.exists():
        with written_whole(place) as temporary:
            pq.write_table(pq.read_table(log.path), temporary, write_page_checksum=True)
    return place


def _merged(job: Job, base: LogTable, parts: list[Path], names: list[str]) -> Path:
    """All rows of the log to begin with and of every part, in one file named by its content."""
    name = hashlib.sha256("\n".join([base.sha256, *names]).encode()).hexdigest()
    place = made(_place(job) / "merged") / f"{name}.parquet"
    if not place.exists():
        columns = list(base.names)
        tables = [pq.read_table(path, columns=columns) for path in (base.path, *parts)]
        with written_whole(place) as temporary:
            pq.write_table(concat_tables(tables), temporary, write_page_checksum=True)
        for old in place.parent.glob("*.parquet"):
            if old != place:
                old.unlink()
    return place


def _about(job: Job, path: Path, sha256: str, fate: Fate, **said: Any) -> Taken:
    now = job.clock().isoformat(timespec="seconds")
    return Taken(file=path.name, sha256=sha256, fate=fate, time=now, **said)


def _noted(job: Job, known: list[Taken], taken: Taken) -> Taken:
    lines = [line.as_dict() for line in (*known, taken)]
    write_json(_place(job) / LEDGER, {"files": lines})
    return taken


def _set_aside(path: Path) -> None:
    path.replace(made(path.parent / ASIDE) / path.name)
