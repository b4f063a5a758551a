"""Everything that holds one policy, as one value that goes to plain JSON and back.

An exported policy carries its limits with it; wherever it decides, they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ppo_marketing.guardrails.guards import (
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Holdout,
    Quiet,
    Support,
)
from ppo_marketing.guardrails.plain import Check, as_plain, from_plain, refuse_unless


@dataclass(frozen=True, kw_only=True)
class GuardrailLimits:
    """Everything that holds a policy: limits on its amounts or its choices, and what both share.

    Raises:
        UserError: neither or both of `amounts` and `choices` are given, a guard that stops
            decisions has no `nothing` to put in their place, or limits contradict each other.
    """

    amounts: AmountLimits | None = None
    choices: ChoiceLimits | None = None
    budget: Budget | None = None
    contact_caps: tuple[ContactCap, ...] = ()
    quiet: Quiet | None = None
    holdout: Holdout | None = None
    support: Support | None = None
    suppressed: frozenset[str] = field(default=frozenset(), repr=False)
    """Unit ids that are left alone, compared letter by letter."""
    changed_share: float | None = None
    """At any time of the day, at most this share of its decisions differ from the champion's."""

    def __post_init__(self) -> None:
        share = self.changed_share
        one = (self.amounts is None) != (self.choices is None)
        refuse_unless(
            "guardrails",
            ("amounts", self.amounts, one, "given, or choices: one of the two"),
            ("changed_share", share, share is None or 0 <= share <= 1, "from 0 to 1, or null"),
            *(self._contradictions() if one else ()),
        )

    def _contradictions(self) -> list[Check]:
        held = self.amounts or self.choices
        assert held is not None
        stops = ", ".join(self._stopping())
        needed = f"given: {stops} must have something to put in a decision's place"
        checks: list[Check] = [
            ("nothing", held.nothing, held.nothing is not None or not stops, needed)
        ]
        named = {choice for cap in self.contact_caps for choice in cap.choices or ()}
        if self.choices is not None:
            menu = range(self.choices.choices)
            some = "on the menu, and not `nothing`"
            good = all(c in menu and c != self.choices.nothing for c in named)
            checks.append(("the choices of a contact cap", sorted(named), good, some))
        if self.amounts is not None:
            checks.append(("the choices of a contact cap", sorted(named), not named, "null here"))
        if self.amounts is not None and self.budget is not None:
            floor, nothing = self.amounts.floor, self.amounts.nothing
            checks.append(("floor", floor, floor >= 0, "0 or more with a budget"))
            checks.append(("nothing", nothing, nothing in (None, 0), "0 with a budget"))
        return checks

    def _stopping(self) -> list[str]:
        nothing_held_out = self.holdout is not None and self.holdout.gets == "nothing"
        return _named(
            {
                "a budget": self.budget is not None,
                "a contact cap": bool(self.contact_caps),
                "a quiet time": self.quiet is not None,
                "a suppression list": bool(self.suppressed),
                "a holdout that gets nothing": nothing_held_out,
            }
        )

    @property
    def nothing(self) -> float | None:
        """The amount or choice that stops a decision, where there is one."""
        held = self.amounts or self.choices
        assert held is not None
        return held.nothing

    @property
    def keeps_books(self) -> bool:
        """Whether decisions depend on earlier ones."""
        daily = self.amounts is not None and self.amounts.daily
        return bool(self.budget or self.contact_caps or daily or self.changed_share is not None)

    @property
    def needs(self) -> tuple[str, ...]:
        """What a `Context` must tell beside observation and mask: unit, day, hour, cost."""
        calendar = self.quiet is not None and bool(self.quiet.weekdays or self.quiet.weeks)
        of_units = any(not cap.everyone for cap in self.contact_caps)
        return tuple(
            _named(
                {
                    "unit": bool(self.suppressed or self.holdout or of_units),
                    "day": self.keeps_books or calendar,
                    "hour": self.quiet is not None and self.quiet.hours is not None,
                    "cost": self.budget is not None,
                }
            )
        )

    def alone(self) -> GuardrailLimits:
        """Those limits only that need neither unit, time nor earlier decisions."""
        amounts = self.amounts
        if amounts is not None:
            amounts = replace(amounts, daily_change=None, daily_relative_change=None)
        return GuardrailLimits(amounts=amounts, choices=self.choices, support=self.support)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = as_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GuardrailLimits:
        """Read what `as_dict` wrote; raises UserError that lists every problem."""
        return from_plain(cls, values, "guardrails")


def _named(conditions: Mapping[str, bool]) -> list[str]:
    return [name for name, holds in conditions.items() if holds]
