"""The log that a run learned from, read again from where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from envs.core.decision import Decision
from envs.core.log import LogTable
from ppo_marketing.config import LogSection
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.logs import cache_of
from ppo_marketing.pipeline import reading


def config_of(run: KeptRun) -> dict[str, Any]:
    """The configuration that a run, or its simulator alone, was made with.

    Raises UserError where it was not kept.
    """
    for path in (run.folder / "config.yaml", run.calibration / "config.yaml"):
        if path.is_file():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
    raise UserError(f"the run {run.name} does not keep how it was made: calibrate again")


def log_of(run: KeptRun, card: Decision, project: Path) -> LogTable:
    """The log of a run, validated as it was then; the sample is the one beside the run.

    Raises UserError where it is no longer there.
    """
    section = LogSection(**config_of(run)["log"])
    path = section.path or run.folder / "sample-log.parquet"
    if not path.is_file():
        raise UserError(
            f"the log of the run {run.name} is no longer where it was read from: hand it in again"
        )
    return reading.read(card, section.model_copy(update={"path": path}), cache_of(project))
