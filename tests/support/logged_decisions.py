"""Held-out decisions of a log, made up."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.core.logged import LoggedDecisions


def logged(n: int = 200, **changed: Any) -> LoggedDecisions:
    """`n` decisions that stand alone, each of another customer, all in one group and one cell."""
    rows = np.arange(n)
    plain: dict[str, Any] = {
        "observation": np.zeros((n, 1), np.float32),
        "mask": None,
        "action": np.zeros(n, np.int64),
        "propensity": np.full(n, 0.5),
        "propensities": "logged",
        "reward": np.zeros(n),
        "event": np.zeros(n),
        "weight": np.ones(n),
        "unit": rows,
        "sequence": rows,
        "step": np.zeros(n, np.int64),
        "terminal": True,
        "cell": np.zeros(n, np.int64),
        "cell_of": lambda observation: np.asarray(observation[:, 0], np.int64),
        "seen": np.full((1, 2), 1000.0),
        "group": np.zeros(n, np.int64),
        "groups": ("all",),
        "foretold": np.full((1, n), 0.1),
        "expected": lambda index: np.zeros((len(index), 2)),
        "actions": ("stay", "go"),
        "discount": 1.0,
    }
    return LoggedDecisions(**plain | changed)
