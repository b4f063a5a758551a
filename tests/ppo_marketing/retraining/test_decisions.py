"""What becomes of a challenger, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from ppo_marketing.retraining.decisions import LiftOverChampion, Outcome, decided

BETTER = LiftOverChampion(value=0.02, low=0.01, champion_share=0.9)
ALIKE = LiftOverChampion(value=0.001, low=-0.004, champion_share=0.9)
PLAIN: dict[str, Any] = {
    "unchanged": False, "gate_reasons": (), "lift": BETTER, "least_lift": 0.0,
    "incomparable": None, "promote": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "outcome", "said"),
    [
        ({}, Outcome.PROMOTED, ""),
        ({"lift": None}, Outcome.PROMOTED, ""),
        ({"gate_reasons": ("support: too little",)}, Outcome.KEPT, "support: too little"),
        ({"lift": ALIKE}, Outcome.KEPT, "not shown better than the champion"),
        ({"least_lift": 0.012}, Outcome.KEPT, "more than +1.08 is asked for"),
        ({"lift": ALIKE, "least_lift": -0.01}, Outcome.PROMOTED, ""),
        ({"unchanged": True, "lift": None}, Outcome.KEPT, "no training went beyond"),
        ({"promote": False}, Outcome.WAITING, "a person promotes it"),
        ({"lift": None, "incomparable": "other settings"}, Outcome.WAITING, "other settings"),
        ({"gate_reasons": ("limit",), "promote": False}, Outcome.KEPT, "limit"),
    ],
)
def test_it_takes_over_only_where_nothing_speaks_against_it(
    changes: dict[str, Any], outcome: Outcome, said: str
) -> None:
    ending = decided(**{**PLAIN, **changes})
    assert ending.outcome is outcome
    assert said in "; ".join(ending.reasons)


def test_what_is_no_number_keeps_the_champion() -> None:
    lift = LiftOverChampion(value=float("nan"), low=float("nan"), champion_share=0.9)
    assert decided(**{**PLAIN, "lift": lift}).outcome is Outcome.KEPT


def test_every_reason_is_told() -> None:
    ending = decided(**{**PLAIN, "gate_reasons": ("one", "two"), "lift": ALIKE})
    assert len(ending.reasons) == 3
