"""A policy as a table: situations that people name, to be answered one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.core.world import Array

LARGEST_TABLE = 200_000
"""Rows: beyond them a table is read by no person and loaded by few tools."""


@dataclass(frozen=True, kw_only=True)
class DecisionGrid:
    """`m` situations, each once: what they are called and what a policy sees in them.

    `columns` name a situation and together are its key. `decided` turns the policy's actions
    `[m, ...]` into what to do, one column a name, each `[m]`: a channel and an offer, a multiplier.

    Raises:
        ValueError: columns differ in length, or a situation comes twice.
    """

    columns: Mapping[str, NDArray[np.generic]]
    observation: NDArray[np.float32]  # [m, obs]
    mask: NDArray[np.bool_] | None  # [m, A]
    decided: Callable[[Array], Mapping[str, NDArray[np.generic]]]
    amounts: tuple[str, ...]  # the columns of `decided` that are numbers to be held to a change
    meaning: Mapping[str, str]  # column -> what it is, with its unit
    notes: tuple[str, ...]  # what a reader must know before acting on it

    def __post_init__(self) -> None:
        sizes = {len(column) for column in self.columns.values()} | {len(self.observation)}
        if len(sizes) != 1:
            raise ValueError(f"the columns of a decision table differ in length: {sorted(sizes)}")
        distinct = len(set(zip(*(c.tolist() for c in self.columns.values()), strict=True)))
        if distinct != len(self.observation):
            raise ValueError(
                f"a decision table names {distinct} situations in {len(self.observation)} rows"
            )
