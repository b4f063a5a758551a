"""What people read: one unit, no nonsense for ties and losses, every KPI of the card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from envs import load_decision
from envs.core.fidelity import Check, FidelityReport
from ppo_marketing import report
from ppo_marketing.constrained import BEYOND_LIMIT
from ppo_marketing.evaluation import Evidence, Judgement, Limit, Played, judge_played

CARD = load_decision("bidding")


def evidence(policy: list[float], rule: list[float], ceiling: list[float]) -> Evidence:
    def played(name: str, kind: Any, value: list[float]) -> Played:
        kpis = {kpi.name: np.ones(len(value)) for kpi in CARD.kpis}
        return Played(name, kind, {**kpis, "objective": np.array(value)})

    return judge_played(
        [
            played("PPO", "policy", policy),
            played("untrained start", "untrained", policy),
            played("a rule", "rule", rule),
            played("nothing", "floor", [0.0] * len(rule)),
        ],
        np.array(ceiling),
        world="a world",
        value_kpi="objective",
        event_kpi="clicks",
        unit="EUR",
        event_unit="clicks",
        ceiling_kind="realised",
        seed=0,
        chosen={},
    )


def shown(table: Any) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_a_gain_is_told_in_points_of_the_ceiling_throughout() -> None:
    text = report.conclusion(evidence([9.5, 19.0], [9.0, 18.0], [10.0, 20.0]))
    assert "PPO earns more than the best tuned rule (a rule): +5.00 points" in text
    assert "At most 10.00 points were to be gained over that rule; PPO gains 50 % of them" in text


def test_a_loss_says_to_keep_the_rule_and_closes_no_gap() -> None:
    text = report.conclusion(evidence([8.0, 16.0], [9.0, 18.0], [10.0, 20.0]))
    assert "PPO earns less than" in text
    assert "Keep the rule" in text
    assert "10.00 points lie between it and the ceiling" in text
    assert "PPO gains" not in text


def test_a_tie_has_no_chance_of_a_lift_and_no_negative_zero() -> None:
    text = shown(report.evidence_table(evidence([9.0, 18.0], [8.0, 16.0], [10.0, 20.0]), CARD))
    (line,) = [line for line in text.splitlines() if "before training" in line]
    assert "+0.00 [+0.00, +0.00]" in line
    assert "0.000" not in line
    assert "-0.00" not in text


def test_empty_episodes_are_left_out_and_counted() -> None:
    some = evidence([9.0, 0.0, 18.0], [8.0, 0.0, 16.0], [10.0, 0.0, 20.0])
    assert (some.episodes, some.empty_episodes) == (2, 1)
    assert some.policy.share_of_ceiling.value == pytest.approx(0.9)
    assert "1 in which nothing can be earned left out" in shown(report.evidence_table(some, CARD))


def test_every_kpi_and_ratio_of_the_card_is_shown() -> None:
    text = shown(report.kpi_table(evidence([9.0], [8.0], [10.0]), CARD))
    for name in [*(kpi.label for kpi in CARD.kpis), *(ratio.label for ratio in CARD.ratios)]:
        assert name in text


def test_numbers_are_written_as_people_write_them_and_units_are_not_said_twice() -> None:
    some = evidence([9.0], [8.0], [10.0])
    spent = replace(some.policy, kpis={**some.policy.kpis, "spend": 20660.4, "clicks": 3.25})
    others = tuple(row for row in some.rows if row.kind != "policy")
    text = shown(report.kpi_table(replace(some, rows=(spent, *others)), CARD))
    assert "20,660" in text
    assert "e+" not in text
    (clicks,) = [line for line in text.splitlines() if line.startswith("│ Clicks")]
    assert clicks.split("│")[1].strip() == "Clicks"
    assert "3.25" in clicks


def test_episodes_are_called_by_the_cards_own_word() -> None:
    text = shown(report.evidence_table(evidence([9.0, 9.0], [8.0, 8.0], [10.0, 10.0]), CARD))
    assert "2 days" in text
    assert "episodes" not in text


def test_the_fidelity_table_counts_what_passed() -> None:
    checks = tuple(
        Check(name=name, value=value, low=0.0, high=0.2, n=30, unit="days", meaning="a distance")
        for name, value in [("prices", 0.1), ("clicks", 0.5)]
    )
    found = FidelityReport(checks=checks)
    assert "1 of 2 checks passed" in shown(report.fidelity_table(found))
    assert "passed 1 of 2 checks" in report.fidelity_finding(found)
    failed = shown(report.fidelity_table(found, failures_only=True))
    assert "clicks" in failed
    assert "prices" not in failed


def test_the_optimism_is_told_as_a_share_and_in_value() -> None:
    there, here = evidence([9.0], [8.0], [10.0]), evidence([16.0], [15.0], [20.0])
    text = report.optimism(Judgement(later=here, logged=None, earlier=there))
    assert "90.00 %" in text
    assert "80.00 %" in text
    assert "-43.8 %" in text
    assert "is acceptable" in text


def test_too_much_optimism_is_called_so() -> None:
    there, here = evidence([19.0], [8.0], [20.0]), evidence([16.0], [15.0], [20.0])
    assert "TOO MUCH" in report.optimism(Judgement(later=here, logged=None, earlier=there))


def test_where_no_update_kept_the_limit_no_share_is_made_up() -> None:
    assert report.reached(0.5, CARD) == "0.5000 of the ceiling on its validation days"
    assert "no update kept within the limit" in report.reached(BEYOND_LIMIT - 0.2, CARD)


def test_a_limit_is_told_with_what_is_used_and_what_to_do_where_it_is_not_held() -> None:
    some = evidence([9.0], [8.0], [10.0])
    held = Limit(kpi="spend", per=None, allowed=20.0, used=15.0, best_rule_uses=19.5)
    text = report.limit(Judgement(later=some, logged=None, earlier=some, limit=held), CARD)
    assert "at most 20 per day. PPO uses 15, 25.0 % below it; the best rule uses 19.5." in text
    broken = Limit(kpi="spend", per="clicks", allowed=2.0, used=2.4, best_rule_uses=1.9)
    text = report.limit(Judgement(later=some, logged=None, earlier=some, limit=broken), CARD)
    assert "at most 2 per unit of clicks. PPO uses 2.4, 20.0 % BEYOND it" in text
    assert "not held: train longer" in text


def test_values_are_shown_to_four_digits_whatever_their_size() -> None:
    small = evidence([0.00912, 0.00914], [0.008, 0.008], [0.01, 0.01])
    assert "0.00913 [" in shown(report.evidence_table(small, CARD))
    large = replace(small, rows=evidence([91234.0], [80000.0], [100000.0]).rows)
    assert "91,234.00" in shown(report.evidence_table(large, CARD))
