"""The edge of the pipeline: files, the tracker and progress around each step of the line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from envs import load_decision
from envs.core.decision import Calibration, Decision
from envs.core.log import LogTable
from envs.core.world import Array
from ppo_marketing import pipeline, report
from ppo_marketing.config import PROJECT, LogSection, RunConfig, build
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import Judgement
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy, save_policy, write_atomically
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.ppo.train import TrainResult
from ppo_marketing.progress import Reporter
from ppo_marketing.tracking import Run, open_tracker

CACHE = PROJECT / "data" / "cache"


@dataclass(frozen=True)
class RunSummary:
    """What `run` leaves behind."""

    output: Path
    run_id: str
    judgement: Judgement
    calibration: Calibration
    training: TrainResult
    seconds_of_training: float


def decision_named(name: str) -> Decision:
    """The card; an unknown name is the user's error."""
    with pipeline.as_user_error():
        return load_decision(name)


def generate(decision: Decision, preset: str, days: int, seed: int, path: Path) -> int:
    """Write the built-in sample to `path` (Parquet) and return its rows."""
    if preset not in decision.presets:
        known = ", ".join(decision.presets)
        raise UserError(f"there is no preset {preset!r} of {decision.name}: choose one of {known}")
    table = decision.generate(preset, days, np.random.default_rng(seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    pq.write_table(table, temporary, write_page_checksum=True)
    temporary.replace(path)
    return int(table.num_rows)


def validate(decision: Decision, section: LogSection) -> dict[str, Any]:
    """Read a log whole and say what it holds."""
    log = pipeline.read(decision, section, CACHE)
    return {
        "source": log.source,
        "sha256": log.sha256,
        "rows": log.rows,
        "duplicates_dropped": log.duplicates_dropped,
        "first": log.first.isoformat(),
        "last": log.last.isoformat(),
        "days": len(log.days()),
        "columns": list(log.names),
        "notes": list(log.notes),
    }


def calibrate(
    decision: Decision, config: RunConfig, folder: Path, reporter: Reporter
) -> Calibration:
    """Fit the market to the log and keep it in `folder`."""
    log, settings = _log_and_settings(decision, config, reporter)
    with reporter.stage("calibrating the simulator"):
        calibration = pipeline.calibrate(decision, log, settings, config.seed)
        calibration.save(folder)
    _write_json(folder / "settings.json", dataclasses.asdict(settings))
    return calibration


def _log_and_settings(
    decision: Decision, config: RunConfig, reporter: Reporter
) -> tuple[LogTable, Any]:
    section, sample = config.log, config.log.path is None
    if sample:
        path = config.output / "sample-log.parquet"
        with reporter.stage(f"generating a sample log of {section.days} days") as stage:
            rows = generate(decision, section.preset, section.days, config.seed, path)
            stage.reach(1, f"{rows:,} rows")
        section = section.model_copy(update={"path": path})
    with reporter.stage("validating the log") as stage:
        log = pipeline.read(decision, section, CACHE)
        stage.reach(1, f"{log.rows:,} rows")
    return log, pipeline.settle(decision, log, config.environment, sample=sample)


def load_calibration(decision: Decision, folder: Path) -> tuple[Calibration, Any]:
    """A calibration and the settings it was made with.

    Raises UserError where the folder is not one.
    """
    with pipeline.as_user_error():
        calibration = decision.load_calibration(folder)
    return calibration, _read_settings(decision, folder)


def _read_settings(decision: Decision, folder: Path) -> Any:
    path = folder / "settings.json"
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; make the folder again") from error
    return build(decision.settings_type, saved, decision.name)


def train(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    config: RunConfig,
    reporter: Reporter,
    run: Run,
) -> tuple[TrainResult, Any]:
    """Train through the calibrated simulator and keep the policy; returns the anchored settings."""
    pipeline.require_fidelity(calibration, config.accept_failed_fidelity)
    with reporter.stage("tuning the rules on history"):
        rules = pipeline.tuned_rules(decision, calibration, settings, config.seed)
        settings = pipeline.anchored(decision, settings, rules)
    _refuse_other_training(config, settings, calibration.data_sha256)
    total = config.training.total_steps

    with reporter.stage("training PPO", total) as stage, stop_on_signals() as stop:
        stage.reach(0, "compiling")

        def on_update(row: TrainingRow) -> None:
            stage.reach(row.steps, f"{row.steps_per_second:,.0f} steps/s")
            run.metrics(row.metrics(), row.steps)

        result = pipeline.learn_from_calibration(
            decision, calibration, settings, config.training, config.seed,
            checkpoint=config.output / "checkpoint.pt", on_update=on_update, stop=stop,
        )  # fmt: skip
    keep_policy(result.best, settings, config.output / "policy")
    example = _observations(calibration, settings, config.seed)
    run.policy(
        config.output / "policy",
        observation_example=example,
        action_example=result.best.act(
            example, np.random.default_rng(config.seed), deterministic=True
        ),
    )
    run.figure("training.png", report.training_figure(result.history))
    return result, settings


def _observations(calibration: Calibration, settings: Any, seed: int) -> Array:
    """A few real observations, `[n, obs]`: what the stored model is checked with."""
    world = calibration.history_world(settings)
    rng = np.random.default_rng(seed)
    state = world.initial(min(8, world.episodes), rng)
    space = world.action_space
    idle = np.zeros((len(world.observe(state)), *(space.shape or ())), space.dtype)
    for _ in range(world.horizon // 2):
        state = world.step(state, world.control(state, idle), rng).state
    return world.observe(state)


def keep_policy(agent: Agent, settings: Any, folder: Path) -> None:
    """Write the policy and the settings it acts under."""
    save_policy(agent, folder)
    _write_json(folder / "settings.json", dataclasses.asdict(settings))


def evaluate(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Agent,
    config: RunConfig,
    reporter: Reporter,
    run: Run,
) -> Judgement:
    """Judge a policy on the later part of the log and keep the evidence."""
    with reporter.stage("judging on days never seen"):
        rules = pipeline.tuned_rules(decision, calibration, settings, config.seed)
        start = pipeline.untrained(
            decision,
            calibration.history_world(settings),
            pipeline.ppo_config(decision, config.training),
            config.seed,
        )
        judgement = pipeline.judge_policy(
            decision, calibration, settings, policy, start, rules, config.evaluation, config.seed
        )
    record = {
        "decision": decision.name,
        "data_sha256": calibration.data_sha256,
        "config": config.as_values(),
        "settings": dataclasses.asdict(settings),
        "fidelity_passed": calibration.fidelity.passed,
        **judgement.to_dict(),
    }
    _write_json(config.output / "evidence.json", record)
    run.json("evidence", record)
    run.json("fidelity", calibration.fidelity.as_dict())
    run.metrics(_headline(judgement), config.training.total_steps)
    page = report.markdown(
        f"{decision.title}: {decision.question}",
        judgement,
        calibration,
        config.accept_failed_fidelity,
    )
    write_atomically(config.output / "report.md", page.encode())
    for name, figure in {
        "fidelity.png": report.fidelity_figure(calibration.fidelity),
        "evidence.png": report.evidence_figure(judgement.later),
    }.items():
        figure.savefig(config.output / name, dpi=110)
        run.figure(name, figure)
    return judgement


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


def run_line(config: RunConfig, reporter: Reporter) -> RunSummary:
    """The whole line: log, calibration, training, evidence, all tracked as one run."""
    decision = decision_named(config.decision)
    pipeline.ppo_config(decision, config.training)
    config.output.mkdir(parents=True, exist_ok=True)
    _write_yaml(config.output / "config.yaml", config.as_values())
    with reporter.stage("opening the tracker"):
        tracker = open_tracker(config.project)
    log, settings = _log_and_settings(decision, config, reporter)
    with tracker.start(
        decision.name, config.output.name, params=config.as_values(), tags=_tags(config, log.sha256)
    ) as run:
        run.dataset("log", sha256=log.sha256, rows=log.rows, source=log.source)
        with reporter.stage("calibrating the simulator"):
            calibration = pipeline.calibrate(decision, log, settings, config.seed)
            _replace_folder(config.output / "calibration", calibration)
        _write_json(config.output / "calibration" / "settings.json", dataclasses.asdict(settings))
        result, settings = train(decision, calibration, settings, config, reporter, run)
        judgement = evaluate(decision, calibration, settings, result.best, config, reporter, run)
    return RunSummary(
        output=config.output,
        run_id=run.id,
        judgement=judgement,
        calibration=calibration,
        training=result,
        seconds_of_training=result.history[-1].seconds,
    )


def train_only(
    decision: Decision, folder: Path, config: RunConfig, reporter: Reporter
) -> TrainResult:
    """`train`: from a saved calibration to a saved policy; an unfinished training is resumed."""
    calibration, settings = load_calibration(decision, folder)
    if config.environment:
        settings = build(
            decision.settings_type, {**vars(settings), **config.environment}, decision.name
        )
    pipeline.require_fidelity(calibration, config.accept_failed_fidelity)
    config.output.mkdir(parents=True, exist_ok=True)
    _write_yaml(config.output / "config.yaml", config.as_values())
    with open_tracker(config.project).start(
        decision.name,
        f"train {config.output.name}",
        params=config.as_values(),
        tags=_tags(config, calibration.data_sha256),
    ) as run:
        result, _ = train(decision, calibration, settings, config, reporter, run)
    return result


def evaluate_only(
    decision: Decision, folder: Path, policy_folder: Path, config: RunConfig, reporter: Reporter
) -> Judgement:
    """`evaluate`: a saved policy against a saved calibration."""
    calibration, _ = load_calibration(decision, folder)
    policy = load_policy(policy_folder)
    settings = _read_settings(decision, policy_folder)
    config.output.mkdir(parents=True, exist_ok=True)
    with open_tracker(config.project).start(
        decision.name,
        f"evaluate {policy_folder.name}",
        params=config.as_values(),
        tags=_tags(config, calibration.data_sha256),
    ) as run:
        return evaluate(decision, calibration, settings, policy, config, reporter, run)


def _tags(config: RunConfig, data_sha256: str) -> dict[str, str]:
    accepted = config.accept_failed_fidelity
    return {
        "data.sha256": data_sha256,
        **({"fidelity.accepted_because": accepted} if accepted is not None else {}),
    }


def _refuse_other_training(config: RunConfig, settings: Any, data_sha256: str) -> None:
    """Refuse to resume what is not this training: its settings, its seed, its log."""
    own = {
        "decision": config.decision,
        "seed": config.seed,
        "training": config.as_values()["training"],
        "environment": dataclasses.asdict(settings),
        "log": data_sha256,
    }
    mark = config.output / "checkpoint.json"
    text = json.dumps(own, sort_keys=True)
    if mark.exists() and (config.output / "checkpoint.pt").exists():
        kept = json.loads(mark.read_text(encoding="utf-8"))
        differing = [name for name, value in json.loads(text).items() if kept.get(name) != value]
        if differing:
            raise UserError(
                f"{config.output} holds another training; it differs in {', '.join(differing)}. "
                "Choose another --output, or delete its checkpoint.pt to train anew"
            )
    write_atomically(mark, text.encode())


def _replace_folder(folder: Path, calibration: Calibration) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    calibration.save(folder)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(values, indent=1, default=str) + "\n").encode())


def _write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    write_atomically(path, yaml.safe_dump(dict(values), sort_keys=False).encode())
