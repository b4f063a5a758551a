"""Training through a calibrated simulator and keeping the policy with its start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.core.decision import Calibration, Decision
from envs.core.world import Array
from ppo_marketing.config import RunConfig
from ppo_marketing.constrained import share_of
from ppo_marketing.files import folder_sha256, read_json
from ppo_marketing.jobs.calibration import playable_calibration, record_calibration
from ppo_marketing.jobs.folder import identity, job, part_of, tracked
from ppo_marketing.jobs.policy_folder import keep_policy
from ppo_marketing.jobs.references import footing, require_reference
from ppo_marketing.pipeline import calibrating, learning
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.run import TrainingRow
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.ppo.train import TrainResult
from ppo_marketing.progress import Reporter
from ppo_marketing.report_figures import training_figure
from ppo_marketing.tracking import Run


class Trained(NamedTuple):
    """A training's result, the agent it started from and the settings that both act under."""

    result: TrainResult
    start: Agent
    settings: Any


def train_only(
    decision: Decision, folder: Path, config: RunConfig, reporter: Reporter
) -> TrainResult:
    """`train`: from a saved calibration to a saved policy; an unfinished training is resumed."""
    folder = part_of(folder, "calibration")
    learning.ppo_config(decision, config.training)
    require_reference(decision, config)
    calibration, settings = playable_calibration(decision, folder, config.environment)
    calibrating.require_fidelity(calibration, config.accept_failed_fidelity)
    own = identity(config, settings, folder_sha256(folder, "calibration.json"))
    with (
        job(config, own),
        tracked(decision, config, f"train {config.output.name}", reporter) as run,
    ):
        record_calibration(run, calibration, read_json(folder / "log.json"))
        return train(decision, calibration, settings, config, reporter, run).result


def train(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    config: RunConfig,
    reporter: Reporter,
    run: Run,
) -> Trained:
    """Train through the calibrated simulator and keep the policy with its start."""
    calibrating.require_fidelity(calibration, config.accept_failed_fidelity)
    with reporter.stage("tuning the rules on history"):
        settings, reference = footing(decision, calibration, settings, config)
    if reference is not None:
        run.tag("training.reference", reference.sha256())
    total = config.training.total_steps

    with reporter.stage("training PPO", total) as stage, stop_on_signals() as stop:
        stage.reach(0, "compiling")

        def on_update(row: TrainingRow) -> None:
            known = replace(row, validation_score=share_of(row.validation_score)).metrics()
            stage.reach(row.steps, f"{row.steps_per_second:,.0f} steps/s", known)
            run.metrics(known, row.steps)

        result = learning.learn_from_calibration(
            decision, calibration, settings, config.training, config.seed,
            checkpoint=config.output / "checkpoint.pt", on_update=on_update, stop=stop,
            reference=reference,
        )  # fmt: skip
    start = learning.untrained(
        calibration.history_world(settings),
        learning.ppo_config(decision, config.training),
        config.seed,
    )
    trained = Trained(result, start, settings)
    folder = config.output / "policy"
    keep_policy(result.best, start, settings, calibration, config.training.constraint, folder)
    log_policy(run, folder, result.best, calibration, settings, config.seed)
    run.figure("training.png", training_figure(result.history))
    return trained


def log_policy(
    run: Run, folder: Path, policy: Agent, calibration: Calibration, settings: Any, seed: int
) -> None:
    """Record the policy kept in `folder` as a model, checked on a few real observations."""
    example = _observations(calibration, settings, seed)
    action = policy.act(example, np.random.default_rng(seed), deterministic=True)
    run.policy(folder, observation_example=example, action_example=action)


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
