"""Fitting the simulator to a log and keeping it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from envs.core.decision import Calibration, Decision
from envs.core.settings import load_settings, settings_text
from ppo_marketing.config import RunConfig
from ppo_marketing.errors import UserError
from ppo_marketing.files import held_alone, read_json, write_atomically
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.logs import Prepared, prepare
from ppo_marketing.pipeline import calibrating, reading
from ppo_marketing.pipeline.refusals import as_user_error
from ppo_marketing.progress import Reporter
from ppo_marketing.report_figures import fidelity_figure
from ppo_marketing.tracking import Run


def calibrate(
    decision: Decision, config: RunConfig, folder: Path, reporter: Reporter
) -> Calibration:
    """Fit the market to the log and keep it in `folder`."""
    prepared = prepare(decision, config, reporter)
    calibration = calibrated(decision, prepared, config, reporter)
    with held_alone(folder.parent):
        keep_calibration(calibration, prepared, folder)
        text = yaml.safe_dump(config.as_values(), sort_keys=False)
        write_atomically(folder / "config.yaml", text.encode())
    return calibration


def calibrated(
    decision: Decision, prepared: Prepared, config: RunConfig, reporter: Reporter
) -> Calibration:
    """The fitted market; a log or settings that cannot be used are refused before any writing."""
    with reporter.stage("calibrating the simulator"):
        calibration = calibrating.calibrate(decision, prepared.log, prepared.settings, config.seed)
        calibrating.require_playable(calibration, prepared.settings)
    return calibration


def keep_calibration(calibration: Calibration, prepared: Prepared, folder: Path) -> None:
    """Write the fitted market, its settings, its origin and its fidelity picture."""
    with as_user_error():
        calibration.save(folder)
    write_atomically(folder / "settings.json", settings_text(prepared.settings).encode())
    write_json(folder / "log.json", prepared.about())
    fidelity_figure(calibration.fidelity).savefig(folder / "fidelity.png", dpi=110)


def load_calibration(decision: Decision, folder: Path) -> tuple[Calibration, Any]:
    """A calibration and the settings it was made with."""
    made_for = read_json(folder / "log.json").get("decision") if folder.is_dir() else None
    if made_for not in (None, decision.name):
        raise UserError(f"{folder} is a calibration of {made_for}, not of {decision.name}")
    with as_user_error():
        calibration = decision.load_calibration(folder)
        return calibration, load_settings(folder, decision.settings_type)


def playable_calibration(
    decision: Decision, folder: Path, changes: Mapping[str, Any]
) -> tuple[Calibration, Any]:
    """A calibration and its settings with the user's changes to them.

    Raises UserError where they cannot be used, or this market shows them to be impossible.
    """
    calibration, made_with = load_calibration(decision, folder)
    settings = reading.given_settings(decision, changes, made_with)
    calibrating.require_playable(calibration, settings)
    return calibration, settings


def record_calibration(run: Run, calibration: Calibration, about: Mapping[str, Any]) -> None:
    """Tell the tracker what was learned from and whether it can be believed."""
    run.dataset("log", sha256=about["sha256"], rows=about["rows"], source=about["source"])
    run.json("fidelity", calibration.fidelity.as_dict())
    run.figure("fidelity.png", fidelity_figure(calibration.fidelity))
