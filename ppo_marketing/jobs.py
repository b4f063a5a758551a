"""The edge of the pipeline: files, the tracker and progress around each step of the line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import yaml

from envs import load_decision
from envs.core.decision import Calibration, Decision
from envs.core.log import LogTable
from envs.core.settings import load_settings, settings_text
from envs.core.world import Array
from ppo_marketing import pipeline, report
from ppo_marketing.config import LogSection, RunConfig, build
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import Judgement
from ppo_marketing.files import folder_sha256, held_alone, made, read_json, written_whole
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import load_policy, save_policy, write_atomically
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.ppo.train import TrainResult
from ppo_marketing.progress import Reporter
from ppo_marketing.tracking import Run, open_tracker

START = "start"
"""Where a policy's folder keeps the agent that training started from."""


@dataclass(frozen=True)
class RunSummary:
    """What `run` leaves behind."""

    output: Path
    run_id: str
    judgement: Judgement
    calibration: Calibration
    training: TrainResult
    seconds_of_training: float


class Trained(NamedTuple):
    """A training's result, the agent it started from and the settings that both act under."""

    result: TrainResult
    start: Agent
    settings: Any


class Prepared(NamedTuple):
    """A log that was read whole, and the settings that go with it."""

    decision: str
    log: LogTable
    settings: Any

    def about(self) -> dict[str, Any]:
        """Where the log came from, as kept beside what is fitted to it."""
        log = self.log
        return {
            "decision": self.decision,
            "source": log.source,
            "sha256": log.sha256,
            "rows": log.rows,
        }


def decision_named(name: str) -> Decision:
    """The card; an unknown name is the user's error."""
    with pipeline.as_user_error():
        return load_decision(name)


def generate(decision: Decision, preset: str, days: int, seed: int, path: Path) -> int:
    """Write the built-in sample to a new Parquet file and return its rows."""
    if path.suffix != ".parquet":
        raise UserError(f"a sample is written as Parquet: name a file {path.stem}.parquet")
    if path.exists():
        raise UserError(f"{path} exists already: choose another name, or delete it")
    return _write_sample(decision, preset, days, seed, path)


def _write_sample(decision: Decision, preset: str, days: int, seed: int, path: Path) -> int:
    if preset not in decision.presets:
        known = ", ".join(decision.presets)
        raise UserError(f"there is no preset {preset!r} of {decision.name}: choose one of {known}")
    table = decision.generate(preset, days, pipeline.stream(seed, pipeline.SAMPLE))
    made(path.parent)
    with written_whole(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)
    return int(table.num_rows)


def validate(decision: Decision, section: LogSection, project: Path) -> dict[str, Any]:
    """Read a log whole and say what it holds."""
    log = pipeline.read(decision, section, _cache(project))
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
    prepared = _prepare(decision, config, reporter)
    calibration = _calibrated(decision, prepared, config, reporter)
    with held_alone(folder.parent):
        _keep_calibration(calibration, prepared, folder)
    return calibration


def _cache(project: Path) -> Path:
    return project / "data" / "cache"


def _prepare(decision: Decision, config: RunConfig, reporter: Reporter) -> Prepared:
    """The log, read whole; of a user's own log nothing is written outside the cache."""
    section, sample = config.log, config.log.path is None
    settings = pipeline.given_settings(decision, config.environment, sample=sample)
    if sample:
        path = config.output / "sample-log.parquet"
        with reporter.stage(f"generating a sample log of {section.days} days") as stage:
            rows = _write_sample(decision, section.preset, section.days, config.seed, path)
            stage.reach(1, f"{rows:,} rows")
        section = section.model_copy(update={"path": path})
    with reporter.stage("validating the log") as stage:
        log = pipeline.read(decision, section, _cache(config.project))
        stage.reach(1, f"{log.rows:,} rows")
    settled = settings if sample else pipeline.settle(decision, log, settings)
    return Prepared(decision.name, log, settled)


def _calibrated(
    decision: Decision, prepared: Prepared, config: RunConfig, reporter: Reporter
) -> Calibration:
    """The fitted market; a log or settings that cannot be used are refused before any writing."""
    with reporter.stage("calibrating the simulator"):
        calibration = pipeline.calibrate(decision, prepared.log, prepared.settings, config.seed)
        pipeline.require_playable(calibration, prepared.settings)
    return calibration


def _keep_calibration(calibration: Calibration, prepared: Prepared, folder: Path) -> None:
    with pipeline.as_user_error():
        calibration.save(folder)
    write_atomically(folder / "settings.json", settings_text(prepared.settings).encode())
    _write_json(folder / "log.json", prepared.about())
    report.fidelity_figure(calibration.fidelity).savefig(folder / "fidelity.png", dpi=110)


def _part_of(folder: Path, part: str) -> Path:
    """The part of a run's folder, where the run's folder itself is named."""
    inside = folder / part / f"{part}.json"
    return inside.parent if inside.is_file() else folder


def _load_calibration(decision: Decision, folder: Path) -> tuple[Calibration, Any]:
    """A calibration and the settings it was made with."""
    made_for = read_json(folder / "log.json").get("decision") if folder.is_dir() else None
    if made_for not in (None, decision.name):
        raise UserError(f"{folder} is a calibration of {made_for}, not of {decision.name}")
    with pipeline.as_user_error():
        calibration = decision.load_calibration(folder)
        return calibration, load_settings(folder, decision.settings_type)


def _record_calibration(run: Run, calibration: Calibration, about: Mapping[str, Any]) -> None:
    """Tell the tracker what was learned from and whether it can be believed."""
    run.dataset("log", sha256=about["sha256"], rows=about["rows"], source=about["source"])
    run.json("fidelity", calibration.fidelity.as_dict())
    run.figure("fidelity.png", report.fidelity_figure(calibration.fidelity))


def train(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    config: RunConfig,
    reporter: Reporter,
    run: Run,
) -> Trained:
    """Train through the calibrated simulator and keep the policy with its start."""
    pipeline.require_fidelity(calibration, config.accept_failed_fidelity)
    with reporter.stage("tuning the rules on history"):
        rules = pipeline.tuned_rules(decision, calibration, settings, config.seed)
        settings = pipeline.anchored(decision, settings, rules)
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
    start = pipeline.untrained(
        calibration.history_world(settings),
        pipeline.ppo_config(decision, config.training),
        config.seed,
    )
    trained = Trained(result, start, settings)
    folder = config.output / "policy"
    _keep_policy(trained, calibration, folder)
    example = _observations(calibration, settings, config.seed)
    action = result.best.act(example, np.random.default_rng(config.seed), deterministic=True)
    run.policy(folder, observation_example=example, action_example=action)
    run.figure("training.png", report.training_figure(result.history))
    return trained


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


def _keep_policy(trained: Trained, calibration: Calibration, folder: Path) -> None:
    """Write the policy, its start, the settings they act under and what they were trained on."""
    save_policy(trained.start, folder / START)
    save_policy(trained.result.best, folder)
    write_atomically(folder / "settings.json", settings_text(trained.settings).encode())
    seen = {"data_sha256": calibration.data_sha256, "before": calibration.judged_from.isoformat()}
    _write_json(folder / "trained-on.json", seen)


def evaluate(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    policy: Agent,
    start: Agent,
    config: RunConfig,
    reporter: Reporter,
    run: Run,
) -> Judgement:
    """Judge a policy on the later part of the log and keep the evidence."""
    with reporter.stage("judging on what was held out"):
        rules = pipeline.tuned_rules(decision, calibration, settings, config.seed)
        judgement = pipeline.judge_policy(
            decision, calibration, settings, policy, start, rules, config.evaluation, config.seed
        )
    record = {
        "decision": decision.name,
        "data_sha256": calibration.data_sha256,
        "config": config.as_values(),
        "settings": dataclasses.asdict(settings),
        "fidelity_passed": calibration.fidelity.passed,
        "fidelity_failures": [check.name for check in calibration.fidelity.failures],
        "notes": list(calibration.notes),
        **judgement.to_dict(),
    }
    _write_json(config.output / "evidence.json", record)
    run.json("evidence", record)
    run.metrics(_headline(judgement), config.training.total_steps)
    page = report.markdown(
        decision,
        judgement,
        calibration,
        dataclasses.asdict(settings),
        config.accept_failed_fidelity,
    )
    write_atomically(config.output / "report.md", page.encode())
    for name, figure in {
        "fidelity.png": report.fidelity_figure(calibration.fidelity),
        "evidence.png": report.evidence_figure(judgement.later),
    }.items():
        figure.savefig(config.output / name, dpi=110)
    run.figure("evidence.png", report.evidence_figure(judgement.later))
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
    prepared = _prepare(decision, config, reporter)
    own = _identity(config, prepared.settings, prepared.log.sha256)
    calibration = _calibrated(decision, prepared, config, reporter)
    with (
        _job(config, own),
        _tracked(decision, config, config.output.name, reporter) as run,
    ):
        _keep_calibration(calibration, prepared, config.output / "calibration")
        _record_calibration(run, calibration, prepared.about())
        trained = train(decision, calibration, prepared.settings, config, reporter, run)
        judgement = evaluate(
            decision, calibration, trained.settings, trained.result.best, trained.start,
            config, reporter, run,
        )  # fmt: skip
    return RunSummary(
        output=config.output,
        run_id=run.id,
        judgement=judgement,
        calibration=calibration,
        training=trained.result,
        seconds_of_training=trained.result.history[-1].seconds,
    )


def train_only(
    decision: Decision, folder: Path, config: RunConfig, reporter: Reporter
) -> TrainResult:
    """`train`: from a saved calibration to a saved policy; an unfinished training is resumed."""
    folder = _part_of(folder, "calibration")
    calibration, settings = _load_calibration(decision, folder)
    settings = build(
        decision.settings_type, {**vars(settings), **config.environment}, decision.name
    )
    pipeline.ppo_config(decision, config.training)
    pipeline.require_playable(calibration, settings)
    pipeline.require_fidelity(calibration, config.accept_failed_fidelity)
    own = _identity(config, settings, folder_sha256(folder, "calibration.json"))
    with (
        _job(config, own),
        _tracked(decision, config, f"train {config.output.name}", reporter) as run,
    ):
        _record_calibration(run, calibration, read_json(folder / "log.json"))
        return train(decision, calibration, settings, config, reporter, run).result


def evaluate_only(
    decision: Decision, folder: Path, policy_folder: Path, config: RunConfig, reporter: Reporter
) -> Judgement:
    """`evaluate`: a saved policy against a saved calibration."""
    folder, policy_folder = _part_of(folder, "calibration"), _part_of(policy_folder, "policy")
    calibration, _ = _load_calibration(decision, folder)
    policy, start = load_policy(policy_folder), load_policy(policy_folder / START)
    with pipeline.as_user_error():
        settings: Any = load_settings(policy_folder, decision.settings_type)
    _refuse_seen_days(policy_folder, calibration)
    with (
        held_alone(config.output),
        _tracked(decision, config, f"evaluate {policy_folder.name}", reporter) as run,
    ):
        _record_calibration(run, calibration, read_json(folder / "log.json"))
        return evaluate(decision, calibration, settings, policy, start, config, reporter, run)


def forget_finished(output: Path) -> None:
    """Let a finished run in `output` be made anew; an unfinished one is left to be resumed."""
    if (output / "evidence.json").exists():
        for name in ("checkpoint.pt", "checkpoint.json", "evidence.json"):
            (output / name).unlink(missing_ok=True)


def _refuse_seen_days(policy_folder: Path, calibration: Calibration) -> None:
    """Refuse to judge a policy on days that it was trained on."""
    seen = read_json(policy_folder / "trained-on.json")
    if date.fromisoformat(seen["before"]) > calibration.judged_from:
        raise UserError(
            f"the policy in {policy_folder} was trained on days before {seen['before']}, and this "
            f"calibration judges on days from {calibration.judged_from} on: the policy has seen "
            f"them. Calibrate on a log whose last third begins on {seen['before']} or later"
        )


def _tags(config: RunConfig) -> dict[str, str]:
    accepted = config.accept_failed_fidelity
    return {} if accepted is None else {"fidelity.accepted_because": accepted}


def _identity(config: RunConfig, settings: Any, learned_from: str) -> dict[str, Any]:
    """What makes a training this one and no other."""
    return {
        "decision": config.decision,
        "seed": config.seed,
        "training": config.as_values()["training"],
        "environment": json.loads(settings_text(settings)),
        "learned from": learned_from,
    }


def _refuse_other_training(output: Path, own: Mapping[str, Any]) -> None:
    """Refuse to resume what is not this training: its settings, its seed, its data."""
    if not (output / "checkpoint.pt").exists() or not (output / "checkpoint.json").exists():
        return
    kept = read_json(output / "checkpoint.json")
    differing = [name for name, value in own.items() if kept.get(name) != value]
    if differing:
        raise UserError(
            f"{output} holds another training; it differs in {', '.join(differing)}. "
            "Choose another --output, or delete its checkpoint.pt to train anew"
        )


@contextmanager
def _job(config: RunConfig, own: Mapping[str, Any]) -> Iterator[None]:
    """Hold the run's folder alone, refuse what another training left in it, say what it is of."""
    with held_alone(config.output):
        _refuse_other_training(config.output, own)
        text = yaml.safe_dump(config.as_values(), sort_keys=False)
        write_atomically(config.output / "config.yaml", text.encode())
        _write_json(config.output / "checkpoint.json", own)
        yield


@contextmanager
def _tracked(decision: Decision, config: RunConfig, name: str, reporter: Reporter) -> Iterator[Run]:
    """One run in the tracker, with the whole configuration."""
    with reporter.stage("opening the tracker"):
        tracker = open_tracker(config.project)
    with tracker.start(decision.name, name, params=config.as_values(), tags=_tags(config)) as run:
        yield run


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(values, indent=1, default=str) + "\n").encode())
