"""The chance that a drawn choice ships, with what the guards moved: what a log must say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.guardrails.batch import Guarded
from ppo_marketing.guardrails.context import Context, checked
from ppo_marketing.guardrails.ledger import Ledger, plausible
from ppo_marketing.guardrails.limits import GuardrailLimits
from ppo_marketing.guardrails.reasons import Reason
from ppo_marketing.guardrails.rows import Row, against
from ppo_marketing.guardrails.state import GuardState

WHATEVER_IS_PROPOSED = (
    Reason.NON_FINITE_INPUT, Reason.OUT_OF_SUPPORT, Reason.UNKNOWN_UNIT, Reason.SUPPRESSED,
    Reason.HOLDOUT, Reason.QUIET, Reason.CLOCK,
)  # fmt: skip
"""Reasons that decide before a proposal is looked at."""
_SETTLED = sum(reason.bit for reason in WHATEVER_IS_PROPOSED)


def shipping_chance(
    limits: GuardrailLimits,
    probability: NDArray[Any],
    context: Context,
    state: GuardState,
    guarded: Guarded,
) -> float:
    """P(what shipped), of one decision that was drawn from `probability [choices]`.

        P(b) = p(b) [b ships itself] + (1 - sum of p(a) over a that ship themselves) [b is r]

    r: what the champion ships under the same hard limits. `state`: the books before the decision;
    `probability`: the policy's own, over what it was offered.
    """
    if int(guarded.reasons[0]) & _SETTLED:
        return 1.0
    nobody = np.zeros(1)
    asked = checked(limits, nobody, nobody, context)
    ledger = None
    if limits.keeps_books and plausible(state, asked.day):
        assert asked.day is not None
        ledger = Ledger(limits, state, asked.day)
    assert asked.allowed is not None
    unit = None if asked.units is None else asked.units[0]
    cost = None if asked.cost is None else asked.cost[0]
    row = Row(0.0, 0.0, False, False, unit, cost)
    reference, shipped = int(guarded.reference[0]), int(guarded.action[0])
    differs = ledger is None or ledger.may_differ()
    itself = np.array(
        [
            (differs or choice == reference)
            and not against(limits, row, choice, asked.allowed[0], ledger)
            for choice in range(len(probability))
        ]
    )
    kept = np.where(itself, probability, 0.0)
    moved = max(0.0, 1.0 - float(kept.sum())) if shipped == reference else 0.0
    return min(1.0, float(kept[shipped]) + moved)
