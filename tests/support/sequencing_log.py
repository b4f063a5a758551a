"""A panel straight from simulated customers, as the log of them would give it."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from envs.sequencing.generated_log import logging_policy
from envs.sequencing.panel import Panel
from envs.sequencing.paths import drawn_start, follow
from envs.sequencing.tables import ResponseTables


def panel_of(
    tables: ResponseTables,
    customers: int,
    weeks: int,
    rng: Generator,
    *,
    randomised: float = 0.2,
) -> Panel:
    """`customers` x `weeks` under the sample's logging policy; mailed ones open one in five."""
    members = np.zeros(customers, np.int64)
    policy = logging_policy(tables, randomised)
    path = follow(tables, members, drawn_start(tables, members, rng), policy, weeks, rng)

    def grid(column: list[np.ndarray]) -> np.ndarray:
        stacked = np.stack(column, axis=1)
        return stacked.reshape(-1, *stacked.shape[2:])

    action = grid([week.action for week in path])
    purchase = grid([week.purchase for week in path])
    mailed = np.isin(action, [1, 2])
    opened = mailed & (rng.random(len(action)) < 0.2)
    return Panel(
        customer=np.repeat(np.arange(customers), weeks),
        week=np.tile(np.arange(weeks), customers),
        recency=grid([week.before.recency for week in path]),
        frequency=grid([week.before.frequency for week in path]),
        fatigue=grid([week.before.fatigue for week in path]),
        consent=grid([week.before.consent for week in path]),
        recent=np.zeros((len(action), tables.shape[3]), np.int64),
        action=action,
        propensity=grid([week.propensity for week in path]),
        purchase=purchase,
        value=np.where(purchase, tables.margin[0, 0, 0], 0.0),
        offer_paid=np.where(purchase, tables.offer_cost[action], 0.0),
        unsubscribe=grid([week.unsubscribe for week in path]),
        settled=np.ones(len(action), bool),
        delivered=mailed,
        opened=opened,
        clicked=opened & (rng.random(len(action)) < 0.12),
        mature=np.ones(len(action), bool),
    )
