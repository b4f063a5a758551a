"""Trainings kept one by one, so that what was finished before an interruption is not done again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.core.calibration_folder import RECORD
from envs.core.decision import Calibration, Decision
from envs.core.settings import settings_text
from envs.core.world import Array
from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.files import folder_sha256, read_json, write_atomically
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.trial import Ground, Trial, perform, resolved_settings

KPIS_SUFFIX = ".kpis.npz"


class Kept(NamedTuple):
    """A finished training: its record, and its KPI totals of every judged episode `[n]`."""

    record: dict[str, Any]
    kpis: dict[str, Array]


class Task(NamedTuple):
    """A training to be done in a process of its own, and where it is kept."""

    trial: Trial
    ground: Ground
    identity: dict[str, Any]
    folder: Path


def task_of(
    trial: Trial,
    ground: Ground,
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    folder: Path,
) -> Task:
    """The training with everything that makes it this one and no other.

    Raises UserError where its algorithm cannot be run with what it is told.
    """
    resolved = resolved_settings(trial, decision, calibration, settings, ground.training)
    training = ground.training
    limit = training.constraint
    identity = {
        "decision": ground.decision,
        "learned from": calibration.data_sha256,
        "calibration": folder_sha256(ground.calibration, RECORD),
        "environment": json.loads(settings_text(settings)),
        "training": {**asdict(trial), "settings": resolved},
        "episodes": [training.episodes, training.validation_episodes, training.regret],
        "limit": None if limit is None else asdict(limit),
        "judged on": [ground.evaluation.episodes, ground.seed],
    }
    return Task(trial, ground, json.loads(json.dumps(identity, default=str)), folder)


def done(task: Task) -> Kept:
    """Do the training and keep it: the arrays first, then the record that names their hash."""
    outcome = perform(task.trial, task.ground)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **outcome.kpis)
    record = {
        **outcome.record,
        "kpis_sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "identity": task.identity,
    }
    write_atomically(task.folder / f"{task.trial.name}{KPIS_SUFFIX}", content.getvalue())
    write_json(task.folder / f"{task.trial.name}.json", record)
    return Kept(record, outcome.kpis)


def kept(task: Task) -> Kept | None:
    """What an earlier start kept of this training; None where it was not finished.

    Raises:
        UserError: the file is of another training; what differs is named.
        IntegrityError: its arrays are not what was written.
    """
    path = task.folder / f"{task.trial.name}.json"
    if not path.exists():
        return None
    record = read_json(path)
    written: Mapping[str, Any] = record.get("identity", {})
    differing = [name for name, value in task.identity.items() if written.get(name) != value]
    if differing:
        raise UserError(
            f"{path} is of another comparison; it differs in {', '.join(differing)}. Choose "
            "another --output, or delete that file to train anew"
        )
    try:
        content = path.with_name(f"{task.trial.name}{KPIS_SUFFIX}").read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path} has lost its arrays ({error}): delete it") from error
    if hashlib.sha256(content).hexdigest() != record["kpis_sha256"]:
        raise IntegrityError(f"the arrays beside {path} are not what was written: delete both")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Kept(record, dict(arrays))


def by_label(results: Mapping[str, Kept]) -> dict[str, list[Kept]]:
    """Every competitor's trainings by seed; PPO first: others are paired with it if it finished."""
    labels = dict.fromkeys(result.record["label"] for result in results.values())
    in_order = sorted(results.values(), key=lambda result: int(result.record["seed"]))
    return {
        label: [result for result in in_order if result.record["label"] == label]
        for label in sorted(labels, key=lambda label: label != "ppo")
    }


def finished(own: Sequence[Kept]) -> list[Kept]:
    """Those of these trainings that did not diverge."""
    return [result for result in own if result.record["failed"] is None]
