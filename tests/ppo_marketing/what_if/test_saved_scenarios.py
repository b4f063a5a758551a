"""Scenarios are kept whole, by name, one file a decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from envs import load_decision
from ppo_marketing.errors import AlreadyRunning, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.what_if.saved import forget_scenario, save_scenario, saved_scenarios
from ppo_marketing.what_if.scenarios import named
from tests.support.fourth_decision.pricing import DECISION

MARKET = load_decision("bidding")
LEAN = named(MARKET, "Lean", {"budget": 0.8})


def test_what_was_saved_is_there_and_what_was_dropped_is_not(tmp_path: Path) -> None:
    assert saved_scenarios(tmp_path, MARKET) == ()
    rich = named(MARKET, "Rich", {"budget": 2.0})
    save_scenario(tmp_path, MARKET, rich)
    save_scenario(tmp_path, MARKET, LEAN)
    assert saved_scenarios(tmp_path, MARKET) == (LEAN, rich)
    assert saved_scenarios(tmp_path, DECISION) == (), "another decision has its own"
    leaner = named(MARKET, "Lean", {"budget": 0.5})
    save_scenario(tmp_path, MARKET, leaner)
    assert saved_scenarios(tmp_path, MARKET) == (leaner, rich)
    forget_scenario(tmp_path, MARKET, "Lean")
    forget_scenario(tmp_path, MARKET, "never there")
    assert saved_scenarios(tmp_path, MARKET) == (rich,)


@pytest.mark.parametrize("content", ["not json", "[]", '{"Lean": 3}', '{"Lean": {"budget": 99}}'])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data" / "scenarios" / "bidding.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError):
        saved_scenarios(tmp_path, MARKET)
    with pytest.raises(UserError):
        save_scenario(tmp_path, MARKET, LEAN)
    assert path.read_text() == content
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_two_who_save_at_once_do_not_lose_each_others(tmp_path: Path) -> None:
    with held_alone(tmp_path / "data" / "scenarios"), pytest.raises(AlreadyRunning):
        save_scenario(tmp_path, MARKET, LEAN)
