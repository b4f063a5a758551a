"""What guards remember of earlier decisions: a frozen value goes in, a new one comes out.

All sums are whole billionths (`money.py`). Whatever is remembered of units lies in shards, so that
one decision copies a 256th of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Self, TypeVar

from ppo_marketing.errors import UserError
from ppo_marketing.guardrails import money

SHARDS = 256

K = TypeVar("K", str, int)
V = TypeVar("V")


class Contacts(NamedTuple):
    """How many `times` a unit was contacted by `choice` on `day`."""

    day: int
    choice: int
    times: int


class Reservation(NamedTuple):
    """What a decision of `day` may still cost, in billionths."""

    day: int
    billionths: int


@dataclass(frozen=True)
class Sharded(Generic[K, V]):
    """A mapping in SHARDS parts; `put` returns another one that shares all parts but one."""

    parts: tuple[Mapping[K, V], ...] = ({},) * SHARDS

    def get(self, key: K) -> V | None:
        """What lies under the key."""
        return self.parts[_shard(key)].get(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """Everything, shard by shard."""
        for part in self.parts:
            yield from part.items()

    def __len__(self) -> int:
        return sum(map(len, self.parts))


class Writer(Generic[K, V]):
    """Changes to a `Sharded`, made on copies of the parts they touch."""

    def __init__(self, kept: Sharded[K, V]) -> None:
        self._parts: list[Mapping[K, V]] = list(kept.parts)
        self._own: dict[int, dict[K, V]] = {}

    def get(self, key: K) -> V | None:
        """What lies under the key now."""
        return self._parts[_shard(key)].get(key)

    def put(self, key: K, value: V | None) -> None:
        """Set what lies under the key; None takes it away."""
        place = _shard(key)
        if place not in self._own:
            self._own[place] = dict(self._parts[place])
            self._parts[place] = self._own[place]
        if value is None:
            self._own[place].pop(key, None)
        else:
            self._own[place][key] = value

    def frozen(self) -> Sharded[K, V]:
        """The changed mapping."""
        return Sharded(tuple(self._parts))


def _shard(key: str | int) -> int:
    if isinstance(key, int):
        return key % SHARDS
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % SHARDS


@dataclass(frozen=True)
class GuardState:
    """The books of one guardrail. Empty ones begin a campaign; the day never goes back.

    `changed_day` and `base_day`: the day's sum of |amount - champion's| and of |champion's|.
    `open` holds what is reserved and not settled yet, by receipt.
    """

    day: int | None = None
    spent_day: int = 0
    spent_total: int = 0
    changed_day: int = 0
    base_day: int = 0
    decisions_day: int = 0
    differing_day: int = 0
    next_receipt: int = 0
    everyone: tuple[Contacts, ...] = ()
    units: Sharded[str, tuple[Contacts, ...]] = Sharded()
    open: Sharded[int, Reservation] = Sharded()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; numbers of billionths are whole and may be long."""
        return {
            **{name: getattr(self, name) for name in ("day", *_NUMBERS)},
            "everyone": [list(contacts) for contacts in self.everyone],
            "units": {unit: [list(c) for c in kept] for unit, kept in sorted(self.units.items())},
            "open": {str(receipt): list(kept) for receipt, kept in sorted(self.open.items())},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote; raises UserError that lists every problem."""
        problems = [f"  {name}: unknown" for name in values if name not in _NAMES]
        problems += [f"  {name}: it must be given" for name in _NAMES if name not in values]
        day = values.get("day")
        if day is not None and not _whole(day):
            problems.append(f"  day is {day!r}: it must be a whole number of 0 or more, or null")
        problems += [
            f"  {name} is {values[name]!r}: it must be a whole number of 0 or more"
            for name in _NUMBERS
            if name in values and not _whole(values[name])
        ]
        everyone = _rows(values.get("everyone", []), 3, "everyone", problems)
        units, reserved = values.get("units", {}), values.get("open", {})
        for name, kept in (("units", units), ("open", reserved)):
            if not isinstance(kept, Mapping):
                problems.append(f"  {name} is {kept!r}: it must be `name: value` pairs")
        unit_writer: Writer[str, tuple[Contacts, ...]] = Writer(Sharded())
        for unit, rows in units.items() if isinstance(units, Mapping) else ():
            found = _rows(rows, 3, f"units.{unit}", problems)
            unit_writer.put(str(unit), tuple(Contacts(*row) for row in found))
        receipts: Writer[int, Reservation] = Writer(Sharded())
        for receipt, row in reserved.items() if isinstance(reserved, Mapping) else ():
            found = _rows([row], 2, f"open.{receipt}", problems)
            if not str(receipt).isdecimal():
                problems.append(f"  open.{receipt}: a receipt is a whole number")
            elif found:
                receipts.put(int(receipt), Reservation(*found[0]))
        if problems:
            raise UserError("the guardrails' books cannot be read:\n" + "\n".join(problems))
        return cls(
            day=day,
            **{name: values[name] for name in _NUMBERS},
            everyone=tuple(Contacts(*row) for row in everyone),
            units=unit_writer.frozen(),
            open=receipts.frozen(),
        )


_NUMBERS = (
    "spent_day", "spent_total", "changed_day", "base_day", "decisions_day", "differing_day",
    "next_receipt",
)  # fmt: skip
_NAMES = ("day", *_NUMBERS, "everyone", "units", "open")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _rows(values: object, width: int, place: str, problems: list[str]) -> list[list[int]]:
    good = isinstance(values, list) and all(
        isinstance(row, list) and len(row) == width and all(map(_whole, row)) for row in values
    )
    if not good:
        problems.append(f"  {place}: it must be a list of {width} whole numbers of 0 or more each")
        return []
    assert isinstance(values, list)
    return values


class Settlement(NamedTuple):
    """The books after settling, and what was wrong with what was settled.

    `ignored`: receipts that are not open: settled before, of an earlier day, never given.
    `unreadable`: spends that are NaN, infinite or negative; all that was reserved counts as spent.
    `overspent`: spends above what was reserved; they are booked in full.
    """

    state: GuardState
    ignored: int
    unreadable: int
    overspent: int


def settled(state: GuardState, receipts: Sequence[int], spent: Sequence[float]) -> Settlement:
    """Book what decisions really cost, in currency, and free the rest of what they had reserved.

    Raises:
        UserError: there are not as many spends as receipts.
    """
    if len(receipts) != len(spent):
        raise UserError(f"{len(receipts)} receipts with {len(spent)} spends: give one for each")
    reserved = Writer(state.open)
    ignored = unreadable = overspent = 0
    day, total = state.spent_day, state.spent_total
    for receipt, amount in zip(receipts, spent, strict=True):
        kept = reserved.get(int(receipt))
        if kept is None:
            ignored += 1
            continue
        reserved.put(int(receipt), None)
        readable = 0 <= amount < float("inf")
        unreadable += not readable
        more = (money.up(float(amount)) if readable else kept.billionths) - kept.billionths
        overspent += more > 0
        total += more
        day += more if kept.day == state.day else 0
    after = replace(state, spent_day=day, spent_total=total, open=reserved.frozen())
    return Settlement(after, ignored, unreadable, overspent)
