"""`retrain`: one retraining, from the log to a champion or to the reasons why not.

    examined -> champion -> calibrated -> seed ... -> chosen -> judged -> released -> exported

Every stage leaves a line in the run's record when it is done, and is done again when it is not
there; so a job that was killed anywhere goes on by the same command, to the same policy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import yaml

import envs
import ppo_marketing
from envs.core.decision import Decision
from ppo_marketing import pipeline
from ppo_marketing.audit_trail import Line
from ppo_marketing.errors import Refused
from ppo_marketing.files import folder_sha256, held_alone
from ppo_marketing.jobs.alerts import beat, tell, told
from ppo_marketing.jobs.calibration import (
    calibrated,
    keep_calibration,
    load_calibration,
    record_calibration,
)
from ppo_marketing.jobs.examining import LATEST, examined, require_still_fresh
from ppo_marketing.jobs.handing_out import export_all
from ppo_marketing.jobs.incumbents import Incumbent, incumbent, released_line
from ppo_marketing.jobs.judging import Judged, evaluate
from ppo_marketing.jobs.lessons import Lesson, lesson_of, scores, trained
from ppo_marketing.jobs.logs import Prepared, decision_named, prepare
from ppo_marketing.jobs.release_book import Desk, opened
from ppo_marketing.jobs.releasing import promote, propose
from ppo_marketing.jobs.retraining_record import Record, prune
from ppo_marketing.jobs.training import keep_policy, limit_of, log_policy
from ppo_marketing.ppo.checkpoint import load_policy, write_atomically
from ppo_marketing.progress import Reporter
from ppo_marketing.retraining.decisions import Ending, LiftOverChampion, Outcome, decided
from ppo_marketing.retraining.project import Project
from ppo_marketing.retraining.run_key import run_key, sources_sha256
from ppo_marketing.tracking import Run, Tracker, open_tracker

LIBRARIES = ("numpy", "torch")
"""What draws and computes: another version may give another policy."""


class Job(NamedTuple):
    """Who retrains what, by which clock (UTC), and whom progress is shown to."""

    project: Project
    actor: str
    clock: Callable[[], datetime]
    reporter: Reporter

    @property
    def desk(self) -> Desk:
        """Where and by whom it is released, now."""
        config = self.project.config
        return Desk(config.project, self.actor, self.clock(), config.release)

    @property
    def runs(self) -> Path:
        """Where its runs are kept."""
        return self.project.folder / "runs"


@dataclass(frozen=True)
class Retrained:
    """How a retraining ended; `new` is False where it had been done before."""

    outcome: Outcome
    reasons: tuple[str, ...]
    key: str
    folder: Path
    ended: str
    new: bool = True


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
    pipeline.ppo_config(decision, project.config.training)
    prepared = _prepared(job, decision)
    key = run_key(prepared.log.sha256, project.identity(), code_sha256())
    record = Record.opened(job.runs, key, job.clock())
    if record.ending is not None:
        return _again(job, record)
    examined(project, prepared, record, job.clock())
    line = released_line(decision.name, job.desk)
    _settle_champion(record, line)
    if record.said("judged") is None:
        _learn(job, decision, prepared, record, line)
    return _finish(job, record)


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
        return _finish(job, record)
    beat(job.project, record.ending["outcome"], record.key, job.clock())
    return _said(record, new=False)


def _said(record: Record, *, new: bool) -> Retrained:
    ending = record.ending
    assert ending is not None
    return Retrained(
        Outcome(ending["outcome"]), tuple(ending["reasons"]), record.key, record.folder,
        ending["time"], new,
    )  # fmt: skip


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


def _learn(
    job: Job, decision: Decision, prepared: Prepared, record: Record, line: Line | None
) -> None:
    """Calibrate, train every seed, choose one and judge it: one tracked run with its children."""
    project, config = job.project, job.project.config
    with job.reporter.stage("opening the tracker"):
        tracker = open_tracker(config.project)
    name, tags = f"retrain {project.name} {record.key[:8]}", {"retrain.key": record.key}
    with tracker.start(decision.name, name, params=config.as_values(), tags=tags) as run:
        folder = record.folder / "calibration"
        if record.said("calibrated") is None:
            fresh = calibrated(decision, prepared, config, job.reporter)
            keep_calibration(fresh, prepared, folder)
            record.finish("calibrated")
        # Read back even where it has just been fitted: a resumed run sees the very same.
        calibration, settings = load_calibration(decision, folder)
        record_calibration(run, calibration, prepared.about())
        pipeline.require_fidelity(calibration, config.accept_failed_fidelity)
        champion, reason = _champion(job, decision, line)
        with job.reporter.stage("tuning the rules on history"):
            lesson = lesson_of(
                decision, calibration, settings, config, champion, project.retraining.anchor
            )
        lesson = dataclasses.replace(lesson, incomparable=reason or lesson.incomparable)
        _train_seeds(job, lesson, record, tracker, run)
        _judge(job, lesson, record, run)


def _champion(
    job: Job, decision: Decision, line: Line | None
) -> tuple[Incumbent | None, str | None]:
    retraining = job.project.retraining
    if line is None:
        return None, None
    if not retraining.from_champion:
        return None, "training started from the rule (retraining.from_champion: false)"
    return incumbent(decision, line, job.desk, retraining.champion, job.runs), None


def _train_seeds(job: Job, lesson: Lesson, record: Record, tracker: Tracker, run: Run) -> None:
    retraining = job.project.retraining
    seeds = range(lesson.config.seed, lesson.config.seed + retraining.seeds)
    for seed in seeds:
        if record.said(_stage(seed)) is not None:
            continue
        params = {"seed": seed, "output": str(_seed_folder(record, seed))}
        with tracker.start(
            lesson.decision.name, f"seed {seed}", params=params, parent=run
        ) as child:
            folder = _seed_folder(record, seed)
            said = trained(lesson, seed, folder, retraining.most_kl, job.reporter, child)
        record.finish(_stage(seed), **said)
    if record.said("chosen") is None:
        policies = [load_policy(_seed_folder(record, seed) / "policy") for seed in seeds]
        found = scores(lesson, policies)
        best = max(range(len(found)), key=found.__getitem__)
        keep_policy(
            policies[best], lesson.start, lesson.settings, lesson.calibration,
            lesson.config.training.constraint, record.folder / "policy",
        )  # fmt: skip
        record.finish("chosen", seed=seeds[best], scores=found)


def _judge(job: Job, lesson: Lesson, record: Record, run: Run) -> None:
    """Hold the chosen challenger against champion, rules and log, and decide what becomes of it."""
    folder = record.folder
    config = lesson.config.model_copy(update={"output": folder})
    text = yaml.safe_dump(config.as_values(), sort_keys=False)
    write_atomically(folder / "config.yaml", text.encode())
    policy = load_policy(folder / "policy")
    champion = None if lesson.champion is None else lesson.champion.agent
    judged = evaluate(
        lesson.decision, lesson.calibration, lesson.settings, policy, lesson.start, config,
        job.reporter, run, limit_of(folder / "policy"), folder / "policy", champion,
    )  # fmt: skip
    retraining = job.project.retraining
    known = record.said("champion")
    assert known is not None
    policy_sha256 = folder_sha256(folder / "policy", "policy.json")
    ending = decided(
        unchanged=policy_sha256 == known["policy_sha256"],
        gate_reasons=tuple(
            f"{f.test}: {f.found}; allowed: {f.allowed}"
            for f in judged.verdict.findings
            if f.reason is not None
        ),
        lift=_lift(judged),
        least_lift=retraining.least_lift,
        incomparable=lesson.incomparable,
        promote=retraining.promote,
    )
    if ending.outcome is not Outcome.KEPT:
        with job.reporter.stage("recording the policy"):
            log_policy(
                run, folder / "policy", policy, lesson.calibration, lesson.settings, config.seed
            )
    run.tag("retrain.outcome", str(ending.outcome))
    record.finish(
        "judged",
        outcome=str(ending.outcome),
        reasons=list(ending.reasons),
        policy_sha256=policy_sha256,
    )


def _lift(judged: Judged) -> LiftOverChampion | None:
    row = next((r for r in judged.judgement.later.rows if r.kind == "champion"), None)
    if row is None:
        return None
    assert row.policy_lift is not None
    return LiftOverChampion(
        value=row.policy_lift.value,
        low=row.policy_lift.low,
        champion_share=row.share_of_ceiling.value,
    )


def _finish(job: Job, record: Record) -> Retrained:
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
    return _said(record, new=not same)


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


def _stage(seed: int) -> str:
    return f"seed {seed}"


def _seed_folder(record: Record, seed: int) -> Path:
    return record.folder / f"seed-{seed}"
