"""No sequence of requests, days, repeats and settlements breaks a budget, a cap or any other limit.

The auditor of the benchmark keeps its own exact list of what was shipped and what it cost.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from benchmarks.guardrail_auditor import Auditor
from ppo_marketing.guardrails import (
    FRESH,
    AmountLimits,
    Budget,
    ChoiceLimits,
    ContactCap,
    Context,
    Guarded,
    GuardrailLimits,
    GuardState,
    Holdout,
    apply,
    held_out,
    settled,
)

UNITS = ("a", "b", "c", "d", None, "")
CAPS = (
    ContactCap(contacts=1, days=3, choices=(2,)),
    ContactCap(contacts=2, days=7),
    ContactCap(contacts=5, days=2, everyone=True),
)
HOLDOUT = Holdout(share=0.3, salt="test")
HELD = frozenset(
    unit for unit in "abcd" if held_out([unit], HOLDOUT.share, HOLDOUT.salt)[0]
)  # fmt: skip

numbers = st.one_of(
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, 5e-324, 0.0, 0.5, 1.0, 2.0, 3.0]),
)
budgets = st.one_of(st.none(), st.floats(0, 1e308), st.floats(0, 20.0))
jumps = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 7, 31, 32, 400, -1, -3, -400, math.nan, math.inf])


class Attack(RuleBasedStateMachine):
    """One campaign that anybody may ask anything of."""

    auditor: Auditor | None = None

    @initialize(
        amounts=st.booleans(), day=budgets, total=budgets, share=st.floats(0, 1),
        change=st.one_of(st.none(), st.floats(0, 5)), daily=st.one_of(st.none(), st.floats(0, 5)),
    )  # fmt: skip
    def begin(
        self, amounts: bool, day: Any, total: Any, share: float, change: Any, daily: Any
    ) -> None:
        budget = None if day is None and total is None else Budget(day=day, total=total)
        shared: dict[str, Any] = {
            "budget": budget,
            "holdout": HOLDOUT,
            "changed_share": share,
            "suppressed": frozenset({"d"}),
        }
        if amounts:
            held = AmountLimits(floor=0.5, cap=3.0, nothing=0.0, change=change, daily_change=daily)
            self.limits = GuardrailLimits(amounts=held, contact_caps=CAPS[1:], **shared)
        else:
            menu = ChoiceLimits(choices=4, nothing=0, closed=(3,))
            self.limits = GuardrailLimits(choices=menu, contact_caps=CAPS, **shared)
        self.auditor = Auditor(self.limits, HELD)
        self.state = FRESH
        self.day = 20_000
        self.last: tuple[Any, Any, Context] | None = None

    @rule(
        rows=st.lists(st.tuples(numbers, numbers, st.sampled_from(UNITS), numbers), max_size=6),
        jump=jumps,
    )
    def request(self, rows: list[Any], jump: float) -> None:
        """Ask for some decisions, on some day."""
        proposed, champion, units, costs = zip(*rows, strict=True) if rows else ((),) * 4
        cost = np.array(costs, float)
        if self.limits.choices is not None:
            cost = np.tile(cost[:, None], (1, 4))
        day = self.day + jump
        whole = int(day) if math.isfinite(day) else day
        self.last = (
            np.array(proposed, float), np.array(champion, float),
            Context(unit=list(units), cost=cost, day=whole),
        )  # fmt: skip
        self.ask()

    @rule(times=st.integers(1, 3))
    def again(self, times: int) -> None:
        """The same request comes once more."""
        for _ in range(times if self.last is not None else 0):
            self.ask()

    def ask(self) -> None:
        assert self.last is not None
        guarded: Guarded = apply(self.limits, *self.last, self.state)
        assert self.auditor is not None
        self.auditor.audit(self.last[2], guarded)
        self.state = guarded.state
        self.day = self.state.day or self.day

    @rule(receipts=st.lists(st.integers(-2, 60), max_size=6), amount=numbers)
    def settle(self, receipts: list[int], amount: float) -> None:
        """Settle receipts, whether they are open or not, with spends that may be anything."""
        assert self.auditor is not None
        for receipt in receipts:
            self.auditor.settle(receipt, amount)
        self.state = settled(self.state, receipts, [amount] * len(receipts)).state

    @rule()
    def restart(self) -> None:
        """The process dies and its books are read again."""
        self.state = GuardState.from_dict(json.loads(json.dumps(self.state.as_dict())))

    @invariant()
    def nothing_stepped_outside(self) -> None:
        assert self.auditor is None or self.auditor.violations == []


Attack.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestNoSequenceStepsOutside = Attack.TestCase
