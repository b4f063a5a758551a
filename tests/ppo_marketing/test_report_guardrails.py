"""Violations are shown: every reason that applied, the most frequent first."""

from __future__ import annotations

from rich.console import Console

from ppo_marketing.guardrails import MEANING, Interventions, Reason
from ppo_marketing.report_guardrails import interventions_markdown, interventions_table

FOUND = Interventions(2000, 150, {Reason.CAP: 40, Reason.BUDGET_DAY: 120})


def test_the_table_names_every_reason_its_meaning_and_its_share() -> None:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(interventions_table(FOUND))
    text = capture.get()
    assert "guardrails, 2,000 decisions" in text
    assert "150 decisions (7.50 %) were shipped other than proposed" in text
    assert text.index("budget day") < text.index("cap  ")
    assert MEANING[Reason.CAP] in text
    assert "6.00 %" in text


def test_the_page_has_the_same_rows() -> None:
    page = interventions_markdown(FOUND)
    assert f"| budget day | {MEANING[Reason.BUDGET_DAY]} | 120 | 6.00 % |" in page
    assert "No decision has been guarded yet." in interventions_markdown(Interventions())


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANING) == set(Reason)
