"""The what-if knobs of sequencing, and what each does to the customers that come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from envs.core.scenario import knob, refuse_extremes
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.tables import ResponseTables


@dataclass(frozen=True, kw_only=True)
class SequencingScenario:
    """Factors on today's customers and on what the team may do; 1 leaves them as they are."""

    margin: float = knob("Margin", "what a purchase earns")
    contact_cost: float = knob("Cost of contacts", "what every contact costs")
    demand: float = knob("Demand", "the odds of a purchase left alone: a season, a rival")
    uplift: float = knob("Effect of contacts", "the log-odds that contacts add")
    fatigue: float = knob("Fatigue", "how fast contacts wear out")
    unsubscribe: float = knob("Unsubscribes", "the chance to withdraw consent at a contact")
    caps: float = knob(
        "Frequency caps", "contacts that every cap allows, rounded; never below none", low=0.0
    )
    capacity: float = knob(
        "Room for contacts",
        "contacts a week that each channel has room for; the largest gains of the week come first",
        low=0.01,
        high=1.0,
    )

    def __post_init__(self) -> None:
        refuse_extremes(self)


def changed_tables(tables: ResponseTables, scenario: SequencingScenario) -> ResponseTables:
    """The tables under the scenario."""
    return tables._replace(
        margin=tables.margin * scenario.margin,
        contact_cost=tables.contact_cost * scenario.contact_cost,
        base=tables.base + np.log(scenario.demand),
        uplift=tables.uplift * scenario.uplift,
        drag=tables.drag * scenario.fatigue,
        dampening=tables.dampening**scenario.fatigue,
        unsubscribe=np.minimum(tables.unsubscribe * scenario.unsubscribe, 1.0),
    )


def changed_settings(
    settings: SequencingSettings, scenario: SequencingScenario, channels: Sequence[str]
) -> SequencingSettings:
    """The settings with the scenario's caps and room.

    A channel without a shared budget has room for a contact to everybody every week; caps of
    channels that there are not stay as they are.
    """
    caps = {
        name: (round(contacts * scenario.caps) if name in channels else contacts, days)
        for name, (contacts, days) in settings.caps.items()
    }
    room = dict(settings.channel_budgets)
    if scenario.capacity != 1:
        room = {channel: room.get(channel, 1.0) * scenario.capacity for channel in channels}
    return replace(settings, caps=caps, channel_budgets=room)
