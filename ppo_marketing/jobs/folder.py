"""A run's folder: held by one job, of one training, written whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from envs.core.decision import Decision
from envs.core.settings import settings_text
from ppo_marketing.config import RunConfig
from ppo_marketing.errors import UserError
from ppo_marketing.files import held_alone, read_json, write_atomically
from ppo_marketing.progress import Reporter
from ppo_marketing.tracking import Run, open_tracker


def forget_finished(output: Path) -> None:
    """Let a finished run in `output` be made anew; an unfinished one is left to be resumed."""
    if (output / "evidence.json").exists():
        for name in ("checkpoint.pt", "checkpoint.json", "evidence.json"):
            (output / name).unlink(missing_ok=True)


def part_of(folder: Path, part: str) -> Path:
    """The part of a run's folder, where the run's folder itself is named."""
    inside = folder / part / f"{part}.json"
    return inside.parent if inside.is_file() else folder


def identity(config: RunConfig, settings: Any, learned_from: str) -> dict[str, Any]:
    """What makes a training this one and no other."""
    return {
        "decision": config.decision,
        "seed": config.seed,
        "training": config.as_values()["training"],
        "environment": json.loads(settings_text(settings)),
        "learned from": learned_from,
    }


@contextmanager
def job(config: RunConfig, own: Mapping[str, Any]) -> Iterator[None]:
    """Hold the run's folder alone, refuse what another training left in it, say what it is of."""
    with held_alone(config.output):
        _refuse_other_training(config.output, own)
        text = yaml.safe_dump(config.as_values(), sort_keys=False)
        write_atomically(config.output / "config.yaml", text.encode())
        write_json(config.output / "checkpoint.json", own)
        yield


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
def tracked(decision: Decision, config: RunConfig, name: str, reporter: Reporter) -> Iterator[Run]:
    """One run in the tracker, with the whole configuration."""
    with reporter.stage("opening the tracker"):
        tracker = open_tracker(config.project)
    with tracker.start(decision.name, name, params=config.as_values(), tags=tags(config)) as run:
        yield run


def tags(config: RunConfig) -> dict[str, str]:
    """Return what a run's record is marked with."""
    accepted = config.accept_failed_fidelity
    return {} if accepted is None else {"fidelity.accepted_because": accepted}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, whole or not at all."""
    write_atomically(path, (json.dumps(values, indent=1, default=str) + "\n").encode())
