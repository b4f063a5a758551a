"""The project file of `retrain`: everything that a retraining depends on, on one page.

Paths are relative to the file itself, so that whatever calls the job calls the same job.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)

from ppo_marketing.config import RunConfig, config_of, problems_of, read_mapping
from ppo_marketing.errors import UserError
from ppo_marketing.retraining.data_gate import DataRules
from ppo_marketing.retraining.shift import ShiftBounds

_RUN_PATHS = (("project",), ("log", "path"), ("guardrails", "suppression_list"))
_EXPORT_PATHS = ("output", "rows", "profile", "suppression", "consent")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AnchorSection(_Section):
    """A price on leaving the champion (`training.ppo.anchor`, docs/training.md)."""

    coefficient: PositiveFloat = 0.1
    target_kl: PositiveFloat | None = 0.03
    """Nats a decision that training may end away from it; null keeps the price as it is."""


class RetrainingSection(_Section):
    """How a challenger is trained, and what it must show against the champion."""

    name: str | None = Field(default=None, pattern=_NAME)
    """The folder data/retraining/<name>, one job at a time; none: the decision's name."""
    seeds: PositiveInt = 3
    """Trainings, of which fresh episodes choose one: luck of a single seed is then told apart."""
    from_champion: bool = True
    """Start from the champion and hold on to it; false: start from the rule, as the first time.
    Nothing then compares the two decision by decision, so that a person promotes."""
    anchor: AnchorSection = AnchorSection()
    """The price on leaving the champion, unless training.ppo.anchor names one."""
    most_kl: PositiveFloat = 0.08
    """Nats a decision that a challenger may end away from the champion, by the bound of `drift`.
    What lies beyond is brought back towards the champion."""
    least_lift: float = 0.0
    """Over the champion, with 95 % confidence, as a share of its value; -0.01: not worse by 1 %."""
    promote: bool = True
    """Promote what is better; false: it waits for a person."""
    promoted_by: str = Field(default="ppo-marketing retrain", min_length=1)
    """Who answers for it in the record."""
    champion: Path | None = None
    """The champion's run folder, where it is no longer where it was trained."""
    keep_runs: PositiveInt = 5
    """Finished runs that are kept, besides those of the champion and what it can go back to."""


class ExportSection(_Section):
    """One target that a new champion is written to, as `export` takes it."""

    target: str = "bundle"
    output: Path
    rows: Path | None = None
    profile: Path | None = None
    suppression: Path | None = None
    consent: Path | None = None
    list_hours: PositiveFloat = 24.0
    max_change: float = Field(default=0.5, ge=0, allow_inf_nan=False)


class AlertsSection(_Section):
    """Whom to tell, and from when on silence is told too."""

    command: tuple[str, ...] = ()
    """A program and its arguments; it gets the alert as JSON on its standard input."""
    webhook: SecretStr | None = None
    """An address that takes the alert as JSON by POST; it is never shown."""
    heartbeat_hours: PositiveFloat = 26.0
    """A day and what a late job takes: after that, no heartbeat is an alert."""
    retries: NonNegativeInt = 2

    @field_validator("webhook")
    @classmethod
    def _over_http(cls, address: SecretStr | None) -> SecretStr | None:
        if address and not address.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("it must begin with https:// (or http://)")
        return address


class _File(_Section):
    """What a project file holds; `run` is what `run` takes."""

    run: dict[str, Any]
    retraining: RetrainingSection = RetrainingSection()
    data: DataRules = DataRules()
    shift: ShiftBounds = ShiftBounds()
    exports: tuple[ExportSection, ...] = ()
    alerts: AlertsSection = AlertsSection()


@dataclass(frozen=True)
class Project:
    """A project file that was read: the run's configuration and the sections of retraining."""

    path: Path
    config: RunConfig
    retraining: RetrainingSection
    data: DataRules
    shift: ShiftBounds
    exports: tuple[ExportSection, ...]
    alerts: AlertsSection

    @property
    def name(self) -> str:
        """What this retraining is called."""
        return self.retraining.name or self.config.decision

    @property
    def folder(self) -> Path:
        """Where it keeps its runs, its heartbeat and its alerts."""
        return self.config.project / "data" / "retraining" / self.name

    def identity(self) -> dict[str, Any]:
        """What the outcome depends on, as plain values: part of the run key.

        Where files are kept and whom alerts go to are no part of it.
        """
        run = self.config.as_values()
        for place in ("project", "output"):
            del run[place]
        run["log"] = {name: value for name, value in run["log"].items() if name != "path"}
        base = self.path.parent
        listed = self.config.guardrails.suppression_list
        run["guardrails"] = {**run["guardrails"], "suppression_list": _named(listed, base)}
        retraining = self.retraining.model_dump(mode="json", exclude={"keep_runs", "champion"})
        return {
            "run": run,
            "retraining": retraining,
            "data": vars(self.data),
            "shift": vars(self.shift),
            "exports": [
                export.model_dump(mode="json")
                | {name: _named(getattr(export, name), base) for name in _EXPORT_PATHS}
                for export in self.exports
            ],
        }


def load_project(path: Path) -> Project:
    """Read a project file.

    Raises UserError that lists every problem of every section.
    """
    content = read_mapping(path)
    base = path.resolve().parent
    problems = []
    sections: _File | None = None
    try:
        sections = _File.model_validate(content)
    except ValidationError as error:
        problems.append(problems_of(error, _names()))
    except UserError as error:
        problems.append(f"  {error}")
    config: RunConfig | None = None
    run = content.get("run")
    if isinstance(run, dict):
        if "output" in run:
            problems.append("  run.output: retraining chooses its own folders; leave it out")
        try:
            config = config_of(_placed(run, base), {})
        except UserError as error:
            problems.append(f"  run: {error}")
    if config is not None and config.training.anchor_to != "start":
        problems.append(
            "  run.training.anchor_to: a retraining starts from the champion and holds to it by "
            "itself (retraining.anchor); leave it out"
        )
    if problems or sections is None or config is None:
        listed = "\n".join(problems)
        raise UserError(
            f"the project file {path} cannot be used:\n{listed}\n`ppo-marketing retrain --example` "
            "prints one that can"
        )
    return Project(
        path=path.resolve(),
        config=config,
        retraining=sections.retraining.model_copy(
            update={"champion": _below(base, sections.retraining.champion)}
        ),
        data=sections.data,
        shift=sections.shift,
        exports=tuple(_export_placed(export, base) for export in sections.exports),
        alerts=sections.alerts,
    )


def _placed(run: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The section `run` with its paths below the file's folder."""
    placed = dict(run)
    for *outer, name in _RUN_PATHS:
        inner = placed
        for section in outer:
            if not isinstance(inner.get(section), dict):
                break
            inner[section] = dict(inner[section])
            inner = inner[section]
        else:
            if isinstance(inner.get(name), str):
                inner[name] = str(base / inner[name])
    return placed


def _export_placed(export: ExportSection, base: Path) -> ExportSection:
    placed = {name: _below(base, getattr(export, name)) for name in _EXPORT_PATHS}
    return export.model_copy(update=placed)


def _below(base: Path, path: Path | None) -> Path | None:
    return None if path is None else base / path


def _named(path: Path | None, base: Path) -> str | None:
    """A path as the file names it, so that a project that is moved stays the same."""
    return None if path is None else os.path.relpath(path, base)


def _names() -> set[str]:
    sections = (_File, RetrainingSection, AnchorSection, ExportSection, AlertsSection)
    return {name for section in sections for name in section.model_fields}


def example(decision: str) -> str:
    """A project file that works as it is: the built-in sample, one bundle, nobody told."""
    return _EXAMPLE.format(decision=decision)


_EXAMPLE = """\
# Paths are relative to this file.
run:                          # what `ppo-marketing run` takes
  decision: {decision}
  project: .                  # data/ and mlruns/ are made here
  log: {{days: 42}}             # the built-in sample; yours: {{path: logs/log.parquet}}
  training: {{total_steps: 200000}}
  # gate, guardrails, drift, environment ... as in a run's own file
  release: {{four_eyes: false}}
retraining:
  seeds: 3
  least_lift: 0.0             # over the champion, with 95 % confidence
  promote: true               # false: a person promotes
data:
  most_hours_old: 72
  volume_change: 0.5
shift:
  alert_stops: true           # false: a shifted log is trained on, and told
exports:
  - {{target: bundle, output: exports/bundle}}
alerts:
  # command: [/usr/local/bin/tell-the-team]
  # webhook: https://example.org/hooks/marketing
  heartbeat_hours: 26
"""
