"""A batch of proposals under its limits: pure, books in and books out, no policy needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppo_marketing.guardrails.context import Asked, Context, calendar, checked
from ppo_marketing.guardrails.guards import Quiet
from ppo_marketing.guardrails.holdout import held_out
from ppo_marketing.guardrails.ledger import Ledger, plausible
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import Flags, Interventions, Reason
from ppo_marketing.guardrails.rows import Row, Shipped, guarded_amount, guarded_choice
from ppo_marketing.guardrails.state import GuardState

Bools = NDArray[np.bool_]

FRESH = GuardState()


@dataclass(frozen=True)
class Guarded:
    """What is shipped of `n` proposals.

    | field | shape | meaning |
    |---|---|---|
    | action | as proposed | amounts in float64, since rounding could leave the range; or int64 |
    | reference | same | what the champion ships under the same hard limits |
    | reasons | [n] | bit mask of what applied (`reasons_of` reads one) |
    | receipt | [n] | to settle what the decision really cost; -1: nothing was reserved |
    """

    action: NDArray[Any]
    reference: NDArray[Any]
    reasons: Flags
    receipt: NDArray[np.int64]
    interventions: Interventions
    state: GuardState


def apply(
    limits: GuardrailLimits,
    proposed: ArrayLike,
    champion: ArrayLike,
    context: Context | None = None,
    state: GuardState = FRESH,
) -> Guarded:
    """Ship of each proposal what the limits allow, in the order given.

    `proposed` and `champion` hold amounts, [n] or [n, d], or choices, [n]. Values that are NaN,
    infinite or off the menu lead to the champion's decision, or to nothing, and are counted. A
    repeated request is another decision: it is booked again.

    Raises:
        UserError: wrong shapes or types, or the context lacks what the limits need; everything
            wrong at once, and nothing is booked.
    """
    asked = checked(limits, proposed, champion, context or Context())
    stop, forced, flags = _standing(limits, asked, state)
    ledger = None
    if limits.keeps_books and plausible(state, asked.day):
        assert asked.day is not None
        ledger = Ledger(limits, state, asked.day)
    action, reference = np.empty_like(asked.proposed), np.empty_like(asked.proposed)
    receipt = np.full(asked.n, -1, np.int64)
    for i in range(asked.n):
        for j in range(asked.proposed.shape[1]):
            one = _row(limits, asked, i, j, bool(stop[i]), bool(forced[i]), ledger)
            action[i, j], reference[i, j] = one.action, one.reference
            flags[i] |= one.flags
            receipt[i] = one.receipt
    changed = (action != asked.proposed).any(axis=1)
    return Guarded(
        action=_as_shipped(limits, action, asked.shape),
        reference=_as_shipped(limits, reference, asked.shape),
        reasons=flags,
        receipt=receipt,
        interventions=Interventions.counted(flags, changed),
        state=state if ledger is None else ledger.closed(),
    )


def _row(
    limits: GuardrailLimits, asked: Asked, i: int, j: int, stop: bool, forced: bool,
    ledger: Ledger | None,
) -> Shipped:  # fmt: skip
    cost = None if asked.cost is None else asked.cost[i]
    row = Row(
        float(asked.proposed[i, j]),
        float(asked.champion[i, j]),
        stop,
        forced,
        None if asked.units is None else asked.units[i],
        cost if cost is None or limits.choices is not None else float(cost),
    )
    if limits.choices is None:
        return guarded_amount(limits, row, ledger)
    assert asked.allowed is not None
    return guarded_choice(limits, row, asked.allowed[i], ledger)


def _standing(
    limits: GuardrailLimits, asked: Asked, state: GuardState
) -> tuple[Bools, Bools, Flags]:
    """What holds whatever is proposed: who gets nothing, who gets the champion's, and why."""
    n = asked.n
    stop, forced, flags = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, np.uint32)

    def mark(rows: Bools, reason: Reason, *, stops: bool) -> None:
        flags[rows] |= np.uint32(reason.bit)
        # Without `nothing` the champion decides: limits that must stop have one.
        target = stop if stops and limits.nothing is not None else forced
        target |= rows

    for reason, rows in outside(limits, asked.observation).items():
        mark(rows, reason, stops=False)
    if "unit" in limits.needs:
        units = asked.units
        assert units is not None
        mark(_each(unit is None for unit in units), Reason.UNKNOWN_UNIT, stops=True)
        suppressed = _each(unit in limits.suppressed for unit in units)
        mark(suppressed, Reason.SUPPRESSED, stops=True)
        if limits.holdout is not None:
            rows = held_out(units, limits.holdout.share, limits.holdout.salt)
            mark(rows, Reason.HOLDOUT, stops=limits.holdout.gets == "nothing")
    if limits.quiet is not None:
        mark(_quiet(limits.quiet, asked), Reason.QUIET, stops=True)
    if "day" in limits.needs:
        readable = plausible(state, asked.day) if limits.keeps_books else asked.day is not None
        mark(np.full(n, not readable), Reason.CLOCK, stops=True)
    return stop, forced, flags


def outside(
    limits: GuardrailLimits, observation: NDArray[np.float64] | None
) -> dict[Reason, Bools]:
    """Which observations `[n, obs]` no policy should answer, `[n]` by reason."""
    if observation is None:
        return {}
    unreadable: Bools = np.logical_not(np.isfinite(observation).all(axis=1))
    found = {Reason.NON_FINITE_INPUT: unreadable}
    if limits.support is not None:
        low, high = limits.support.bounds()
        far = ((observation < low) | (observation > high)).any(axis=1)
        found[Reason.OUT_OF_SUPPORT] = far & ~unreadable
    return found


def _quiet(quiet: Quiet, asked: Asked) -> Bools:
    rows = np.zeros(asked.n, bool)
    if quiet.hours is not None:
        assert asked.hour is not None
        hour, (start, end) = asked.hour, quiet.hours
        within = (hour >= start) & (hour < end) if start < end else (hour >= start) | (hour < end)
        rows |= within | ~((hour >= 0) & (hour < 24))
    if asked.day is not None and (quiet.weekdays or quiet.weeks):
        weekday, week = calendar(asked.day)
        rows |= weekday in quiet.weekdays or week in quiet.weeks
    return rows


def _each(values: Iterable[bool]) -> Bools:
    return np.fromiter(values, np.bool_)


def _as_shipped(
    limits: GuardrailLimits, rows: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[Any]:
    return rows.reshape(shape).astype(np.float64 if limits.choices is None else np.int64)
