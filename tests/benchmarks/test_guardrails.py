"""Adversarial decisions step nowhere outside, and the auditor would see it if they did."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.guardrails import attack
from ppo_marketing.guardrails import Reason, batch, ledger, money, rows


@pytest.mark.parametrize(
    "decisions",
    [20_000, pytest.param(1_000_000, marks=[pytest.mark.verify, pytest.mark.timeout(1800)])],
)
def test_no_input_makes_a_guarded_policy_step_outside_or_fail(decisions: int) -> None:
    found = attack(decisions, seed=decisions)
    assert found["first_violations"] == []
    assert found["first_exceptions"] == []
    met = found["interventions"]
    assert met["decisions"] >= decisions
    assert set(met["counts"]) == {reason.value for reason in Reason}, "every guard was needed"


def _never(*_: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("where", "name", "broken", "seen"),
    [
        (ledger.Ledger, "capped", _never, "contacts in"),
        (ledger.Ledger, "may_differ", lambda _: True, "too many decisions differ"),
        (ledger.Ledger, "change_left", lambda *_: float("inf"), "changed too"),
        (money, "up", lambda amount: int(float(f"{amount:.17g}") * 9e8), "budget is broken"),
        (batch, "plausible", lambda _, day: day is not None, "broken clock"),
        (batch, "outside", lambda *_: {}, "never saw"),
        (batch, "held_out", lambda units, *_: [False] * len(units), "held-out"),
        (rows, "_nearest", lambda wanted, *_: wanted, "changed by too much"),
    ],
)  # fmt: skip
def test_the_auditor_sees_a_guard_that_does_not_guard(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, broken: Any, seen: str
) -> None:
    monkeypatch.setattr(where, name, broken)
    found = attack(10_000, seed=2)
    assert any(seen in violation for violation in found["violated"]), found["first_exceptions"]
