"""What a training is asked to do: a run's configuration with somebody's changes, checked first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.core.decision import Decision
from ppo_marketing.config import RunConfig, load_config
from ppo_marketing.errors import UserError
from ppo_marketing.pipeline import learning, reading

OWN = ("ppo", "constraint")
"""Parts of the training section that have a form of their own."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What differs from the run that a training starts from; empty: nothing.

    `constraint` is None for no limit, or {kpi, limit} with an optional `per`.
    """

    training: Mapping[str, Any] = field(default_factory=dict)
    ppo: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    constraint: Mapping[str, Any] | None = None
    accepted: str = ""


def ordered(
    card: Decision, base: Mapping[str, Any], changes: Changes, project: Path, output: Path
) -> RunConfig:
    """The configuration of the new training.

    Raises UserError that lists everything which cannot be.
    """
    kept = {name: value for name, value in base.items() if name not in ("project", "output")}
    training = {**kept.get("training", {}), **changes.training, "constraint": changes.constraint}
    training["ppo"] = {**training.get("ppo", {}), **changes.ppo}
    values = {
        **kept,
        "decision": card.name,
        "project": project,
        "output": output,
        "training": training,
        "environment": {**kept.get("environment", {}), **changes.environment},
        "accept_failed_fidelity": changes.accepted.strip() or None,
    }
    config = load_config(None, values)
    learning.ppo_config(card, config.training)
    sample = config.log.path is None
    settings = card.sample_settings() if sample else card.settings_type()
    reading.given_settings(card, config.environment, settings)
    return config


def require_accepted(passed: bool, changes: Changes) -> None:
    """Raise UserError where a simulator failed its checks and nobody says why that is accepted."""
    if not passed and not changes.accepted.strip():
        raise UserError(
            "the simulator failed its checks: say why it is trained in all the same. The reason is "
            "kept with the run and shown with everything that rests on it"
        )
