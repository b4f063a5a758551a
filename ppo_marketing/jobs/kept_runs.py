"""The runs that lie in a project, and what one of them found, read back as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ppo_marketing.errors import IntegrityError, UserError, meant
from ppo_marketing.evaluation import Judgement
from ppo_marketing.files import read_json

Reached = Literal["calibrated", "trained", "judged"]

# What shows how far a run got, and where its decision is named; the furthest first.
_MARKS: tuple[tuple[Reached, str, str], ...] = (
    ("judged", "evidence.json", "verdict.json"),
    ("trained", "policy/policy.json", "checkpoint.json"),
    ("calibrated", "calibration/calibration.json", "calibration/log.json"),
)


@dataclass(frozen=True)
class KeptRun:
    """A run's folder: whose decision it is, how far it got and when."""

    folder: Path
    decision: str
    reached: Reached
    made: datetime

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.folder.name

    @property
    def calibration(self) -> Path:
        """Where its simulator lies."""
        return self.folder / "calibration"

    @property
    def policy(self) -> Path:
        """Where its policy lies."""
        return self.folder / "policy"

    @property
    def sha256(self) -> str:
        """The hash of all its records: a run that was made anew has another."""
        digest = hashlib.sha256(self.name.encode())
        for _, mark, _ in _MARKS:
            path = self.folder / mark
            digest.update(path.read_bytes() if path.is_file() else b"-")
        return digest.hexdigest()


@dataclass(frozen=True)
class KeptEvidence:
    """What judging a policy found: the judgement and all that was kept beside it."""

    decision: str
    data_sha256: str
    judgement: Judgement
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    fidelity_passed: bool
    fidelity_failures: tuple[str, ...]
    notes: tuple[str, ...]
    drift: Mapping[str, Any] | None
    guardrails: Mapping[str, Any] | None

    @property
    def currency(self) -> str:
        """What money is counted in."""
        return self.judgement.later.policy.value.unit


def runs_folder(project: Path) -> Path:
    """Where a project's runs lie."""
    return project / "data" / "runs"


def runs_of(project: Path, decision: str | None = None) -> tuple[KeptRun, ...]:
    """The runs of a project, or of one decision in it; the newest first."""
    folder = runs_folder(project)
    found = [run_in(inside) for inside in folder.iterdir()] if folder.is_dir() else []
    runs = [run for run in found if run and decision in (None, run.decision)]
    return tuple(sorted(runs, key=lambda run: (run.made, run.name), reverse=True))


def run_in(folder: Path) -> KeptRun | None:
    """The run that lies in a folder; None where it holds none."""
    if folder.name.startswith("."):
        return None
    for reached, mark, named_in in _MARKS:
        try:
            made = datetime.fromtimestamp((folder / mark).stat().st_mtime, UTC)
            decision = json.loads((folder / named_in).read_text(encoding="utf-8"))["decision"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return KeptRun(folder, str(decision), reached, made)
    return None


def kept_evidence(folder: Path) -> KeptEvidence:
    """What `evaluate` wrote to `folder`.

    Raises:
        UserError: there is no evidence.
        IntegrityError: it is not what this program writes.
    """
    path = folder / "evidence.json"
    saved = read_json(path)
    try:
        return KeptEvidence(
            decision=saved["decision"],
            data_sha256=saved["data_sha256"],
            judgement=TypeAdapter(Judgement).validate_python(
                {name: saved[name] for name in ("later", "logged", "earlier", "limit")}
            ),
            config=saved["config"],
            settings=saved["settings"],
            fidelity_passed=saved["fidelity_passed"],
            fidelity_failures=tuple(saved["fidelity_failures"]),
            notes=tuple(saved["notes"]),
            drift=saved.get("drift"),
            guardrails=saved.get("guardrails"),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise IntegrityError(
            f"{path} is not evidence as this program writes it ({error}): evaluate the policy again"
        ) from error


def run_named(project: Path, decision: str, name: str | None) -> KeptRun | None:
    """The run of that name, or the newest; None where there is none at all.

    Raises UserError, naming the runs that there are, where none has that name.
    """
    runs = runs_of(project, decision)
    if name is None:
        return runs[0] if runs else None
    for run in runs:
        if run.name == name:
            return run
    raise UserError(f"there is no run {name!r}: {meant(name, [run.name for run in runs])}")
