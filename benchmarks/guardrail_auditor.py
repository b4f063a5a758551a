"""Did anything shipped step outside? Worked out from scratch, slowly and exactly.

Keeps its own list of all that was shipped and shares no code with the guards, so that a mistake in
their books shows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from ppo_marketing.guardrails import Context, Guarded, GuardrailLimits, Reason

ROUNDING = Fraction(1, 10**9)
"""Sums are kept in billionths, rounded against whoever spends: nothing may exceed by more."""


def exact(number: float) -> Fraction:
    """The decimal that people write for a number."""
    return Fraction(repr(float(number)))


def readable(day: Any) -> int | None:
    """The day, where it is a whole number of some millennium."""
    return day if isinstance(day, int) and 0 <= day < 2_000_000 else None


@dataclass
class Auditor:
    """Every decision of one campaign under `limits`, and what was broken."""

    limits: GuardrailLimits
    held_out: frozenset[str] = frozenset()
    violations: list[str] = field(default_factory=list)
    latest: int | None = None
    spent: dict[int, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    open: dict[int, tuple[int, Fraction]] = field(default_factory=dict)
    contacts: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    everyone: list[tuple[int, int]] = field(default_factory=list)
    moved: dict[int, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    base: dict[int, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    decisions: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    differing: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def expect(self, holds: bool, what: str) -> None:
        """Note a violation."""
        if not holds:
            self.violations.append(what)

    def audit(self, context: Context, guarded: Guarded) -> None:
        """Check a batch, decision by decision."""
        limits = self.limits
        day = readable(context.day)
        if day is not None and limits.keeps_books and self.latest is not None:
            day = day if self.latest <= day <= self.latest + 31 else None
        actions = np.asarray(guarded.action).reshape(len(guarded.reasons), 1)
        references = np.asarray(guarded.reference).reshape(actions.shape)
        for i in range(len(actions)):
            self._range(context, actions[i], i)
            self._standing(context, actions[i], references[i], i, day)
            if limits.keeps_books and day is not None:
                self._books(context, float(actions[i, 0]), float(references[i, 0]), i, day)
                if guarded.receipt[i] >= 0:
                    self._reserve(int(guarded.receipt[i]), context, actions[i, 0], i, day)
                else:
                    free = limits.budget is None or actions[i, 0] == limits.nothing
                    self.expect(free, "a decision that costs has no receipt")
        counted = guarded.interventions
        self.expect(counted.decisions == len(actions), "decisions are not counted")
        for reason in Reason:
            having = int(((guarded.reasons & reason.bit) != 0).sum())
            self.expect(counted.of(reason) == having, f"{reason} is not counted")
        if limits.keeps_books and day is not None:
            self.latest = day

    def _range(self, context: Context, action: Any, i: int) -> None:
        held, menu = self.limits.amounts, self.limits.choices
        if held is not None:
            for one in action.tolist():
                inside = one == held.nothing or held.floor <= one <= held.cap
                self.expect(inside and math.isfinite(one), f"amount {one} out of range")
            change = np.abs(action).max(initial=0.0)
            self.expect(change < math.inf, "an infinite amount")
        if menu is not None:
            choice = int(action[0])
            allowed = 0 <= choice < menu.choices and choice not in menu.closed
            if allowed and context.mask is not None:
                given = np.asarray(context.mask)[i, choice]
                allowed = bool(given != 0 and np.isfinite(given))
            self.expect(choice == menu.nothing or allowed, f"choice {choice} is not allowed")

    def _standing(
        self, context: Context, action: Any, reference: Any, i: int, day: int | None
    ) -> None:
        limits, held = self.limits, self.limits.amounts
        still = bool((action == limits.nothing).all()) if limits.nothing is not None else None
        same = bool((action == reference).all())
        unit = None if context.unit is None else context.unit[i]
        known = isinstance(unit, str) and unit != ""
        if "unit" in limits.needs and not known:
            self.expect(still if still is not None else same, "an unknown unit was decided for")
        if unit in limits.suppressed:
            self.expect(still is True, "a suppressed unit was not left alone")
        if known and unit in self.held_out and limits.holdout is not None:
            alone = limits.holdout.gets == "nothing"
            self.expect(still is True if alone else same, "a held-out unit got the policy's")
        if "day" in limits.needs and day is None:
            self.expect(still if still is not None else same, "decided on a broken clock")
        if limits.quiet is not None and self._quiet(context, i):
            self.expect(still is True, "not quiet in a quiet time")
        if context.observation is not None:
            seen = np.asarray(context.observation)[i]
            far = not np.isfinite(seen).all()
            if limits.support is not None and not far:
                for x, low, high in zip(
                    seen.tolist(), limits.support.low, limits.support.high, strict=True
                ):
                    room = limits.support.margin * (high - low)
                    far = far or x < low - room or x > high + room
            self.expect(same or not far, "the policy's answer to what it never saw")
        if held is not None:
            distance = np.abs(action - reference).max()
            if held.change is not None:
                self.expect(distance <= held.change, "changed by too much")
            if held.relative_change is not None:
                room = held.relative_change * np.abs(reference)
                self.expect(bool((np.abs(action - reference) <= room).all()), "changed too much")

    def _quiet(self, context: Context, i: int) -> bool:
        quiet = self.limits.quiet
        assert quiet is not None
        if quiet.hours is not None:
            assert context.hour is not None
            hour = float(np.asarray(context.hour)[i])
            if not 0 <= hour < 24:
                return True
            start, end = quiet.hours
            hours = {h % 24 for h in range(start, end if end > start else end + 24)}
            if int(hour) in hours:
                return True
        day = readable(context.day)
        if day is not None:
            that = date(1970, 1, 1) + timedelta(days=day)
            first = date(that.year, 1, 1)
            week = min((that - first).days // 7, 51)
            return that.isoweekday() - 1 in quiet.weekdays or week in quiet.weeks
        return False

    def _books(self, context: Context, action: float, reference: float, i: int, day: int) -> None:
        limits = self.limits
        self.decisions[day] += 1
        self.differing[day] += action != reference
        if limits.changed_share is not None:
            allowed = exact(limits.changed_share) * self.decisions[day]
            self.expect(self.differing[day] <= allowed, "too many decisions differ today")
        held = limits.amounts
        if held is not None:
            self.moved[day] += exact(abs(action - reference))
            self.base[day] += exact(abs(reference))
            if held.daily_change is not None:
                room = exact(held.daily_change)
                self.expect(self.moved[day] <= room, "changed too much today")
            if held.daily_relative_change is not None:
                room = exact(held.daily_relative_change) * self.base[day]
                self.expect(self.moved[day] <= room, "changed too large a share today")
        if action == limits.nothing or not limits.contact_caps:
            return
        unit = None if context.unit is None else context.unit[i]
        contact = (day, 0 if limits.choices is None else int(action))
        self.everyone.append(contact)
        if isinstance(unit, str):
            self.contacts[unit].append(contact)
        for cap in limits.contact_caps:
            mine = self.everyone if cap.everyone else self.contacts[str(unit)]
            counted = [d for d, c in mine if cap.choices is None or c in cap.choices]
            # Windows that hold today's contact: earlier ones were checked when they were filled.
            for first in range(day - cap.days + 1, day + 1):
                within = sum(first <= d < first + cap.days for d in counted)
                if within > cap.contacts and (cap.choices is None or contact[1] in cap.choices):
                    self.violations.append(f"{within} contacts in {cap.days} days")
                    break

    def _reserve(self, receipt: int, context: Context, action: float, i: int, day: int) -> None:
        budget = self.limits.budget
        assert budget is not None
        assert context.cost is not None
        cost = np.asarray(context.cost)[i]
        amount = cost * action if self.limits.choices is None else cost[int(action)]
        self.expect(0 <= amount < math.inf, f"a decision costs {amount}")
        self.spent[day] += exact(amount)
        self.expect(receipt not in self.open, "a receipt was given twice")
        self.open[receipt] = (day, exact(amount))
        if amount > 0 and budget.day is not None:
            self.expect(self.spent[day] <= exact(budget.day), "the day's budget is broken")
        if amount > 0 and budget.total is not None:
            total = sum(self.spent.values(), Fraction())
            self.expect(total <= exact(budget.total), "the whole budget is broken")

    def settle(self, receipt: int, spent: float) -> None:
        """Book what a decision really cost, once, if it can be read, until the next day's end."""
        day, reserved = self.open.pop(receipt, (None, Fraction()))
        if day is None or self.latest is None or day < self.latest - 1:
            return
        if 0 <= spent < math.inf:
            self.spent[day] += exact(spent) - reserved
