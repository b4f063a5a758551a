"""A policy written out: every situation of the decision's grid and what the policy does in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.core.decision_table import DecisionGrid
from envs.core.world import Array
from ppo_marketing.export.cells import csv_bytes, text_of
from ppo_marketing.guardrails import Context, GuardrailLimits, apply
from ppo_marketing.ppo.agent import Agent

ID = "decision_id"


@dataclass(frozen=True)
class DecisionTable:
    """Rows of plain values; `key` names a situation, `decided` what to do in it."""

    key: tuple[str, ...]
    decided: tuple[str, ...]
    amounts: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    meaning: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column, the row's own name first."""
        return (ID, *self.key, *self.decided)

    def csv(self) -> bytes:
        """The table as people open it."""
        return csv_bytes(self.columns, self.rows, mode="spreadsheet")


def decision_table(
    agent: Agent, grid: DecisionGrid, limits: GuardrailLimits | None
) -> DecisionTable:
    """The most likely action in every situation, within the limits that need nothing but it.

    A row's `decision_id` is its key in words, so that it names the same situation in every export.

    Raises:
        UserError: as `Agent.act`.
    """
    action = _guarded(agent, grid, limits)
    decided = grid.decided(action)
    columns = {**grid.columns, **decided}
    lists = {name: np.asarray(column).tolist() for name, column in columns.items()}
    rows = []
    for number in range(len(action)):
        row = {name: values[number] for name, values in lists.items()}
        named = "|".join(f"{name}={text_of(row[name])}" for name in grid.columns)
        rows.append({ID: named, **row})
    return DecisionTable(
        tuple(grid.columns), tuple(decided), grid.amounts, tuple(rows), grid.meaning, grid.notes
    )


def _guarded(agent: Agent, grid: DecisionGrid, limits: GuardrailLimits | None) -> Array:
    rng = np.random.default_rng(0)  # the most likely action draws nothing
    action = agent.act(grid.observation, rng, grid.mask, deterministic=True)
    if limits is None:
        return action
    # A table has no units, no time and no support but its own grid; whoever acts on it has.
    alone = GuardrailLimits(amounts=limits.alone().amounts, choices=limits.choices)
    return apply(
        alone, action, action, Context(observation=grid.observation, mask=grid.mask)
    ).action
