"""The state of one server: who is in charge, the books, the log, the counters."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from ppo_marketing.serve.books import Books
from ppo_marketing.serve.champion import Champion
from ppo_marketing.serve.decision_log import DecisionLog
from ppo_marketing.serve.metrics import Metrics


class Desk:
    """What decisions of all paths share; it changes as they are made."""

    def __init__(
        self, champion: Champion, books: Books, log: DecisionLog, metrics: Metrics, *, draws: bool
    ) -> None:
        self.champion, self.books, self.log, self.metrics = champion, books, log, metrics
        # Draws must not repeat after a restart: this is the one place where nobody hands a seed in.
        self.rng: Generator | None = np.random.default_rng() if draws else None
        self._start = f"{time.time_ns():x}{secrets.token_hex(2)}"
        self._serial = itertools.count(1)
        self.logging = True
        metrics.policy.labels(champion.version).set(1)

    def new_id(self) -> str:
        """An id that no other decision has, also of another process."""
        return f"{self._start}-{next(self._serial)}"

    def swap(self, champion: Champion) -> None:
        """Put another in charge, from the next decision on."""
        self.metrics.policy.labels(self.champion.version).set(0)
        self.champion = champion
        self.metrics.policy.labels(champion.version).set(1)
        self.metrics.swaps.inc()

    def log_lines(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write to the decision log; where it cannot be kept, it is told and decisions go on."""
        try:
            self.log.write(lines, time.time())
            self.logging = True
        except OSError:
            self.logging = False
            self.metrics.alerts.labels("decision_log").inc()
