"""What every target system has in common: the protocol, and rows that fit or say why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from ppo_marketing.errors import UserError
from ppo_marketing.export.cells import Mode
from ppo_marketing.export.money import exact

Row = Mapping[str, Any]

LARGEST_AMOUNT = 10**12
"""Of any bid or multiplier; products of two stay exact in 28 digits."""
UNDECIDED = "no decision is known for it: no row of the decision table, or no such column"


class Unfit(ValueError):
    """Why one row cannot be exported, in words; the others can."""


@dataclass(frozen=True)
class Ready:
    """One row as the target takes it, by the target's own column names.

    `sizes` are what the largest change is measured on, as factors or money, never as percentages
    around 0; `before` is what they are now, where the source says so. `person` is whom it is about.
    """

    row: Row
    sizes: Mapping[str, Decimal] = field(default_factory=dict)
    before: Mapping[str, Decimal] = field(default_factory=dict)
    person: str | None = None
    warnings: tuple[str, ...] = ()


class Refusal(NamedTuple):
    """A source row (from 1) that is left out, and why."""

    source: int
    reason: str


class Draft(NamedTuple):
    """What fits, with the number of the source row it came from; what does not; what to know."""

    ready: tuple[tuple[int, Ready], ...]
    refused: tuple[Refusal, ...]
    warnings: tuple[str, ...]


class Target(Protocol):
    """A system that acts on decisions, with its published limits.

    | part | meaning |
    |---|---|
    | name | as `--target` has it |
    | key | the columns that name a row, the same in every export |
    | mode | who opens the files: people's spreadsheets, or a system (`cells.py`) |
    | personal | whether rows are about people: then suppression and consent must be known |
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - the table above says it

    @property
    def key(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def mode(self) -> Mode: ...  # noqa: D102

    @property
    def personal(self) -> bool: ...  # noqa: D102

    def draft(self, given: Sequence[Row]) -> Draft:
        """The given rows in the target's form, each held to its limits."""

    def files(self, rows: Sequence[Row]) -> dict[str, bytes]:
        """The files of the rows that are exported.

        Raises:
            Refused: together they break a limit of the target: rows, bytes.
        """


def drafted(given: Iterable[Row], one: Callable[[Row], Ready]) -> Draft:
    """Every row by itself: `one` makes it ready or raises `Unfit`."""
    ready, refused = [], []
    warnings: Counter[str] = Counter()
    for number, row in enumerate(given, 1):
        try:
            made = one(row)
        except Unfit as error:
            refused.append(Refusal(number, str(error)))
            continue
        warnings.update(made.warnings)
        ready.append((number, made))
    told = tuple(f"{said} ({count} rows)" for said, count in warnings.items())
    return Draft(tuple(ready), tuple(refused), told)


def taken(row: Row, columns: Mapping[str, str], name: str) -> Any:
    """The value that the profile's `columns` name for the target's `name`; None where empty."""
    value = row.get(columns.get(name, name))
    return None if isinstance(value, str) and not value.strip() else value


def needed(row: Row, columns: Mapping[str, str], name: str) -> Any:
    """As `taken`; raises Unfit where there is none."""
    value = taken(row, columns, name)
    if value is None:
        raise Unfit(f"no {name} (column {columns.get(name, name)})")
    return value


def text(row: Row, columns: Mapping[str, str], name: str) -> str:
    """As `needed`, as text without blanks around it."""
    return str(needed(row, columns, name)).strip()


def number(row: Row, columns: Mapping[str, str], name: str) -> Decimal:
    """As `needed`, as an exact decimal."""
    value = needed(row, columns, name)
    try:
        amount = exact(value, name)
    except UserError as error:
        raise Unfit(f"{name} must be a number as 1234.56") from error
    if abs(amount) >= LARGEST_AMOUNT:
        raise Unfit(f"{name} is too large to be meant: {LARGEST_AMOUNT:,} or more")
    return amount


def factor(row: Row, columns: Mapping[str, str]) -> Decimal:
    """The decided `multiplier`, 0 or more."""
    if columns.get("multiplier", "multiplier") not in row:
        raise Unfit(UNDECIDED)
    decided = number(row, columns, "multiplier")
    if decided < 0:
        raise Unfit("multiplier must be 0 or more")
    return decided
