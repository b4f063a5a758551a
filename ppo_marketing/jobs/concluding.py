"""The end of a retraining: release what was decided, export it, clear up, say how it ended."""

from __future__ import annotations

from pathlib import Path

from ppo_marketing.errors import Refused
from ppo_marketing.files import folder_sha256
from ppo_marketing.jobs.alerts import beat, tell
from ppo_marketing.jobs.examining import LATEST
from ppo_marketing.jobs.handing_out import export_all
from ppo_marketing.jobs.incumbents import released_line
from ppo_marketing.jobs.release_book import opened
from ppo_marketing.jobs.releasing import promote, propose
from ppo_marketing.jobs.retraining_job import Job, Retrained
from ppo_marketing.jobs.retraining_record import Record, prune
from ppo_marketing.retraining.decisions import Ending, Outcome


def conclude(job: Job, record: Record) -> Retrained:
    """Release what was decided, export it, clear up and say how it ended."""
    project, before = job.project, record.ending
    ending = _released(job, record)
    if ending.outcome is Outcome.PROMOTED:
        with job.reporter.stage("exporting"):
            export_all(project.exports, record.folder, record.started, dry_run=False)
    same = before is not None and before["outcome"] == ending.outcome
    if ending.outcome is not Outcome.PROMOTED and not same:
        tell(project, str(ending.outcome), "; ".join(ending.reasons))
    if not same:
        record.end(str(ending.outcome), ending.reasons, job.clock())
        _clear_up(job, record)
    beat(project, str(ending.outcome), record.key, job.clock())
    return Retrained.of(record, new=not same)


def _released(job: Job, record: Record) -> Ending:
    judged = record.said("judged")
    assert judged is not None
    ending = Ending(Outcome(judged["outcome"]), tuple(judged["reasons"]))
    if ending.outcome is Outcome.KEPT:
        return ending
    line = released_line(job.project.config.decision, job.desk)
    if line is not None and line.policy_sha256 == judged["policy_sha256"]:
        return Ending(Outcome.PROMOTED, ())
    known = record.said("champion")
    assert known is not None
    if known["policy_sha256"] != (None if line is None else line.policy_sha256):
        return Ending(Outcome.KEPT, ("the champion changed while this challenger waited",))
    if ending.outcome is Outcome.WAITING:
        propose(record.folder, job.desk)
        return ending
    # Looked at before anything is released: a new champion that no target takes helps nobody.
    export_all(job.project.exports, record.folder, record.started, dry_run=True)
    try:
        with job.reporter.stage("promoting"):
            promote(record.folder, job.desk, approver=job.project.retraining.promoted_by)
    except Refused as refused:
        propose(record.folder, job.desk)
        return Ending(Outcome.WAITING, (str(refused),))
    return Ending(Outcome.PROMOTED, ())


def _clear_up(job: Job, record: Record) -> None:
    """Let go of checkpoints, and of runs that nothing goes back to."""
    for checkpoint in record.folder.glob("seed-*/checkpoint.pt"):
        checkpoint.unlink()
    needed = [record.folder]
    latest = job.project.folder / LATEST
    if latest.exists():
        needed.append(job.runs / latest.read_text(encoding="utf-8").strip())
    needed += _released_runs(job)
    prune(job.runs, job.project.retraining.keep_runs, needed)


def _released_runs(job: Job) -> list[Path]:
    """The runs of the champion and of all that a rollback can go back to."""
    if not job.desk.trail.exists():
        return []
    with opened(job.desk) as book:
        now = book.standing(job.project.config.decision)
    lines = [] if now is None else [now.champion, *now.earlier]
    released = {line.policy_sha256 for line in lines}
    return [
        path.parent.parent
        for path in job.runs.glob("*/policy/policy.json")
        if folder_sha256(path.parent, path.name) in released
    ]
