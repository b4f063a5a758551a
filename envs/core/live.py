"""How a policy is asked once it has left the simulator: in named numbers, answered in words.

A card's `live_form` says it as plain values, which go with the exported policy. Where a decision is
asked over a protocol of its own (an exchange's auctions), its folder has a module `live` beside it:
`envs.<decision>.live.service`. It is imported where decisions are served, so that it and all that
it imports must be light: numpy and the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Field:
    """One number that goes in or comes out: its name, its unit, and what it is."""

    name: str
    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class LiveForm:
    """What a policy is asked with and what its answers mean, in the words of the decision's log.

    | field | meaning |
    |---|---|
    | fields | the numbers of an observation, in order |
    | choices | what each choice is, as columns of the log: {"channel": "email", "offer": ""} |
    | amounts | the numbers of an action, where it is amounts |
    | logged | column of the log -> what of a decision it holds: time, id, unit or propensity |
    | terms | plain values that the module `live` needs; None: there is no such module |
    """

    fields: tuple[Field, ...]
    choices: tuple[Mapping[str, str], ...] = ()
    amounts: tuple[Field, ...] = ()
    logged: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, Any] | None = None


class Asked(NamedTuple):
    """A request as a service takes it: parsed, within all limits, of a known sender."""

    body: Any  # what its JSON holds; None where it has no body
    query: Mapping[str, str]
    now: float  # seconds since 1970 UTC
    elapsed: Callable[[], float]  # seconds since its first byte came


class Reply(NamedTuple):
    """An answer; `reason` is counted, and told in a header where there is no body."""

    status: int
    body: Mapping[str, Any] | None = None
    reason: str = ""


class Shipped(NamedTuple):
    """The guarded answer of the policy in charge to one observation."""

    action: NDArray[Any]  # [d], or one choice
    propensity: float | None  # of what is shipped; a density for amounts that are drawn
    reasons: tuple[str, ...]  # why guards stepped in
    version: str


class Reserved(NamedTuple):
    """An amount that may be spent now, its receipt, and why it is less than was asked."""

    amount: float
    receipt: int
    reasons: tuple[str, ...]


class Purse(Protocol):
    """A budget whose books survive a restart: nothing that it grants is ever granted twice."""

    @property
    def noted(self) -> Mapping[str, Any] | None:
        """What was last noted, before a restart too; None at the very beginning."""

    def reserve(self, amount: float, now: float) -> Reserved:
        """Reserve at most `amount`, kept on disk before this returns; receipt -1: nothing.

        Raises OSError where it cannot be kept: then nothing may be spent.
        """

    def settle(self, receipt: int, spent: float, most: float) -> bool:
        """Book what a reservation of `most` really cost; False where that was booked before.

        After the reservation expired it is booked all the same: the money is spent.
        """

    def note(self, values: Mapping[str, Any]) -> None:
        """Remember plain values across a restart."""


class Host(Protocol):
    """What the server lends to a service."""

    def ask(self, observation: NDArray[np.float32], now: float) -> Shipped:
        """The guarded answer to one observation `[obs]`."""

    @property
    def version(self) -> str:
        """The policy in charge."""

    def purse(self, limits: Mapping[str, Any], expire_seconds: float) -> Purse:
        """Open the books of a budget; `limits` are those of guardrails as plain values."""

    def signed(self, text: str) -> str:
        """A signature that only this server can make of a text."""

    def log(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines to the decision log."""

    def count(self, what: str, reason: str) -> None:
        """Count something that a person may want to know of."""

    def new_id(self) -> str:
        """An id that no other decision has."""


class Endpoint(NamedTuple):
    """One path of a service; `open` paths need no token, since their senders cannot have one."""

    method: str
    path: str
    answer: Callable[[Asked], Reply]
    describe: Mapping[str, Any]  # its OpenAPI operation
    open: bool = False


class Service(Protocol):
    """What a module `live` makes: `service(terms, settings, host)`."""

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The paths that it answers."""

    @property
    def schemas(self) -> Mapping[str, Any]:
        """OpenAPI schemas that its endpoints refer to."""

    def tick(self, now: float) -> None:
        """Called about every second: whatever time alone changes."""
