"""Jobs in processes of their own: started, watched, stopped and resumed by anyone who sees them.

A job is one command of the command line, and a folder in `data/jobs`. Its folder says everything
about it, so any number of windows show the same jobs and a job outlives whoever started it:

    job.json       what it is: title, command, when it was started
    process.json   which process does it, written by that process
    progress.jsonl how far it is, line by line
    log.txt        what it told people
    ended.json     with which exit code it ended; absent where it was killed
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
import yaml

from ppo_marketing.access import Permission
from ppo_marketing.errors import AlreadyRunning, UserError
from ppo_marketing.files import made, read_json, write_atomically
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.progress_file import Seen, begin_again, read_progress
from ppo_marketing.tracking.values import process_is_running, process_tags

State = Literal["running", "finished", "stopped", "failed"]

JOB, PROCESS, PROGRESS, LOG, ENDED = (
    "job.json",
    "process.json",
    "progress.jsonl",
    "log.txt",
    "ended.json",
)
STOPPED_BY_SIGNAL = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL)
SAID_LINES = 12
"""What is shown of a failed job: its last words, which say what to do."""
_CHARACTERS = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a job is to do: one command, whose results go to `output`."""

    title: str
    decision: str
    arguments: tuple[str, ...]
    output: Path
    started: str  # UTC, as written by isoformat


@dataclass(frozen=True)
class Job:
    """A job as it stands now; `said` are its last words where it did not finish."""

    id: str
    folder: Path
    order: Order
    state: State
    exit_code: int | None
    said: str

    @property
    def started(self) -> datetime:
        """When it was started (UTC)."""
        return datetime.fromisoformat(self.order.started)

    @property
    def seen(self) -> Seen:
        """How far it is."""
        return read_progress(self.folder / PROGRESS)


def jobs_folder(project: Path) -> Path:
    """Where a project's jobs lie."""
    return project / "data" / "jobs"


def require_name(name: str) -> str:
    """The name of a run, which becomes a folder's.

    Raises UserError where it could be anything but one plain folder.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UserError(
            f"{name!r} cannot be a run's name: use 1 to 60 letters, digits, spaces, dots, dashes "
            "and underscores, beginning with a letter or a digit"
        )
    return name


def start(
    project: Path,
    *,
    title: str,
    decision: str,
    command: str,
    config: Mapping[str, Any],
    output: Path,
    positional: Sequence[str] = (),
    desk: Desk | None = None,
) -> Job:
    """Start `command` with a configuration file of `config`, writing to `output`.

    `desk` says who asks; None: local use.

    Raises:
        Refused: whoever asks may not start jobs; recorded.
        AlreadyRunning: a job that has not ended writes there.
        UserError, PpoMarketingError: the job's folder cannot be written.
    """
    _require_may(desk, decision, f"start {title}")
    now = datetime.now(UTC)
    folder = jobs_folder(project) / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    file = folder / "config.yaml"
    flags = [str(file)] if command == "run" else ["--config", str(file)]
    order = Order(
        title=title,
        decision=decision,
        arguments=(command, *positional, *flags),
        output=output,
        started=now.isoformat(timespec="seconds"),
    )
    _require_free(project, output)
    made(folder)
    whole = {**config, "decision": decision, "project": str(project), "output": str(output)}
    write_atomically(file, yaml.safe_dump(whole, sort_keys=False).encode())
    return _launched(folder, order)


def resume(project: Path, job: Job, desk: Desk | None = None) -> Job:
    """Give the same command again, as the same job: it goes on from what it had saved.

    Raises AlreadyRunning where it, or another job with the same output, still runs, and Refused as
    `start`.
    """
    _require_may(desk, job.order.decision, f"resume {job.order.title}")
    _require_free(project, job.order.output)
    for name in (ENDED, PROCESS):
        (job.folder / name).unlink(missing_ok=True)
    begin_again(job.folder / PROGRESS)
    return _launched(job.folder, job.order)


def stop(job: Job, desk: Desk | None = None) -> None:
    """Ask a job to save and end (SIGTERM).

    Raises UserError where it does not run any more, and Refused as `start`.
    """
    _require_may(desk, job.order.decision, f"stop {job.order.title}")
    process = _process(job.folder)
    if process is None or _state(job.folder)[0] != "running":
        raise UserError(f"{job.order.title} does not run any more: there is nothing to stop")
    os.kill(int(process["job.pid"]), signal.SIGTERM)


def _require_may(desk: Desk | None, decision: str, asked: str) -> None:
    if desk is not None:
        admit(desk, Permission.START, decision=decision, asked=asked)


def jobs_of(project: Path, decision: str | None = None) -> tuple[Job, ...]:
    """The jobs of a project, or of one decision in it; the newest first."""
    folder = jobs_folder(project)
    inside = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    found = [job for job in map(_job_in, inside) if job is not None]
    return tuple(job for job in found if decision in (None, job.order.decision))


def job_named(project: Path, identity: str) -> Job:
    """The job of that id.

    Raises UserError where there is none.
    """
    for job in jobs_of(project):
        if job.id == identity:
            return job
    raise UserError(f"there is no job {identity!r}: `ppo-marketing jobs` lists them")


def _job_in(folder: Path) -> Job | None:
    try:
        values = json.loads((folder / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    order = Order(
        **{**values, "arguments": tuple(values["arguments"]), "output": Path(values["output"])}
    )
    state, code = _state(folder)
    said = "" if state in ("running", "finished") else last_words(folder / LOG)
    return Job(folder.name, folder, order, state, code, said)


def _state(folder: Path) -> tuple[State, int | None]:
    process = _process(folder)
    if not (folder / ENDED).is_file():
        if process is not None and process_is_running(process):
            return "running", None
        # It may have ended between the two looks; a job that was killed leaves no word.
        if not (folder / ENDED).is_file():
            return "stopped", None
    code = int(read_json(folder / ENDED)["exit_code"])
    if code == 0 or code == 4:
        return "finished", code
    return ("stopped" if code in STOPPED_BY_SIGNAL else "failed"), code


def _process(folder: Path) -> dict[str, str] | None:
    try:
        return {str(k): str(v) for k, v in read_json(folder / PROCESS).items()}
    except UserError:
        return None


def _require_free(project: Path, output: Path) -> None:
    busy = [
        job.order.title
        for job in jobs_of(project)
        if job.state == "running" and job.order.output == output
    ]
    if busy:
        raise AlreadyRunning(
            f"{busy[0]} is writing to {output.name}: wait until it has ended, stop it, or choose "
            "another name"
        )


def _launched(folder: Path, order: Order) -> Job:
    write_json(folder / JOB, {**asdict(order), "output": str(order.output)})
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ppo_marketing.cli.worker", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A session of its own: closing the terminal of the app does not end the job.
            start_new_session=True,
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        )
    _record_process(folder, process.pid)
    _collect(process)
    found = _job_in(folder)
    assert found is not None
    return found


def _record_process(folder: Path, pid: int) -> None:
    try:
        tags = process_tags(pid)
    except psutil.NoSuchProcess:  # it has ended already, and says so itself
        return
    write_json(folder / PROCESS, tags)


def _collect(process: subprocess.Popen[bytes]) -> None:
    """Let a thread wait for the process, so that no zombie stays behind."""
    threading.Thread(target=process.wait, daemon=True).start()


def last_words(log: Path) -> str:
    """The last lines that a job wrote for people; a stack trace is left in its file."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _CHARACTERS))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    if "Traceback (most recent call last)" in text:
        return "it ended unexpectedly; its log has the details"
    lines = [line for line in text.splitlines() if line.strip()]
    begins = [i for i, line in enumerate(lines) if line.startswith("ppo-marketing: ")]
    told = lines[begins[-1] :] if begins else lines
    return "\n".join(told[:SAID_LINES]).removeprefix("ppo-marketing: ")
