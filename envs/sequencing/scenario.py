"""The what-if knobs of sequencing, and what each does to the customers that come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.core.scenario import refuse_extremes
from envs.sequencing.tables import ResponseTables


@dataclass(frozen=True, kw_only=True)
class SequencingScenario:
    """Factors on today's customers; 1 leaves them as they are.

    `margin` scales what a purchase earns, `contact_cost` what a contact costs, `demand` the odds of
    a purchase left alone, `uplift` the log-odds that contacts add, `fatigue` how fast contacts wear
    out (the exponent of the dampening), `unsubscribe` the chance to leave at a contact.
    """

    margin: float = 1.0
    contact_cost: float = 1.0
    demand: float = 1.0
    uplift: float = 1.0
    fatigue: float = 1.0
    unsubscribe: float = 1.0

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
