"""The edge of the pipeline: files, the tracker and progress around each step of the line."""

from ppo_marketing.jobs.calibration import calibrate
from ppo_marketing.jobs.folder import forget_finished
from ppo_marketing.jobs.judging import evaluate_only
from ppo_marketing.jobs.line import RunSummary, run_line
from ppo_marketing.jobs.logs import decision_named, generate, validate
from ppo_marketing.jobs.training import train_only

__all__ = [
    "RunSummary",
    "calibrate",
    "decision_named",
    "evaluate_only",
    "forget_finished",
    "generate",
    "run_line",
    "train_only",
    "validate",
]
