"""The parts of a calibration as plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.personalization.encoding import Encoder, encoder_from
from envs.personalization.model import Floats, RewardModel
from envs.personalization.visits import Visits

FORM = 2  # raise it when older files can no longer be read as they are

Arrays = Mapping[str, NDArray[Any]]


def part_arrays(visits: Visits, propensity: Floats, model: RewardModel) -> dict[str, NDArray[Any]]:
    """Everything of a part by name; what a log does not have is left out."""
    columns = {f"visits_{field.name}": getattr(visits, field.name) for field in fields(visits)}
    members = {f"model_{name}": value for name, value in model._asdict().items()}
    arrays = {**columns, **members, "propensity": propensity}
    return {name: value for name, value in arrays.items() if value is not None}


def part_of(arrays: Arrays) -> tuple[Visits, Floats, RewardModel]:
    """The part that `part_arrays` took apart."""
    columns = {field.name: arrays.get(f"visits_{field.name}") for field in fields(Visits)}
    model = RewardModel(*(arrays[f"model_{name}"] for name in RewardModel._fields))
    return Visits(**columns), np.asarray(arrays["propensity"]), model  # type: ignore[arg-type]


def encoder_arrays(encoder: Encoder) -> dict[str, NDArray[Any]]:
    """The encoder's projection, where it has one."""
    if encoder.centre is None or encoder.projection is None:
        return {}
    return {"encoder_centre": encoder.centre, "encoder_projection": encoder.projection}


def encoder_of(saved: Mapping[str, Any], arrays: Arrays) -> Encoder:
    """The encoder of a record and its arrays."""
    return encoder_from(saved, arrays.get("encoder_centre"), arrays.get("encoder_projection"))
