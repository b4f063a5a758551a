"""The middle of a retraining: calibrate, train every seed, choose one, judge it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

from envs.core.decision import Decision
from ppo_marketing.audit_trail import Line
from ppo_marketing.files import folder_sha256, write_atomically
from ppo_marketing.jobs.calibration import (
    calibrated,
    keep_calibration,
    load_calibration,
    record_calibration,
)
from ppo_marketing.jobs.examining import remember
from ppo_marketing.jobs.incumbents import Incumbent, incumbent
from ppo_marketing.jobs.judging import Judged, evaluate
from ppo_marketing.jobs.lessons import Lesson, lesson_of, scores, trained
from ppo_marketing.jobs.logs import Prepared
from ppo_marketing.jobs.policy_folder import keep_policy, limit_of
from ppo_marketing.jobs.retraining_job import Job
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.jobs.training import log_policy
from ppo_marketing.pipeline import calibrating
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.retraining.decisions import LiftOverChampion, Outcome, decided
from ppo_marketing.tracking import Run, Tracker, open_tracker


def relearn(
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
        calibrating.require_fidelity(calibration, config.accept_failed_fidelity)
        remember(project, record)
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
    return incumbent(decision, line, job.desk.project, retraining.champion, job.runs), None


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


def _stage(seed: int) -> str:
    return f"seed {seed}"


def _seed_folder(record: Record, seed: int) -> Path:
    return record.folder / f"seed-{seed}"
