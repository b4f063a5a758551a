"""The edge of the pipeline: files, the tracker and progress around each step of the line."""

from ppo_marketing.jobs.calibration import calibrate
from ppo_marketing.jobs.folder import forget_finished
from ppo_marketing.jobs.judging import evaluate_only
from ppo_marketing.jobs.line import RunSummary, run_line
from ppo_marketing.jobs.logs import decision_named, generate, validate
from ppo_marketing.jobs.off_policy import JudgedByLog, evaluate_on_log
from ppo_marketing.jobs.training import train_only

__all__ = [
    "JudgedByLog",
    "RunSummary",
    "calibrate",
    "decision_named",
    "evaluate_on_log",
    "evaluate_only",
    "forget_finished",
    "generate",
    "run_line",
    "train_only",
    "validate",
]
