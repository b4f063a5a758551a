"""Settings of an alignment from a YAML file and flags; everything that is wrong is listed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.plain import in_words
from ppo_marketing.content.rules.terms import Preference
from ppo_marketing.errors import UserError


def alignment_config(
    path: Path | None, flags: Mapping[str, Any], kl: Mapping[str, Any]
) -> AlignmentConfig:
    """Return the settings of a file, overridden by the flags that are not None.

    Raises:
        UserError: the file cannot be read, or settings are unknown, wrong or contradictory.
    """
    values = {} if path is None else _mapping(path)
    values |= {name: value for name, value in flags.items() if value is not None}
    own = values.get("kl", {})
    given = {name: value for name, value in kl.items() if value is not None}
    values["kl"] = {**own, **given} if isinstance(own, Mapping) else own
    try:
        return TypeAdapter(AlignmentConfig).validate_python(values)
    except ValidationError as error:
        listed = "\n".join(f"  {in_words(problem)}" for problem in error.errors(include_url=False))
        raise UserError(f"the settings of the alignment cannot be used:\n{listed}") from error


def preference_of(folder: Path, combine: str, penalty: float, members: int | None) -> Preference:
    """Return how reward models are combined; the penalty counts with "uncertainty" alone.

    Raises:
        UserError: a value is not one that there is.
    """
    try:
        return Preference.model_validate(
            {
                "kind": "preference",
                "folder": str(folder),
                "weight": 1.0,
                "combine": combine,
                "penalty": penalty if combine == "uncertainty" else 0.0,
                "members": members,
            }
        )
    except ValidationError as error:
        listed = "; ".join(in_words(problem) for problem in error.errors(include_url=False))
        raise UserError(f"the reward models cannot be combined so: {listed}") from error


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"the settings {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"the settings {path} must hold `name: value` lines")
    return content
