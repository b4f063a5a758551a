"""The books of guardrails beside a journal: nothing is answered that a restart would not know."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from ppo_marketing.guardrails import FRESH, Guarded, GuardState, money, resumed, settled
from ppo_marketing.guardrails.state import Contacts, Reservation, Writer
from ppo_marketing.serve.journal import LARGEST_JOURNAL, Journal

BLOCK = 8192
"""Receipts a block of the list of those that were settled: a kilobyte."""


class Books:
    """Books in, books out, each change journalled before it counts.

    `expire_seconds`: reservations that nobody settled by then are freed; None: they stay spent.
    """

    def __init__(self, journal: Journal, expire_seconds: float | None = None) -> None:
        self._journal = journal
        self._expire = expire_seconds
        self.state = FRESH
        self.noted: Mapping[str, Any] | None = None
        self._due: deque[tuple[float, int]] = deque()
        self._closed = Receipts()
        self._waiting: dict[int, tuple[float, float]] = {}  # settled, and not kept yet
        if journal.snapshot is not None:
            self._restore(journal.snapshot["state"])
        for record in journal.records:
            self._replay(record)

    def advance(
        self, decide: Callable[[GuardState], Guarded], units: Sequence[object], now: float
    ) -> Guarded:
        """Decide from the books; they are what was decided once it is in the journal.

        Raises OSError where it cannot be kept: nothing was decided then.
        """
        self._book_what_waits()
        before = self.state
        guarded = decide(before)
        after = guarded.state
        receipts = [int(one) for one in guarded.receipt if one >= 0]
        if after is before:
            return guarded
        if after.day != before.day:  # much is dropped at the turn of a day: written as a whole
            self._journal.append({"all": self._plain(after, self._owed(receipts, now))})
        else:
            keys = [str(one) for one in units if one is not None]
            record: dict[str, Any] = {"d": _delta(before, after, keys, receipts)}
            if self._expire is not None and receipts:
                record["u"] = now + self._expire
            self._journal.append(record)
        self.state = after
        self._due.extend(self._owed(receipts, now))
        self._compact_sometimes()
        return guarded

    def settle(self, receipt: int, spent: float, most: float) -> bool:
        """Book what a reservation of `most` really cost; False where that was booked before.

        One that had expired is booked again, since the money is gone. Raises OSError where it
        cannot be kept; it is then booked before anything else is decided.
        """
        if receipt in self._closed:
            return False
        if self.state.open.get(receipt) is not None:
            after = settled(self.state, [receipt], [spent]).state
        else:
            amount = money.up(spent if 0 <= spent < math.inf else most)
            after = replace(
                self.state,
                spent_day=self.state.spent_day + amount,
                spent_total=self.state.spent_total + amount,
            )
        try:
            self._journal.append({"d": _delta(self.state, after, (), (receipt,)), "c": receipt})
        except OSError:
            self._waiting[receipt] = (spent, most)
            raise
        self.state = after
        self._closed.add(receipt)
        self._compact_sometimes()
        return True

    def expire(self, now: float) -> int:
        """Free what nobody settled in time; how many. Raises OSError as `advance`."""
        self._book_what_waits()
        past = [receipt for at, receipt in takewhile(lambda one: one[0] <= now, self._due)]
        late = [receipt for receipt in past if self.state.open.get(receipt) is not None]
        if late:
            after = settled(self.state, late, [0.0] * len(late)).state
            self._journal.append({"d": _delta(self.state, after, (), late)})
            self.state = after
        for _ in past:
            self._due.popleft()
        self._compact_sometimes()
        return len(late)

    def note(self, values: Mapping[str, Any]) -> None:
        """Remember plain values beside the books."""
        self._journal.append({"n": values})
        self.noted = values
        self._compact_sometimes()

    def close(self) -> None:
        """Have everything on disk."""
        self._journal.compact(self._plain(self.state))
        self._journal.close()

    def resume(self, day: int) -> None:
        """Go on after a pause that guardrails take for a broken clock: a person says so."""
        after = resumed(self.state, day)
        if after is not self.state:
            self._journal.append({"d": _delta(self.state, after, (), ())})
            self.state = after

    def _book_what_waits(self) -> None:
        for receipt, (spent, most) in list(self._waiting.items()):
            self.settle(receipt, spent, most)
            self._waiting.pop(receipt, None)

    def _owed(self, receipts: Sequence[int], now: float) -> list[tuple[float, int]]:
        expire = self._expire
        return [] if expire is None else [(now + expire, receipt) for receipt in receipts]

    def _compact_sometimes(self) -> None:
        if self._journal.since_snapshot >= LARGEST_JOURNAL:
            self._journal.compact(self._plain(self.state))

    def _plain(self, state: GuardState, more: Sequence[tuple[float, int]] = ()) -> dict[str, Any]:
        return {
            "state": state.as_dict(),
            "due": [list(one) for one in (*self._due, *more)],
            "closed": self._closed.as_plain(),
            "noted": self.noted,
        }

    def _restore(self, values: Mapping[str, Any]) -> None:
        self.state = GuardState.from_dict(values["state"])
        self._due = deque((at, receipt) for at, receipt in values["due"])
        self._closed = Receipts.from_plain(values["closed"])
        self.noted = values["noted"]

    def _replay(self, record: Mapping[str, Any]) -> None:
        if "all" in record:
            self._restore(record["all"])
        if "n" in record:
            self.noted = record["n"]
        if "d" in record:
            fresh = self.state.next_receipt
            self.state = _applied(self.state, record["d"])
            if "u" in record:
                new = range(fresh, self.state.next_receipt)
                self._due.extend((record["u"], receipt) for receipt in new)
        if "c" in record:
            self._closed.add(record["c"])


class Receipts:
    """A set of receipts, which are given out one after the other: a bit each."""

    KEPT = 1024
    """Blocks: the last 8 million receipts, in 1 MB; at 500 a second those of four hours."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}

    def add(self, receipt: int) -> None:
        """Remember one; of the very oldest all count as known."""
        block = self._blocks.setdefault(receipt // BLOCK, bytearray(BLOCK // 8))
        block[receipt % BLOCK // 8] |= 1 << receipt % 8
        while len(self._blocks) > self.KEPT:
            del self._blocks[min(self._blocks)]

    def __contains__(self, receipt: int) -> bool:
        block = self._blocks.get(receipt // BLOCK)
        if block is None:
            return len(self._blocks) == self.KEPT and receipt < min(self._blocks) * BLOCK
        return bool(block[receipt % BLOCK // 8] & 1 << receipt % 8)

    def as_plain(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {str(number): block.hex() for number, block in self._blocks.items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, str]) -> Receipts:
        """Read what `as_plain` wrote."""
        receipts = cls()
        receipts._blocks = {int(n): bytearray.fromhex(block) for n, block in values.items()}
        return receipts


_SUMS = (
    "day", "spent_day", "spent_total", "changed_day", "base_day", "decisions_day", "differing_day",
    "next_receipt",
)  # fmt: skip


def _delta(
    before: GuardState, after: GuardState, units: Sequence[str], receipts: Sequence[int]
) -> dict[str, Any]:
    """What a decision about `units` that gave or closed `receipts` changed in the books."""
    found: dict[str, Any] = {
        name: getattr(after, name)
        for name in _SUMS
        if getattr(after, name) != getattr(before, name)
    }
    if after.everyone != before.everyone:
        found["everyone"] = [list(one) for one in after.everyone]
    if units and after.units is not before.units:
        found["units"] = {unit: [list(c) for c in after.units.get(unit) or ()] for unit in units}
    if receipts:
        kept = {receipt: after.open.get(receipt) for receipt in receipts}
        found["open"] = {str(r): None if one is None else list(one) for r, one in kept.items()}
    return found


def _applied(state: GuardState, delta: Mapping[str, Any]) -> GuardState:
    """The books after what `_delta` wrote."""
    changes: dict[str, Any] = {name: delta[name] for name in _SUMS if name in delta}
    if "everyone" in delta:
        changes["everyone"] = tuple(Contacts(*one) for one in delta["everyone"])
    if "units" in delta:
        units = Writer(state.units)
        for unit, kept in delta["units"].items():
            units.put(unit, tuple(Contacts(*one) for one in kept) or None)
        changes["units"] = units.frozen()
    if "open" in delta:
        opened = Writer(state.open)
        for receipt, one in delta["open"].items():
            opened.put(int(receipt), None if one is None else Reservation(*one))
        changes["open"] = opened.frozen()
    return replace(state, **changes)
