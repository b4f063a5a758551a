"""One decision under its guards: the nearest amount, or the first choice, that is allowed.

Hard limits (range, eligibility, caps, budget) come first and hold for the champion as well; what is
measured against the champion is measured against what it could have shipped itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.guardrails import money
from ppo_marketing.guardrails.ledger import Ledger
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import Reason

CONTACT = 0
"""The choice under which an amount other than `nothing` is remembered as a contact."""


class Row(NamedTuple):
    """One decision as asked; `cost` is a price per 1 of amount, or the cost of every choice."""

    proposed: float
    champion: float
    stop: bool
    forced: bool
    unit: str | None
    cost: NDArray[np.float64] | float | None


class Shipped(NamedTuple):
    """What is shipped, what the champion would have, why they differ from what was proposed."""

    action: float
    reference: float
    flags: int
    receipt: int = -1


def guarded_amount(limits: GuardrailLimits, row: Row, ledger: Ledger | None) -> Shipped:
    """The allowed amount nearest to the proposed one.

        {nothing} ∪ [floor, min(cap, affordable)], of it what lies within the changes left of c

    where c, the champion's amount brought into the first set, always is one of them.
    """
    held = limits.amounts
    assert held is not None
    top, flags = held.cap, 0
    if not row.stop and ledger is not None and not row.proposed == row.champion == held.nothing:
        top, flags = _top(limits, row, ledger)
        flags *= row.proposed != held.nothing
    if row.stop or top < held.floor:
        return _recorded(limits, row, ledger, Shipped(held.rest, held.rest, flags))
    c = row.champion
    reference = held.rest if not math.isfinite(c) else c
    if reference != held.nothing:
        reference = min(max(reference, held.floor), top)
    unusable = Reason.FALLBACK_UNUSABLE.bit * (
        not held.floor <= c <= held.cap and c != held.nothing
    )
    p = row.proposed
    if not math.isfinite(p):
        flags |= Reason.NON_FINITE_OUTPUT.bit
    if row.forced or not math.isfinite(p):
        shipped = Shipped(reference, reference, flags | unusable)
        return _recorded(limits, row, ledger, shipped)
    if p != held.nothing:
        flags |= Reason.FLOOR.bit * (p < held.floor) | Reason.CAP.bit * (p > held.cap)
        p = min(max(p, held.floor), held.cap)
    each, daily = math.inf, math.inf
    if held.change is not None:
        each = held.change
    if held.relative_change is not None:
        each = min(each, held.relative_change * abs(reference))
    if ledger is not None and held.daily:
        daily = ledger.change_left(reference)
    distance = abs(p - reference)
    flags |= Reason.CHANGE.bit * (distance > each) | Reason.DAILY_CHANGE.bit * (distance > daily)
    if min(each, daily) < math.inf:
        flags |= unusable
    amount = _nearest(p, reference, held.floor, top, min(each, daily), held.nothing)
    if amount != reference and ledger is not None and not ledger.may_differ():
        amount, flags = reference, flags | Reason.CHANGED_SHARE.bit | unusable
    return _recorded(limits, row, ledger, Shipped(amount, reference, flags))


def _top(limits: GuardrailLimits, row: Row, ledger: Ledger) -> tuple[float, int]:
    """The largest amount that budget and caps leave, below the floor where none; and why."""
    held = limits.amounts
    assert held is not None
    if ledger.capped(row.unit, CONTACT):
        return -math.inf, Reason.CONTACT_CAP.bit
    left, which = ledger.left()
    if left is None:
        return held.cap, 0
    price = row.cost
    assert isinstance(price, float)
    if not 0 <= price < math.inf:
        return -math.inf, Reason.UNKNOWN_COST.bit
    top = money.affordable(max(left, 0), price, held.cap)
    if top < held.floor:
        top = -math.inf
    return top, which.bit * (not row.proposed <= top)


def _nearest(
    wanted: float, reference: float, floor: float, top: float, room: float, nothing: float | None
) -> float:
    """The element of {nothing} ∪ [floor, top] nearest to `wanted` within `room` of `reference`."""
    options = []
    low, high = max(floor, reference - room), min(top, reference + room)
    if low <= high:
        amount = min(max(wanted, low), high)
        for _ in range(3):  # reference ± room may have been rounded outwards
            if abs(amount - reference) > room:
                amount = math.nextafter(amount, reference)
        if abs(amount - reference) <= room and floor <= amount <= top:
            options.append(amount)
    if nothing is not None and abs(nothing - reference) <= room:
        options.append(nothing)
    return min(options, key=lambda option: abs(option - wanted), default=reference)


def guarded_choice(
    limits: GuardrailLimits, row: Row, allowed: NDArray[np.bool_], ledger: Ledger | None
) -> Shipped:
    """The proposed choice where it is allowed; else the champion's; else nothing.

    Where there is no `nothing`, the first allowed choice stands in for it.
    """
    menu = limits.choices
    assert menu is not None
    rest = int(allowed.argmax()) if menu.nothing is None else menu.nothing
    if row.stop:
        return _recorded(limits, row, ledger, Shipped(rest, rest, 0))
    objection = against(limits, row, row.champion, allowed, ledger)
    reference = rest if objection else row.champion
    unusable = Reason.FALLBACK_UNUSABLE.bit * bool(objection)
    flags = against(limits, row, row.proposed, allowed, ledger)
    if row.forced or flags:
        choice, flags = reference, flags | unusable
    else:
        choice = row.proposed
    if choice != reference and ledger is not None and not ledger.may_differ():
        choice, flags = reference, flags | Reason.CHANGED_SHARE.bit | unusable
    return _recorded(limits, row, ledger, Shipped(choice, reference, flags))


def against(
    limits: GuardrailLimits,
    row: Row,
    choice: float,
    allowed: NDArray[np.bool_],
    ledger: Ledger | None,
) -> int:
    """What stands against a choice: the bit of one reason, 0 where nothing does."""
    menu = limits.choices
    assert menu is not None
    if not math.isfinite(choice):
        return Reason.NON_FINITE_OUTPUT.bit
    if not 0 <= choice < menu.choices or choice != int(choice):
        return Reason.NOT_ON_MENU.bit
    if choice == menu.nothing:
        return 0
    if not allowed[int(choice)]:
        return Reason.NOT_ELIGIBLE.bit
    if ledger is None:
        return 0
    if ledger.capped(row.unit, int(choice)):
        return Reason.CONTACT_CAP.bit
    left, which = ledger.left()
    if left is None:
        return 0
    assert isinstance(row.cost, np.ndarray)
    cost = float(row.cost[int(choice)])
    if not 0 <= cost < math.inf:
        return Reason.UNKNOWN_COST.bit
    return which.bit * (money.up(cost) > max(left, 0))


def _recorded(
    limits: GuardrailLimits, row: Row, ledger: Ledger | None, shipped: Shipped
) -> Shipped:
    """Write a decision into the books; with a budget it gets a receipt."""
    if ledger is None:
        return shipped
    action, reference = shipped.action, shipped.reference
    ledger.decided(action != reference, action - reference, reference)
    if action == limits.nothing:
        return shipped
    ledger.contacted(row.unit, CONTACT if limits.choices is None else int(action))
    if limits.budget is None:
        return shipped
    if isinstance(row.cost, float):
        return shipped._replace(receipt=ledger.reserved(row.cost * action))
    assert row.cost is not None
    return shipped._replace(receipt=ledger.reserved(float(row.cost[int(action)])))
