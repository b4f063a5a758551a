"""Guardrails and fairness: limits are checked and priced, tables compared, tests planned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from app import access, findings, words
from app.access import Identity
from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.experiment.assignment import assigned
from ppo_marketing.jobs.kept_parts import parts_of
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.jobs.limit_costs import checked_section, kept_section, limit_costs
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.jobs.run_fairness import run_fairness
from tests.support.app_project import DECISION, RUN
from tests.support.released_project import passing_copy
from tests.support.segments import mails_the_new, segments

Open = Callable[[str], AppTest]
FAIRNESS, EXPERIMENT = ":material/balance: Fairness", ":material/science: Experiment"


def on_tab(page: AppTest, tab: str) -> AppTest:
    page.session_state["guardrails-tab"] = tab
    return page.run()


def pressed(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def field(page: AppTest, label: str) -> object:
    fields = (*page.number_input, *page.text_input, *page.selectbox, *page.multiselect)
    return next(one for one in fields if one.label == label)


def told(page: AppTest) -> str:
    return "\n".join(one.value for one in (*page.success, *page.warning, *page.error, *page.info))


def test_a_limit_is_priced_with_the_engines_own_numbers(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("guardrails")
    assert not page.exception
    assert "Nothing is limited yet" in page.markdown[0].value
    field(page, "Highest amount").set_value(0.02)  # type: ignore[attr-defined] # a number input
    page = pressed(page, "Check and price these limits")
    assert not page.exception
    parts = parts_of(runs_folder(shown_project) / RUN)
    found = limit_costs(parts, checked_section(parts, {"amounts": {"floor": -1.0, "cap": 0.02}}))
    shown = {card.label: card.value for card in page.metric}
    currency = found.cost.unit
    assert shown["Without any limit"] == words.money(found.unguarded.value, currency)
    assert shown["They cost"] == words.money(found.cost.value, currency)
    assert shown["Violations avoided"] == words.number(found.changed)
    assert yaml.safe_load(page.code[0].value) == {
        "guardrails": {"amounts": {"floor": -1.0, "cap": 0.02}}
    }


def test_limits_that_contradict_each_other_are_refused_in_words_and_nothing_is_priced(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("guardrails")
    field(page, "Highest amount").set_value(-0.5)  # type: ignore[attr-defined] # a number input
    field(page, "Lowest amount").set_value(0.5)  # type: ignore[attr-defined] # a number input
    page = pressed(page, "Check and price these limits")
    assert not page.exception
    assert "it must be at least the floor, 0.5" in told(page)
    assert not page.metric


def test_limits_are_kept_for_the_next_run_and_shown_again(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    passing_copy(app_project, tmp_path)
    page = open_page("guardrails")
    field(page, "Highest amount").set_value(0.5)  # type: ignore[attr-defined] # a number input
    page = pressed(pressed(page, "Check and price these limits"), "Keep for the next run")
    assert not page.exception
    kept = kept_section(tmp_path, DECISION)
    assert yaml.safe_load(kept.read_text())["guardrails"]["amounts"]["cap"] == 0.5
    page = open_page("guardrails")
    assert "start from what was kept" in page.caption[0].value or any(
        "start from what was kept" in caption.value for caption in page.caption
    )
    # A viewer's click is refused by the engine, and leaves what was kept as it is.
    (tmp_path / "access.yaml").write_text("eve@example.com: viewer\n")
    monkeypatch.setattr(access, "sign_in_is_set_up", lambda: True)
    monkeypatch.setattr(access, "signed_in", lambda: Identity("eve@example.com", True))
    monkeypatch.setattr(access, "may_here", lambda permission: True)
    before = kept.read_bytes()
    page = pressed(page, "Keep for the next run")
    assert "is a viewer, who may not edit guardrails" in told(page)
    assert kept.read_bytes() == before
    assert [line.action for line in read_trail(trail_of(tmp_path))] == [Action.REFUSE]


def test_segments_of_the_runs_own_log_are_compared_without_an_upload(
    shown_project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trained run sets amounts, which treat nobody: people are put in its log's place."""
    monkeypatch.setattr(findings, "segments", lambda run: segments())
    monkeypatch.setattr(
        findings,
        "fairness",
        lambda run, names, treatments: run_fairness(mails_the_new(), segments(), names, treatments),
    )
    page = on_tab(open_page("guardrails"), FAIRNESS)
    assert not page.exception
    assert not page.file_uploader
    assert "By Kind, a group is treated at less than four fifths" in told(page)
    table = page.table[0].value
    assert list(table.index) == ["regular", "new"]
    assert table["treated"].tolist() == ["0.0 %", "100.0 %"]
    assert table["in the log"].tolist() == ["50.0 %", "50.0 %"]
    field(page, "Segments").set_value(["spend"])  # type: ignore[attr-defined]
    page = pressed(page, "Compare")
    assert len(page.table[0].value) == 5
    field(page, "Segments").set_value([])  # type: ignore[attr-defined]
    page = pressed(page, "Compare")
    assert "name a segment column: kind, spend" in told(page)
    page.session_state["fairness-of"] = "A table of decisions"
    assert page.run().file_uploader


def test_groups_are_compared_and_a_table_without_the_column_is_refused_in_words(
    shown_project: Path, open_page: Open
) -> None:
    rows = ["gender,treated"] + [
        f"{gender},{int(number < treated)}"
        for gender, treated in (("a", 90), ("b", 45))
        for number in range(150)
    ]
    page = on_tab(open_page("guardrails"), FAIRNESS)
    page.file_uploader("fairness-file").upload(
        "decisions.csv", "\n".join(rows).encode(), "text/csv"
    ).run()
    field(page, "Protected attributes").set_value(["gender"])  # type: ignore[attr-defined]
    page = pressed(page, "Compare")
    assert not page.exception
    assert "By gender, a group is treated at less than four fifths" in told(page)
    assert page.table[0].value["of the best"].tolist() == ["1.00", "0.50"]
    field(page, "Treatment").set_value("gender")  # type: ignore[attr-defined] # a select box
    page = pressed(page, "Compare")
    assert not page.exception
    assert "gender" in told(page)


def test_a_test_is_planned_and_units_are_dealt_as_the_command_line_deals_them(
    shown_project: Path, open_page: Open
) -> None:
    page = on_tab(open_page("guardrails"), EXPERIMENT)
    field(page, "Smallest lift that matters, %").set_value(20.0)  # type: ignore[attr-defined]
    page = pressed(page, "Plan it")
    assert not page.exception
    shown = {card.label: card.value for card in page.metric}
    assert shown["Units"] == "7,682", "10 % against 12 %: 3,841 a side (Fleiss, Levin and Paik)"
    ids = [f"c{number:03d}" for number in range(200)]
    page.file_uploader("experiment-units").upload(
        "units.csv", "\n".join(["unit_id", *ids]).encode(), "text/csv"
    ).run()
    field(page, "Name of the test").set_value("spring")  # type: ignore[attr-defined]
    page = pressed(page, "Deal")
    assert not page.exception
    arms = assigned("spring", ids, {"champion": 0.5, "challenger": 0.5})
    count = int(np.sum(arms == "challenger"))
    assert f"challenger {count}" in told(page)


def test_without_a_judged_run_the_page_says_what_to_do(
    empty_project: Path, open_page: Open
) -> None:
    page = open_page("guardrails")
    assert not page.exception
    assert [button.label for button in page.button] == ["Train and judge one"]
