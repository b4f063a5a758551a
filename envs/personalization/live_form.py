"""Personalization outside the simulator: a visitor's context by name, items by their ids."""

from __future__ import annotations

from typing import Any

from envs.core.live import Field, LiveForm
from envs.personalization.encoding import Encoder

LOGGED = {
    "timestamp": "time",
    "impression_id": "id",
    "unit_id": "unit",
    "propensity": "propensity",
}


def live_form(world: Any, calibration: Any) -> LiveForm:
    """Encoded columns of the context, then what else the world's page lists; items as ids."""
    size = world.observation_space.shape[0]
    context = _columns(calibration.encoder) if calibration is not None else ()
    rest = size - world.model.context_size
    if len(context) != world.model.context_size:
        context = tuple(
            Field(name=f"context_{k}", unit="encoded") for k in range(1, size - rest + 1)
        )
    after = (
        Field(name="slots_left", unit="share of the page's slots still to fill"),
        *(
            Field(name=f"session_{k}", unit="as the environment's page says")
            for k in range(1, rest)
        ),
    )
    choices = tuple({"action_id": str(one)} for one in world.items.ids)
    return LiveForm(fields=(*context, *after), choices=choices, logged=LOGGED)


def _columns(encoder: Encoder) -> tuple[Field, ...]:
    if encoder.projection is not None:
        return tuple(
            Field(name=f"component_{k}", unit="of the context's principal components")
            for k in range(1, encoder.size + 1)
        )
    fields: list[Field] = []
    for column in encoder.columns:
        if column.levels:
            fields += [Field(name=f"{column.name}={one}", unit="0 or 1") for one in column.levels]
        else:
            unit = f"(value - {column.mean:.6g}) / {column.sd:.6g}"
            fields.append(Field(name=column.name, unit=unit))
    return tuple(fields) or (Field(name="context", unit="0: there is none"),)
