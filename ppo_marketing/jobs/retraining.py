"""`retrain`: one retraining, from the log to a champion or to the reasons why not.

    examined -> champion -> calibrated -> seed ... -> chosen -> judged -> released -> exported

Every stage leaves a line in the run's record when it is done, and is done again when it is not
there; so a job that was killed anywhere goes on by the same command, to the same policy.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import envs
import ppo_marketing
from envs.core.decision import Decision
from ppo_marketing.audit_trail import Line
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.alerts import beat, told
from ppo_marketing.jobs.examining import examined, require_still_fresh
from ppo_marketing.jobs.logs import Prepared, decision_named, prepare
from ppo_marketing.jobs.retraining_job import Job, Retrained
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.pipeline import learning
from ppo_marketing.retraining.decisions import Outcome
from ppo_marketing.retraining.run_key import run_key, sources_sha256

LIBRARIES = ("numpy", "torch")
"""What draws and computes: another version may give another policy."""


def retrain(job: Job) -> Retrained:
    """One retraining, alone; what had been done for the same key is not done again.

    Raises:
        AlreadyRunning: another job retrains this project, or releases something.
        UserError: the log, the configuration or the simulator cannot be used.
        Refused: an export would break a limit; nothing was promoted.
        IntegrityError: the record of releases, a policy or the store is not what was written.
        Interrupted: stopped by a signal after saving.
    """
    otherwise = "try again when it has ended: nothing is lost"
    with held_alone(job.project.folder, otherwise), told(job.project):
        return retrained(job)


def retrained(job: Job) -> Retrained:
    """As `retrain`, for who holds the project's lock."""
    project = job.project
    decision = decision_named(project.config.decision)
    learning.ppo_config(decision, project.config.training)
    prepared = _prepared(job, decision)
    key = run_key(prepared.log.sha256, project.identity(), code_sha256())
    record = Record.opened(job.runs, key, job.clock())
    if record.ending is not None:
        return _again(job, record)
    examined(project, prepared, record, job.clock())
    return _trained_anew(job, decision, prepared, record)


def code_sha256() -> str:
    """The version of this program: its sources, and the libraries that draw and compute."""
    roots = [Path(package.__path__[0]) for package in (envs, ppo_marketing)]
    return sources_sha256(roots, {name: version(name) for name in LIBRARIES})


def _prepared(job: Job, decision: Decision) -> Prepared:
    config = job.project.config
    drawn = f"{config.log.preset}-{config.log.days}-{config.seed}"
    place = config.model_copy(update={"output": job.project.folder / "samples" / drawn})
    return prepare(decision, place, job.reporter, keep_sample=True)


def _again(job: Job, record: Record) -> Retrained:
    """What was done before stays done; a challenger that waited is looked after."""
    assert record.ending is not None
    require_still_fresh(job.project, record, job.clock())
    if record.ending["outcome"] == Outcome.WAITING:
        return _concluded(job, record)
    beat(job.project, record.ending["outcome"], record.key, job.clock())
    return Retrained.of(record, new=False)


def _settle_champion(record: Record, line: Line | None) -> None:
    """Note whom the challenger is trained from; begin anew where that is somebody else by now."""
    now = None if line is None else line.policy_sha256
    judged = record.said("judged")
    known = record.said("champion")
    ours = judged is not None and judged["policy_sha256"] == now
    if known is not None and known["policy_sha256"] != now and not ours:
        record.forget(("examined",))
        known = None
    if known is None:
        record.finish("champion", policy_sha256=now)


def _trained_anew(job: Job, decision: Decision, prepared: Prepared, record: Record) -> Retrained:
    # What trains and what tracks take seconds to import: a job with nothing to do needs neither.
    from ppo_marketing.jobs.incumbents import released_line
    from ppo_marketing.jobs.relearning import relearn

    line = released_line(decision.name, job.desk)
    _settle_champion(record, line)
    if record.said("judged") is None:
        relearn(job, decision, prepared, record, line)
    return _concluded(job, record)


def _concluded(job: Job, record: Record) -> Retrained:
    from ppo_marketing.jobs.concluding import conclude

    return conclude(job, record)
