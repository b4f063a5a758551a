"""The whole line as one job: log, calibration, training, evidence, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envs.core.decision import Calibration
from ppo_marketing.config import RunConfig
from ppo_marketing.evaluation import Judgement
from ppo_marketing.gate import Verdict
from ppo_marketing.guardrails import Interventions
from ppo_marketing.jobs.calibration import calibrated, keep_calibration, record_calibration
from ppo_marketing.jobs.folder import identity, job, tracked
from ppo_marketing.jobs.judging import evaluate
from ppo_marketing.jobs.logs import decision_named, prepare
from ppo_marketing.jobs.references import require_reference
from ppo_marketing.jobs.training import train
from ppo_marketing.pipeline import learning
from ppo_marketing.ppo.train import TrainResult
from ppo_marketing.progress import Reporter


@dataclass(frozen=True)
class RunSummary:
    """What `run` leaves behind."""

    output: Path
    run_id: str
    judgement: Judgement
    verdict: Verdict
    interventions: Interventions | None
    calibration: Calibration
    training: TrainResult
    seconds_of_training: float


def run_line(config: RunConfig, reporter: Reporter) -> RunSummary:
    """The whole line: log to verdict, all tracked as one run."""
    decision = decision_named(config.decision)
    learning.ppo_config(decision, config.training)
    require_reference(decision, config)
    prepared = prepare(decision, config, reporter)
    own = identity(config, prepared.settings, prepared.log.sha256)
    calibration = calibrated(decision, prepared, config, reporter)
    with (
        job(config, own),
        tracked(decision, config, config.output.name, reporter) as run,
    ):
        keep_calibration(calibration, prepared, config.output / "calibration")
        record_calibration(run, calibration, prepared.about())
        trained = train(decision, calibration, prepared.settings, config, reporter, run)
        judged = evaluate(
            decision, calibration, trained.settings, trained.result.best, trained.start,
            config, reporter, run, config.training.constraint, config.output / "policy",
        )  # fmt: skip
    return RunSummary(
        output=config.output,
        run_id=run.id,
        judgement=judged.judgement,
        verdict=judged.verdict,
        interventions=judged.interventions,
        calibration=calibration,
        training=trained.result,
        seconds_of_training=trained.result.history[-1].seconds,
    )
