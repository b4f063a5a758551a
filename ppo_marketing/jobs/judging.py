"""Judging a policy on what was held out and keeping the evidence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from envs.core.decision import Calibration, Decision
from envs.core.settings import load_settings
from ppo_marketing import as_shipped, report
from ppo_marketing.config import RunConfig
from ppo_marketing.drift import Drift
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import Judgement
from ppo_marketing.files import held_alone, read_json, write_atomically
from ppo_marketing.gate import Verdict, judge
from ppo_marketing.guardrails import Interventions
from ppo_marketing.jobs.calibration import load_calibration, record_calibration
from ppo_marketing.jobs.folder import part_of, tracked, write_json
from ppo_marketing.jobs.policy_folder import START, limit_of, require_unseen_days
from ppo_marketing.jobs.verdicts import keep_verdict, verdict_tags
from ppo_marketing.pipeline import calibrating, judging
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.policy import Policy
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.progress import Reporter
from ppo_marketing.report_figures import evidence_figure, fidelity_figure
from ppo_marketing.tracking import Run


class Judged(NamedTuple):
    """What simulators say of a policy, and whether the log supports it."""

    judgement: Judgement
    verdict: Verdict
    drift: Drift | None
    interventions: Interventions | None


def evaluate_only(
    decision: Decision,
    folder: Path,
    policy_folder: Path,
    config: RunConfig,
    reporter: Reporter,
    champion: Path | None = None,
) -> Judged:
    """`evaluate`: a saved policy against a saved calibration."""
    folder, policy_folder = part_of(folder, "calibration"), part_of(policy_folder, "policy")
    calibration, _ = load_calibration(decision, folder)
    policy, start = load_policy(policy_folder), load_policy(policy_folder / START)
    with as_user_error():
        settings: Any = load_settings(policy_folder, decision.settings_type)
    require_unseen_days(policy_folder, calibration)
    incumbent = None if champion is None else _incumbent(champion, policy_folder)
    with (
        held_alone(config.output),
        tracked(decision, config, f"evaluate {policy_folder.name}", reporter) as run,
    ):
        record_calibration(run, calibration, read_json(folder / "log.json"))
        return evaluate(
            decision, calibration, settings, policy, start, config, reporter, run,
            limit_of(policy_folder), policy_folder, incumbent,
        )  # fmt: skip


def evaluate(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Agent,
    start: Agent,
    config: RunConfig,
    reporter: Reporter,
    run: Run,
    constraint: PIDLagrangian | None,
    policy_folder: Path,
    champion: Agent | None = None,
) -> Judged:
    """Judge a policy on the later part of the log, hold it to the gate and keep the evidence."""
    with reporter.stage("judging on what was held out"):
        rules = calibrating.tuned_rules(decision, calibration, settings, config.seed)
        rail = as_shipped.guarded(
            calibration, settings, config.guardrails, policy, start, config.seed
        )
        shipped: Policy = policy if rail is None else rail
        today = None if champion is None else as_shipped.held(
            calibration, settings, config.guardrails, champion, start, config.seed
        )  # fmt: skip
        judgement = judging.judge_policy(
            decision, calibration, settings, shipped, start, rules, config.evaluation, config.seed,
            constraint, today,
        )  # fmt: skip
    interventions = None if rail is None else rail.interventions
    with reporter.stage("asking the log itself"):
        drift = None if champion is None else as_shipped.drift_between(
            decision, calibration, settings, champion, policy,
            bounds=config.drift, episodes=config.evaluation.episodes, seed=config.seed,
        )  # fmt: skip
        audit = as_shipped.audit_policy(
            decision, calibration, settings, shipped, rules, judgement, config.evaluation, drift,
            config.seed,
        )  # fmt: skip
        verdict = judge(audit, config.gate)
    record = {
        "decision": decision.name,
        "data_sha256": calibration.data_sha256,
        "config": config.as_values(),
        "settings": dataclasses.asdict(settings),
        "fidelity_passed": calibration.fidelity.passed,
        "fidelity_failures": [check.name for check in calibration.fidelity.failures],
        "notes": list(calibration.notes),
        **judgement.to_dict(),
        "verdict": verdict.as_dict(),
        "drift": None if drift is None else drift.to_dict(),
        "guardrails": None if interventions is None else interventions.as_dict(),
    }
    write_json(config.output / "evidence.json", record)
    run.json("evidence", record)
    keep_verdict(
        config.output, decision.name, audit, config.gate,
        policy=policy_folder, data_sha256=calibration.data_sha256, release=config.release,
    )  # fmt: skip
    run.metrics(_headline(judgement), config.training.total_steps)
    for name, said in verdict_tags(verdict.passed, verdict.reasons).items():
        run.tag(name, said)
    page = report.markdown(
        decision,
        judgement,
        verdict,
        drift,
        interventions,
        calibration,
        dataclasses.asdict(settings),
        config.accept_failed_fidelity,
    )
    write_atomically(config.output / "report.md", page.encode())
    for name, figure in {
        "fidelity.png": fidelity_figure(calibration.fidelity),
        "evidence.png": evidence_figure(judgement.later),
    }.items():
        figure.savefig(config.output / name, dpi=110)
    run.figure("evidence.png", evidence_figure(judgement.later))
    return Judged(judgement, verdict, drift, interventions)


def _incumbent(folder: Path, challenger: Path) -> Agent:
    """The champion's agent; what the two do can be compared under the same settings only."""
    folder = part_of(folder, "policy")
    agent = load_policy(folder)
    theirs, own = (read_json(where / "settings.json") for where in (folder, challenger))
    differing = [name for name in {**theirs, **own} if theirs.get(name) != own.get(name)]
    if differing:
        raise UserError(
            f"the champion in {folder} acts under other settings ({', '.join(sorted(differing))}): "
            "what the two do cannot be compared. Train the challenger with the champion's "
            "settings (its settings.json, as `environment:` of --config)"
        )
    return agent


def _headline(judgement: Judgement) -> dict[str, float]:
    later = judgement.later
    best = later.row(later.best_rule)
    assert best.policy_lift is not None
    return {
        "evidence.share_of_ceiling": later.policy.share_of_ceiling.value,
        "evidence.best_rule_share": best.share_of_ceiling.value,
        "evidence.lift_over_best_rule": best.policy_lift.value,
        "evidence.lift_low": best.policy_lift.low,
        "evidence.lift_high": best.policy_lift.high,
        "evidence.gap_closed": later.gap_closed.value,
        "evidence.headroom": later.headroom,
        "evidence.optimism_gap": judgement.optimism_gap,
    }
