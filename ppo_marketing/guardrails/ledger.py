"""The books while a batch is decided: opened from a state, written row by row, closed again."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.guardrails import money
from ppo_marketing.guardrails.context import Asked
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import Reason
from ppo_marketing.guardrails.state import (
    Contacts,
    GuardState,
    Reservation,
    Sharded,
    Writer,
)

LARGEST_JUMP_DAYS = 31
"""A day further ahead than a month is taken for a broken clock: believed once, it would shut out
every day before it. After a longer pause, begin with `resumed`."""


def plausible(state: GuardState, day: int | None) -> bool:
    """Whether the books may go on to this day: not back, and not too far ahead."""
    if day is None:
        return False
    return state.day is None or state.day <= day <= state.day + LARGEST_JUMP_DAYS


def resumed(state: GuardState, day: int) -> GuardState:
    """The books after a pause longer than LARGEST_JUMP_DAYS: said by a person, not by a request."""
    if state.day is not None and day <= state.day:
        return state
    return replace(
        state, day=day, spent_day=0, changed_day=0, base_day=0, decisions_day=0, differing_day=0
    )


class Ledger:
    """One batch's books; changes nothing of the state that it was opened from."""

    def __init__(self, limits: GuardrailLimits, state: GuardState, day: int) -> None:
        caps = limits.contact_caps
        self._limits = limits
        self._caps = caps
        self._longest = max((cap.days for cap in caps), default=0)
        self._of_units = any(not cap.everyone for cap in caps)
        self._of_everyone = any(cap.everyone for cap in caps)
        budget = limits.budget
        self._day_budget = None if budget is None or budget.day is None else money.down(budget.day)
        self._all_budget = (
            None if budget is None or budget.total is None else money.down(budget.total)
        )
        self._state = state if state.day == day else _turned(state, day, self._longest)
        self.day = day
        self._units = Writer(self._state.units)
        self._open = Writer(self._state.open)
        self._everyone = self._state.everyone
        self.spent_day, self.spent_total = self._state.spent_day, self._state.spent_total
        self.changed, self.base = self._state.changed_day, self._state.base_day
        self.decisions, self.differing = self._state.decisions_day, self._state.differing_day
        self._receipt = self._state.next_receipt

    def left(self) -> tuple[int | None, Reason]:
        """What may still be spent, in billionths (None: no end), and which budget says so."""
        day = None if self._day_budget is None else self._day_budget - self.spent_day
        total = None if self._all_budget is None else self._all_budget - self.spent_total
        if day is None or (total is not None and total < day):
            return total, Reason.BUDGET_TOTAL
        return day, Reason.BUDGET_DAY

    def capped(self, unit: str | None, choice: int) -> bool:
        """Whether one more contact by `choice` would break a cap."""
        for cap in self._caps:
            if not cap.counts(choice):
                continue
            kept = self._everyone if cap.everyone else self._units.get(unit or "") or ()
            used = sum(
                one.times
                for one in kept
                if one.day > self.day - cap.days and cap.counts(one.choice)
            )
            if used >= cap.contacts:
                return True
        return False

    def change_left(self, base: float) -> float:
        """How far an amount may still lie from the champion's, `base`, today."""
        amounts = self._limits.amounts
        assert amounts is not None
        rooms = []
        if amounts.daily_change is not None:
            rooms.append(money.down(amounts.daily_change) - self.changed)
        if amounts.daily_relative_change is not None:
            so_far = self.base + money.down(abs(base))
            share = Fraction(repr(float(amounts.daily_relative_change)))
            rooms.append(int(share * so_far) - self.changed)
        return money.most(min(rooms)) if rooms else float("inf")

    def may_differ(self) -> bool:
        """Whether one more decision may differ from the champion's today."""
        share = self._limits.changed_share
        if share is None:
            return True
        return self.differing + 1 <= Fraction(repr(float(share))) * (self.decisions + 1)

    def decided(self, differs: bool, change: float, base: float) -> None:
        """Count a decision, and how far it lies from the champion's."""
        self.decisions += 1
        self.differing += differs
        amounts = self._limits.amounts
        if amounts is not None and amounts.daily:
            self.changed += money.up(abs(change))
            self.base += money.down(abs(base))

    def contacted(self, unit: str | None, choice: int) -> None:
        """Remember a contact."""
        oldest = self.day - self._longest
        if self._of_everyone:
            self._everyone = _with_one_more(self._everyone, self.day, choice, oldest)
        if self._of_units and unit is not None:
            kept = self._units.get(unit) or ()
            self._units.put(unit, _with_one_more(kept, self.day, choice, oldest))

    def reserved(self, cost: float) -> int:
        """Reserve a decision's cost; returns its receipt."""
        amount = money.up(cost)
        self.spent_day += amount
        self.spent_total += amount
        receipt = self._receipt
        self._receipt += 1
        self._open.put(receipt, Reservation(self.day, amount))
        return receipt

    def closed(self) -> GuardState:
        """The books after the batch."""
        return GuardState(
            day=self.day,
            spent_day=self.spent_day,
            spent_total=self.spent_total,
            changed_day=self.changed,
            base_day=self.base,
            decisions_day=self.decisions,
            differing_day=self.differing,
            next_receipt=self._receipt,
            everyone=self._everyone,
            units=self._units.frozen(),
            open=self._open.frozen(),
        )


def choosable(limits: GuardrailLimits, asked: Asked, state: GuardState) -> NDArray[np.bool_] | None:
    """What a policy may choose before a batch begins, `[n, choices]`; None: anything.

    Caps that are reached are left out, so that the policy's next best can take their place.
    """
    allowed = asked.allowed
    if allowed is None or allowed.all():
        allowed = None
    if limits.choices is None or not limits.contact_caps or not plausible(state, asked.day):
        return allowed
    assert asked.day is not None
    assert asked.allowed is not None
    ledger = Ledger(limits, state, asked.day)
    left = asked.allowed.copy()
    contacts = [c for c in range(limits.choices.choices) if c != limits.choices.nothing]
    for i in range(asked.n):
        unit = None if asked.units is None else asked.units[i]
        for choice in contacts:
            left[i, choice] &= not ledger.capped(unit, choice)
    return left


def _turned(state: GuardState, day: int, longest: int) -> GuardState:
    """The books of a new day, without what no cap and no settlement can ask for any more."""
    turned = resumed(state, day)
    units: Writer[str, tuple[Contacts, ...]] = Writer(Sharded())
    for unit, kept in state.units.items():
        recent = tuple(one for one in kept if one.day > day - longest)
        if recent:
            units.put(unit, recent)
    # What is won before midnight is often paid for after it; older reservations stay spent.
    still_open: Writer[int, Reservation] = Writer(Sharded())
    for receipt, kept_open in state.open.items():
        if kept_open.day >= day - 1:
            still_open.put(receipt, kept_open)
    everyone = tuple(one for one in state.everyone if one.day > day - longest)
    return replace(turned, everyone=everyone, units=units.frozen(), open=still_open.frozen())


def _with_one_more(
    kept: tuple[Contacts, ...], day: int, choice: int, oldest: int
) -> tuple[Contacts, ...]:
    for place, one in enumerate(kept):
        if one.day == day and one.choice == choice:
            return (*kept[:place], one._replace(times=one.times + 1), *kept[place + 1 :])
    return (*(one for one in kept if one.day > oldest), Contacts(day, choice, 1))
