"""How what each contact does is known: by chance, by assumption, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.panel import Panel
from envs.sequencing.tables import Menu

Grounds = Literal["randomised", "estimated propensities", "assumed, not identified"]
"""What the effect of a contact is known by."""

LEAST_RANDOMISED = 1000
"""Rows with the contact, and without any, without which no effect of it is called identified."""

_OVERLAP = (0.01, 0.99)
"""Estimated chances with which both could have happened; beyond, a row would weigh over 100."""


def identified(
    panel: Panel, learned: Panel, policy: NDArray[np.float64], menu: Menu, logged: bool
) -> tuple[Grounds, ...]:
    """Of every contact of the menu, what its effect rests on.

    "randomised": contact and none both happened, with logged chances below 1, to customers who had
    agreed to the channel. "estimated propensities": none were logged, but in `learned` both
    happened in states alike (`policy [R, F, G, S, A]`): right if nothing else decided. Otherwise
    "assumed, not identified".
    """
    found: list[Grounds] = []
    for action, channel in enumerate(menu.channel[1:], 1):
        rows = panel if logged else learned
        if logged:
            open_to_chance = rows.propensity < 1
        else:
            chance = policy[rows.recency, rows.frequency, rows.stock, rows.pattern, action]
            open_to_chance = (chance >= _OVERLAP[0]) & (chance <= _OVERLAP[1])
        open_to_chance = open_to_chance & rows.consent[:, channel]
        enough = min((open_to_chance & (rows.action == a)).sum() for a in (0, action))
        if enough < LEAST_RANDOMISED:
            found.append("assumed, not identified")
        else:
            found.append("randomised" if logged else "estimated propensities")
    return tuple(found)


def verdict_on(effects: Sequence[Grounds], menu: Menu, logged: bool) -> str:
    """The log's one verdict in words."""
    known = [a for a, e in zip(menu.labels[1:], effects, strict=True) if e == "randomised"]
    if len(known) == len(effects):
        return "verdict: effects identified (decisions were randomised, propensities are logged)"
    if known:
        return (
            f"verdict: effects partly identified (randomised: {', '.join(known)}); what the other "
            "contacts do is a guess"
        )
    chances = (
        "propensities are logged but hardly any decision was left to chance"
        if logged
        else "propensities are estimated, cross-fitted by customer"
    )
    return f"verdict: effects assumed, not identified ({chances}); what contacts do is a guess"
