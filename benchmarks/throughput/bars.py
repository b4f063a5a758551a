"""What is asked of a number, and whether it is met."""

from __future__ import annotations

from typing import TypedDict


class Bar(TypedDict):
    """One bar as the results file has it."""

    what: str
    value: float
    bar: float
    relation: str  # of the value to the bar: ">=" or "<="
    met: bool


def at_least(what: str, value: float, bar: float) -> Bar:
    """The value may not be lower."""
    return Bar(what=what, value=float(value), bar=float(bar), relation=">=", met=bool(value >= bar))


def at_most(what: str, value: float, bar: float) -> Bar:
    """The value may not be higher."""
    return Bar(what=what, value=float(value), bar=float(bar), relation="<=", met=bool(value <= bar))
