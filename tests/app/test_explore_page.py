"""The Policy explorer: every view on a judged run, nothing to explore, a run that is damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import words
from ppo_marketing.explore.answers import spoken
from ppo_marketing.explore.beside import side_by_side
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.importance import permutation_importance
from ppo_marketing.explore.inspector import inspect
from ppo_marketing.explore.surrogate import surrogate_tree
from ppo_marketing.guardrails.guards import AmountLimits
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.asking import explorer_of_run, held_of_run
from ppo_marketing.jobs.kept_parts import parts_of
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.jobs.limit_costs import keep_section
from ppo_marketing.jobs.release_book import desk_of
from tests.support.app_project import DECISION, RUN

Open = Callable[[str], AppTest]


@pytest.fixture(scope="module")
def explorer(app_project: Path) -> Explorer:
    """The same policy, asked without the app."""
    return explorer_of_run(parts_of(runs_folder(app_project) / RUN))


def seen(page: AppTest, view: str) -> AppTest:
    page.session_state["explore_view"] = view
    return page.run()


def test_the_map_shows_the_two_variables_that_move_the_policy_most(
    shown_project: Path, open_page: Open, explorer: Explorer
) -> None:
    page = open_page("explore")
    assert not page.exception
    states = explorer.states
    moving = permutation_importance(
        explorer.decide, explorer.words, states.observation, states.mask, np.random.default_rng(0)
    )
    chosen = page.selectbox(key="explore_x").value, page.selectbox(key="explore_y").value
    assert chosen == tuple(one.variable.name for one in moving[:2])
    assert moving[0].variable.label.lower() in page.markdown[0].value
    table = page.dataframe[0].value
    assert set(table.columns) >= {moving[0].variable.label, moving[1].variable.label, "cases"}


def test_a_map_of_a_variable_against_itself_is_refused_in_words(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("explore")
    page.selectbox(key="explore_y").set_value(page.selectbox(key="explore_x").value)
    next(button for button in page.button if button.label == "Draw").click()
    page.run()
    assert "choose two different state variables" in page.error[0].value


def test_the_mix_is_shown_over_time_and_by_segment(shown_project: Path, open_page: Open) -> None:
    page = seen(open_page("explore"), "Mix")
    assert not page.exception
    over_time, by_segment = (table.value for table in page.table)
    assert over_time["decisions"].sum() == by_segment["decisions"].sum()


def test_the_inspector_says_what_the_engine_says(
    shown_project: Path, open_page: Open, explorer: Explorer
) -> None:
    page = seen(open_page("explore"), "One decision")
    page.number_input(key="inspect_state").set_value(7).run()
    assert not page.exception
    told = inspect(
        explorer.decide, explorer.words, explorer.states.observation[6], None, explorer.cases
    )
    shown = {card.label: card.value for card in page.metric}
    assert shown[explorer.words.action.label] == told.action


def test_a_state_can_be_entered_and_is_told_to_be_unknown_where_it_is(
    shown_project: Path, open_page: Open, explorer: Explorer
) -> None:
    page = seen(open_page("explore"), "One decision")
    page.number_input(key="inspect_state").set_value(7).run()
    page.number_input(key="inspect_6_pace").set_value(15.0)
    next(button for button in page.button if button.label == "Ask the policy").click()
    page.run()
    pace = explorer.words.variable("pace")
    changed = pace.put(explorer.states.observation[6:7], np.array([15.0]))[0]
    told = inspect(explorer.decide, explorer.words, changed, None, explorer.cases)
    shown = {card.label: card.value for card in page.metric}
    assert shown[explorer.words.action.label] == told.action
    assert pace.label in page.warning[0].value


def test_the_rules_are_told_with_their_fidelity(
    shown_project: Path, open_page: Open, explorer: Explorer
) -> None:
    page = seen(open_page("explore"), "Why")
    assert not page.exception
    states = explorer.states
    tree = surrogate_tree(explorer.answers, explorer.words, states.observation, states.episode)
    said = next(text.value for text in page.markdown if "held out" in text.value)
    assert words.share(max(tree.fidelity, 0.0)) in said


def test_the_policy_stands_beside_a_rule(
    shown_project: Path, open_page: Open, explorer: Explorer
) -> None:
    page = seen(open_page("explore"), "Side by side")
    page.selectbox(key="explore_other").set_value(explorer.decision.do_nothing.name).run()
    assert not page.exception
    theirs = explorer.of(explorer.decision.do_nothing)
    found = side_by_side(explorer.answers, theirs, explorer.words)
    shown = {card.label: card.value for card in page.metric}
    assert shown["Same decision"] == words.share(found.agreement)


def test_the_policy_is_shown_as_learned_and_as_it_would_act_under_todays_limits(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open,
    explorer: Explorer,
) -> None:  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs").symlink_to(app_project / "data" / "runs")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    free = explorer.agent.act(
        explorer.states.observation, np.random.default_rng(0), None, deterministic=True
    )
    cap = float(np.median(free))
    limits = AmountLimits(floor=-1.0, cap=cap)
    section = GuardrailsSection(amounts=limits, changed_share=0.5)
    keep_section(desk_of(tmp_path), DECISION, section)
    parts = parts_of(runs_folder(app_project) / RUN)
    told = held_of_run(parts, explorer, section)
    assert told is not None

    page = seen(open_page("explore"), "Mix")
    as_learned = page.markdown[0].value
    assert len(page.table) == 2
    page.session_state["explore_as"] = "Under today's limits"
    page.run()
    assert not page.exception
    assert page.markdown[0].value == as_learned
    reasons, both = (page.table[place].value for place in (0, 1))
    (above,) = told.why
    assert reasons.index[0] == "the amount was above the cap"
    assert reasons["decisions"].iloc[0] == words.share(above.states / explorer.states.size)
    assert list(both["group"]) == ["As learned", "Under today's limits"]
    amount = float(told.explorer.answers.value.max())
    assert both["90 %"].max() > both["90 %"].iloc[1] == pytest.approx(amount)
    assert any(one.value.startswith("Not asked here: ") for one in page.caption)

    page = seen(page, "One decision")
    (row, *_) = np.flatnonzero(free.ravel() > cap)
    page.number_input(key="inspect_state").set_value(int(row) + 1).run()
    assert "The limits step in here: the amount was above the cap" in page.info[0].value
    shown = {card.label: card.value for card in page.metric}
    assert shown[explorer.words.action.label] == spoken(amount, explorer.words)


def test_without_limits_the_page_says_so_and_leads_to_them(
    shown_project: Path, open_page: Open
) -> None:
    page = open_page("explore")
    page.session_state["explore_as"] = "Under today's limits"
    page.run()
    assert not page.exception
    assert "Nothing is limited yet" in page.info[0].value
    assert "Set limits" in [button.label for button in page.button]


def test_an_empty_project_says_what_to_do(empty_project: Path, open_page: Open) -> None:
    page = open_page("explore")
    assert not page.exception
    assert "no run yet" in page.markdown[0].value
    assert [button.label for button in page.button] == ["Train and judge one"]


def test_a_run_that_was_damaged_is_refused_without_a_path(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    shutil.copytree(app_project / "data", tmp_path / "data")
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    (runs_folder(tmp_path) / RUN / "evidence.json").write_text("{")
    page = open_page("explore")
    assert not page.exception
    assert len(page.error) == 1
    assert str(tmp_path) not in page.error[0].value
    assert "Traceback" not in page.error[0].value
