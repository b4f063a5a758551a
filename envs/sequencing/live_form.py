"""Sequencing outside the simulator: a customer's observation by name, contacts in words."""

from __future__ import annotations

from typing import Any

from envs.core.live import Field, LiveForm
from envs.sequencing.world import SequencingWorld

LOGGED = {"timestamp": "time", "event_id": "id", "customer_id": "unit", "propensity": "propensity"}


def live_form(world: SequencingWorld, calibration: Any) -> LiveForm:
    """Fields in the order of the environment's page; choices as the log's own columns say them."""
    recencies, frequencies = world.tables.shape[:2]
    indicator = "0 or 1"
    fields = [
        *(Field(name=f"recency_{r}", unit=indicator) for r in range(recencies)),
        *(Field(name=f"frequency_{f}", unit=indicator) for f in range(frequencies)),
    ]
    for channel, bins in zip(world.menu.channels, world.terms.bins.tolist(), strict=True):
        fields += [Field(name=f"fatigue_{channel}_{g}", unit=indicator) for g in range(bins)]
        fields += [
            Field(name=f"consent_{channel}", unit=indicator),
            Field(name=f"open_{channel}", unit=indicator, meaning="may be used now"),
            Field(
                name=f"since_{channel}",
                unit="weeks / 8, at most 1",
                meaning="since its last contact; 0 where no cap reaches back beyond the week",
            ),
        ]
    fields += [
        Field(name="horizon_left", unit="share", meaning="0 where the horizon is only a cut"),
        Field(name="purchases_to_be_paid", unit="purchases / 4, at most 1"),
    ]
    contacts = (
        {"event": "contact", "channel": channel, **({"offer": offer} if offer else {})}
        for channel, offer in world.menu.contacts
    )
    return LiveForm(fields=tuple(fields), choices=({"event": "none"}, *contacts), logged=LOGGED)
