"""Why a guard stepped in: a fixed list of reasons, and how often each applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.errors import UserError

Flags = NDArray[np.uint32]


class Reason(StrEnum):
    """What stood between a proposal and what was shipped; the value is its name in JSON."""

    NON_FINITE_INPUT = "non_finite_input"
    OUT_OF_SUPPORT = "out_of_support"
    NON_FINITE_OUTPUT = "non_finite_output"
    NOT_ON_MENU = "not_on_menu"
    NOT_ELIGIBLE = "not_eligible"
    UNKNOWN_UNIT = "unknown_unit"
    SUPPRESSED = "suppressed"
    HOLDOUT = "holdout"
    QUIET = "quiet"
    CLOCK = "clock"
    CONTACT_CAP = "contact_cap"
    FLOOR = "floor"
    CAP = "cap"
    CHANGE = "change"
    DAILY_CHANGE = "daily_change"
    CHANGED_SHARE = "changed_share"
    BUDGET_DAY = "budget_day"
    BUDGET_TOTAL = "budget_total"
    UNKNOWN_COST = "unknown_cost"
    FALLBACK_UNUSABLE = "fallback_unusable"

    @property
    def bit(self) -> int:
        """The reason's bit in `Guarded.reasons`."""
        return 1 << _PLACE[self]


_PLACE = {reason: place for place, reason in enumerate(Reason)}

MEANING: Mapping[Reason, str] = {
    Reason.NON_FINITE_INPUT: "an observation was NaN or infinite",
    Reason.OUT_OF_SUPPORT: "an observation was far outside what training saw",
    Reason.NON_FINITE_OUTPUT: "the policy answered NaN or infinity",
    Reason.NOT_ON_MENU: "the policy answered a choice that does not exist",
    Reason.NOT_ELIGIBLE: "the choice was not allowed for this unit, or closed",
    Reason.UNKNOWN_UNIT: "the unit had no id, so nothing about it could be checked",
    Reason.SUPPRESSED: "the unit is on the suppression list",
    Reason.HOLDOUT: "the unit is held out",
    Reason.QUIET: "it was a quiet hour, weekday or week, or the hour was unreadable",
    Reason.CLOCK: "the day lay in the past, too far ahead, or was unreadable",
    Reason.CONTACT_CAP: "a cap on contacts was reached",
    Reason.FLOOR: "the amount was below the floor",
    Reason.CAP: "the amount was above the cap",
    Reason.CHANGE: "the amount was too far from the champion's",
    Reason.DAILY_CHANGE: "the day's changes from the champion were used up",
    Reason.CHANGED_SHARE: "the day's share of decisions unlike the champion's was used up",
    Reason.BUDGET_DAY: "what was left of the day's budget was too little",
    Reason.BUDGET_TOTAL: "what was left of the whole budget was too little",
    Reason.UNKNOWN_COST: "the cost was unreadable, so the budget could not be checked",
    Reason.FALLBACK_UNUSABLE: "the champion's own answer was not allowed either",
}


@dataclass(frozen=True)
class Interventions:
    """How often guards stepped in; two of them add up.

    `counts`: of how many decisions each reason applied to (a decision may have several).
    `changed`: of how many what was shipped differs from what was proposed.
    """

    decisions: int = 0
    changed: int = 0
    counts: Mapping[Reason, int] = field(default_factory=dict)

    @classmethod
    def counted(cls, reasons: Flags, changed: NDArray[np.bool_]) -> Self:
        """Count bit masks `reasons [n]` and the changed decisions `changed [n]`."""
        found = dict.fromkeys(Reason, 0)
        masks, times = np.unique(reasons, return_counts=True)
        for mask, count in zip(masks.tolist(), times.tolist(), strict=True):
            for reason in reasons_of(mask):
                found[reason] += count
        return cls(
            decisions=len(reasons),
            changed=int(changed.sum()),
            counts={reason: count for reason, count in found.items() if count},
        )

    def __add__(self, other: Interventions) -> Interventions:
        together = {r: self.counts.get(r, 0) + other.counts.get(r, 0) for r in Reason}
        return Interventions(
            decisions=self.decisions + other.decisions,
            changed=self.changed + other.changed,
            counts={reason: count for reason, count in together.items() if count},
        )

    def of(self, reason: Reason) -> int:
        """How many decisions the reason applied to."""
        return self.counts.get(reason, 0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "decisions": self.decisions,
            "changed": self.changed,
            "counts": {reason.value: count for reason, count in self.counts.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            UserError: a name or a number is not one that `as_dict` writes.
        """
        problems = [
            f"  {name}: unknown; known are decisions, changed and counts"
            for name in values
            if name not in ("decisions", "changed", "counts")
        ]
        counts = values.get("counts", {})
        if not isinstance(counts, Mapping):
            problems.append(f"  counts is {counts!r}: it must map reasons to numbers")
            counts = {}
        known = {reason.value for reason in Reason}
        problems += [f"  counts.{name}: no such reason" for name in counts if name not in known]
        numbers = {
            "decisions": values.get("decisions", 0),
            "changed": values.get("changed", 0),
            **{f"counts.{name}": count for name, count in counts.items()},
        }
        problems += [
            f"  {name} is {number!r}: it must be a whole number of 0 or more"
            for name, number in numbers.items()
            if isinstance(number, bool) or not isinstance(number, int) or number < 0
        ]
        if problems:
            raise UserError("interventions cannot be read:\n" + "\n".join(problems))
        return cls(
            decisions=numbers["decisions"],
            changed=numbers["changed"],
            counts={Reason(name): count for name, count in counts.items()},
        )


def reasons_of(flags: int) -> tuple[Reason, ...]:
    """The reasons in one decision's bit mask."""
    return tuple(reason for reason in Reason if flags & reason.bit) if flags else ()
