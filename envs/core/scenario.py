"""What the what-if knobs of every decision share."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

LEAST, MOST = 0.1, 10.0
"""A tenfold change either way is as far as a calibrated market can be asked about."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """How a form asks for one factor of a scenario."""

    label: str
    help: str
    unit: str = "x today"
    low: float = LEAST
    high: float = MOST


def knob(label: str, help: str, *, low: float = LEAST, high: float = MOST) -> Any:
    """A field of a scenario: a factor on today, 1 unless it is given, from `low` to `high`."""
    return field(default=1.0, metadata={"knob": Knob(label=label, help=help, low=low, high=high)})


def knobs_of(scenario_type: type) -> dict[str, Knob]:
    """The knobs of a scenario's type by name; fields that were not described are plain factors."""
    return {
        one.name: one.metadata.get("knob")
        or Knob(label=one.name.replace("_", " ").capitalize(), help="a factor on today")
        for one in fields(scenario_type)
    }


def refuse_extremes(factors: Any) -> None:
    """Refuse factors (the fields of a dataclass) outside the ranges of their knobs.

    Raises ValueError that lists every one.
    """
    problems = []
    for name, one in knobs_of(type(factors)).items():
        value = getattr(factors, name)
        if not one.low <= value <= one.high:
            problems.append(f"{name} is {value}: it must be in [{one.low:g}, {one.high:g}]")
    if problems:
        raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class Remark:
    """Something to know of a scenario; `beyond`: it asks for what the log never showed."""

    text: str
    beyond: bool = False


@runtime_checkable
class RemarkingWorld(Protocol):
    """A world that has something to say of the scenarios that it is put under."""

    def remarks(self, scenario: Any) -> tuple[Remark, ...]:
        """What to know of the scenario in this world."""
