"""What-if: the same numbers as the command line, by link and by file; nothing to ask; errors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from app import access, words
from ppo_marketing.audit_trail import Action, read_trail
from ppo_marketing.cli import app as command_line
from ppo_marketing.jobs.kept_runs import kept_evidence, runs_folder
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.what_if.saved import saved_scenarios
from tests.support.app_project import DECISION, RUN

Open = Callable[[str], AppTest]

LEAN, KEEN = "Lean: budget=0.8, price=1.1", "Keen: response=1.2"
ADDRESS = ["Today: ", LEAN, KEEN]


@pytest.fixture(scope="module")
def told(app_project: Path) -> dict[str, dict[str, object]]:
    """What `ppo-marketing scenario --json` says of the same scenarios, by name."""
    run = str(runs_folder(app_project) / RUN)
    done = CliRunner().invoke(
        command_line, ["scenario", run, "-s", LEAN, "-s", KEEN, "--curve", "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["curves"].keys() == {"Today", "Lean", "Keen"}
    return {answer["scenario"]: answer for answer in found["answers"]}


def opened_by_link(open_page: Open) -> AppTest:
    page = open_page("overview")
    page.query_params["scenario"] = ADDRESS
    return page.switch_page("pages_/what_if.py").run()


def seen(page: AppTest, view: str) -> AppTest:
    page.session_state["what_if_view"] = view
    return page.run()


def test_the_numbers_are_the_command_lines(
    shown_project: Path, open_page: Open, told: dict[str, dict[str, object]]
) -> None:
    page = opened_by_link(open_page)
    assert not page.exception
    currency = kept_evidence(runs_folder(shown_project) / RUN).currency
    shown = {card.label: card.value for card in page.metric}
    for name in ("Today", "Lean", "Keen"):
        value = told[name]["value"]
        assert isinstance(value, dict)
        assert shown[name] == words.money(value["value"], currency)
    table = page.table[-1].value
    spend = told["Lean"]["kpis"]
    assert isinstance(spend, dict)
    assert table.loc["Spend", "Lean"] == words.money(spend["spend"]["value"], currency)
    changes = page.table[0].value.set_index("scenario")["value"]
    for name in ("Lean", "Keen"):
        change = told[name]["change"]
        assert isinstance(change, dict)
        assert changes[name] == pytest.approx(change["value"], abs=1e-4)


def test_today_is_what_the_evidence_says(
    shown_project: Path, told: dict[str, dict[str, object]]
) -> None:
    later = kept_evidence(runs_folder(shown_project) / RUN).judgement.later
    assert later.empty_episodes == 0
    today = told["Today"]
    assert today["episodes"] == later.episodes
    assert isinstance(today["value"], dict)
    assert today["value"]["value"] == pytest.approx(later.policy.value.value, rel=1e-9)


def test_a_scenario_beyond_the_log_is_warned_of_on_the_page_and_in_the_terminal(
    shown_project: Path, open_page: Open, told: dict[str, dict[str, object]]
) -> None:
    page = opened_by_link(open_page)
    outside = told["Lean"]["outside_the_log"]
    assert isinstance(outside, dict)
    assert "Daily budget never varied in training" in str(outside["warning"])
    assert any("Daily budget never varied" in warning.value for warning in page.warning)


def test_the_address_follows_what_is_compared(shown_project: Path, open_page: Open) -> None:
    page = opened_by_link(open_page)
    page.multiselect[0].set_value(["Today", "Keen"]).run()
    assert page.query_params["scenario"] == ["Today: ", KEEN]
    assert {card.label for card in page.metric} == {"Today", "Keen"}


def test_a_scenario_is_made_in_the_form_and_played(shown_project: Path, open_page: Open) -> None:
    page = opened_by_link(open_page)
    page.text_input[0].set_value("Dear")
    price = next(one for one in page.number_input if one.label.startswith("Prices"))
    price.set_value(1.5)
    next(button for button in page.button if button.label == "Play it").click()
    page.run()
    assert not page.exception
    assert {card.label for card in page.metric} == {"Today", "Lean", "Keen", "Dear"}
    assert any(text.startswith("Dear: ") and "price=1.5" in text
               for text in page.query_params["scenario"])  # fmt: skip


def test_a_name_that_cannot_be_used_is_refused_in_words(
    shown_project: Path, open_page: Open
) -> None:
    page = opened_by_link(open_page)
    page.text_input[0].set_value("a=b")
    next(button for button in page.button if button.label == "Play it").click()
    page.run()
    assert not page.exception
    assert any("is no name of a scenario" in error.value for error in page.error)


def test_a_link_that_is_broken_is_told_and_today_is_shown(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("overview")
    page.query_params["scenario"] = ["Lean: bugdet=0.8"]
    page = page.switch_page("pages_/what_if.py").run()
    assert not page.exception
    assert any("did you mean budget" in error.value for error in page.error)
    assert any(card.label == "Today" for card in page.metric)


@pytest.mark.parametrize("view", ["Course", "Money", "Share"])
def test_every_view_draws(shown_project: Path, open_page: Open, view: str) -> None:
    page = seen(opened_by_link(open_page), view)
    assert not page.exception
    assert not page.error


def test_a_budget_is_shared_out_and_a_target_found(shown_project: Path, open_page: Open) -> None:
    page = seen(opened_by_link(open_page), "Money")
    next(button for button in page.button if button.label == "Share it out").click()
    page.run()
    assert not page.error
    assert any("Shared so, they would earn" in text.value for text in page.markdown)
    next(button for button in page.button if button.label == "Search").click()
    page.run()
    assert not page.exception
    assert any("spend" in table.value.columns for table in page.table)


def test_a_scenario_is_kept_in_the_project_and_dropped(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    from envs import load_decision

    shutil.copytree(app_project / "data", tmp_path / "data")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    page = seen(opened_by_link(open_page), "Share")
    page.button(key="what_if_keep_Lean").click().run()
    card = load_decision(DECISION)
    assert [one.text for one in saved_scenarios(tmp_path, card)] == [LEAN]
    # A viewer's click is refused by the engine and recorded, even where the button is offered.
    (tmp_path / "access.yaml").write_text("eve@example.com: viewer\n")
    with monkeypatch.context() as as_eve:
        as_eve.setattr(access, "sign_in_is_set_up", lambda: True)
        as_eve.setattr(access, "signed_in", lambda: access.Identity("eve@example.com", True))
        as_eve.setattr(access, "may_here", lambda permission: True)
        page.button(key="what_if_drop_Lean").click().run()
    assert any("may not keep scenarios" in warning.value for warning in page.warning)
    assert [one.text for one in saved_scenarios(tmp_path, card)] == [LEAN]
    assert [line.action for line in read_trail(trail_of(tmp_path))] == [Action.REFUSE]
    (tmp_path / "access.yaml").unlink()
    page = seen(page, "Share")
    page.button(key="what_if_drop_Lean").click().run()
    assert saved_scenarios(tmp_path, card) == ()


def test_an_empty_project_says_what_to_do(empty_project: Path, open_page: Open) -> None:
    page = open_page("what_if")
    assert not page.exception
    assert [button.label for button in page.button] == ["Train and judge one"]


def test_a_name_is_shown_as_it_is_written_and_never_as_a_picture(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("overview")
    page.query_params["scenario"] = ["Today: ", "![x](//elsewhere.example/x.png): price=1.1"]
    page = page.switch_page("pages_/what_if.py").run()
    assert not page.exception
    shown = [
        *(text for card in page.metric for text in (card.label, card.value)),
        *(text.value for text in (*page.markdown, *page.caption, *page.subheader, *page.warning)),
        *(str(cell) for table in page.table for cell in (*table.value.columns, *table.value.index)),
        *(str(cell) for table in page.table for cell in table.value.to_numpy().ravel()),
    ]
    naming = [text for text in shown if "elsewhere" in text]
    assert len(naming) > 3
    assert not [text for text in naming if re.search(r"(?<!\\)[\[\]]", text)]
