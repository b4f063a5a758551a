"""What the what-if knobs of every decision share."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

LEAST, MOST = 0.1, 10.0
"""A tenfold change either way is as far as a calibrated market can be asked about."""


def refuse_extremes(factors: Any, *, may_vanish: tuple[str, ...] = ()) -> None:
    """Refuse factors (the fields of a dataclass) outside [0.1, 10]; some may be 0.

    Raises ValueError that lists every one.
    """
    problems = []
    for knob in fields(factors):
        value, least = getattr(factors, knob.name), 0.0 if knob.name in may_vanish else LEAST
        if not least <= value <= MOST:
            problems.append(f"{knob.name} is {value}: it must be in [{least:g}, {MOST:g}]")
    if problems:
        raise ValueError("; ".join(problems))
