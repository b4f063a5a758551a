"""What the server lends to a decision's own protocol, and to nothing else."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.core.live import Reserved, Shipped
from ppo_marketing.errors import UserError
from ppo_marketing.files import made
from ppo_marketing.guardrails import Context, GuardrailLimits, apply, reasons_of
from ppo_marketing.serve.books import Books
from ppo_marketing.serve.deciding import DAY, decide
from ppo_marketing.serve.desk import Desk
from ppo_marketing.serve.journal import Journal
from ppo_marketing.serve.questions import Questions

LENT = frozenset({"day", "hour"})
"""What a decision's own protocol can tell guards; it knows no units and no costs of actions."""


class LivePurse:
    """A budget behind guardrails' own books."""

    def __init__(self, books: Books, limits: GuardrailLimits) -> None:
        self.books, self._limits = books, limits

    @property
    def noted(self) -> Mapping[str, Any] | None:
        """What was last noted."""
        return self.books.noted

    def reserve(self, amount: float, now: float) -> Reserved:
        """As `envs.core.live.Purse` says."""
        context = Context(cost=[1.0], day=now // DAY)
        guarded = self.books.advance(
            lambda state: apply(self._limits, [amount], [amount], context, state), (), now
        )
        reasons = tuple(reason.value for reason in reasons_of(int(guarded.reasons[0])))
        return Reserved(float(guarded.action[0]), int(guarded.receipt[0]), reasons)

    def settle(self, receipt: int, spent: float, most: float) -> bool:
        """As `envs.core.live.Purse` says."""
        return self.books.settle(receipt, spent, most)

    def note(self, values: Mapping[str, Any]) -> None:
        """As `envs.core.live.Purse` says."""
        self.books.note(values)


class LiveHost:
    """A host as `envs.core.live.Host` says, over a server's desk.

    Raises UserError where the bundle's limits need what a protocol cannot tell.
    """

    def __init__(self, desk: Desk, folder: Path, sync_seconds: float) -> None:
        self._desk, self._folder, self._sync = desk, made(folder), sync_seconds
        self._secret = _secret(self._folder / "secret")
        self.purses: list[LivePurse] = []
        limits = desk.champion.bundle.limits
        foreign = set(() if limits is None else limits.needs) - LENT
        if foreign:
            raise UserError(
                f"the bundle's guardrails need {', '.join(sorted(foreign))} of every decision, "
                "which this decision's own protocol does not tell: export it without them, and set "
                "budgets in the section `live`"
            )

    @property
    def version(self) -> str:
        """The policy in charge."""
        return self._desk.champion.version

    def ask(self, observation: NDArray[np.float32], now: float) -> Shipped:
        """As `envs.core.live.Host` says."""
        hour = np.array([now % DAY / 3600])
        asked = Questions([None], observation[None].astype(np.float64), None, None, hour, None, [])
        desk = self._desk
        found = decide(desk.champion, desk.books, asked, now, desk.rng)[0]
        desk.metrics.decisions.labels(desk.champion.version).inc()
        for reason in found.reasons:
            desk.metrics.reasons.labels(reason).inc()
        return Shipped(found.action, found.propensity, found.reasons, desk.champion.version)

    def purse(self, limits: Mapping[str, Any], expire_seconds: float) -> LivePurse:
        """As `envs.core.live.Host` says."""
        held = GuardrailLimits.from_dict(limits)
        journal = Journal(self._folder / f"purse-{len(self.purses)}", self._sync)
        purse = LivePurse(Books(journal, expire_seconds), held)
        self.purses.append(purse)
        return purse

    def signed(self, text: str) -> str:
        """As `envs.core.live.Host` says."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:32]

    def log(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """As `envs.core.live.Host` says; a line that cannot be kept is an alert, no failure."""
        self._desk.log_lines(lines)

    def count(self, what: str, reason: str) -> None:
        """As `envs.core.live.Host` says."""
        self._desk.metrics.events.labels(what, reason).inc()

    def new_id(self) -> str:
        """As `envs.core.live.Host` says."""
        return self._desk.new_id()


def _secret(path: Path) -> bytes:
    """The key that notices are signed with: made once, readable to its owner alone."""
    if not path.exists():
        with open(path, "xb", opener=_private) as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)
