"""Scenarios are written the same in flags, addresses and files, and refused in words."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from envs import load_decision
from ppo_marketing.errors import UserError
from ppo_marketing.what_if.scenarios import TODAY, Named, built, named, parsed, several
from ppo_marketing.what_if.sharing import LONGEST, from_query, from_texts, to_query
from tests.support.fourth_decision.pricing import DECISION

MARKET = load_decision("bidding")


def test_a_scenario_is_read_back_from_what_it_is_written_as() -> None:
    lean = named(MARKET, "Lean year", {"budget": 0.1 + 0.2, "price": 1.1})
    assert parsed(MARKET, lean.text) == lean
    assert parsed(MARKET, "  Lean year :budget = 0.8 ,price=1.1") == Named(
        "Lean year", {"budget": 0.8, "price": 1.1}
    )


def test_knobs_left_alone_are_not_mentioned() -> None:
    assert named(MARKET, "Same", {"budget": 1.0}).values == {}
    assert parsed(MARKET, TODAY.text) == TODAY
    assert built(MARKET, TODAY) == MARKET.scenario_type()


def test_an_address_holds_every_scenario_and_gives_the_same_back() -> None:
    scenarios = (TODAY, named(MARKET, "Ünder & so", {"budget": 0.8}))
    query = to_query(scenarios)
    assert from_query(MARKET, query) == scenarios
    assert from_query(MARKET, "?run=x&" + query) == scenarios
    assert from_texts(MARKET, parse_qs(query)["scenario"]) == scenarios
    assert from_query(MARKET, "run=x") == ()


def test_an_address_that_no_browser_carries_is_refused() -> None:
    many = [
        named(MARKET, f"{i}" * 60, {"budget": 1 / 3, "price": 1 / 7, "traffic": 2 / 3})
        for i in range(8)
    ]
    assert len(to_query(many)) < LONGEST
    with pytest.raises(UserError, match="share fewer"):
        to_query([*many, *many, *many, *many])


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("", {}, "1 to 60 characters"),
        ("a" * 61, {}, "1 to 60 characters"),
        ("a:b", {}, "without : , ="),
        ("a\nb", {}, "no name of a scenario"),
        ("x", {"bugdet": 0.8}, "did you mean budget"),
        ("x", {"budget": 0.0}, r"budget is 0\.0: it must be in"),
        ("x", {"budget": float("nan")}, "budget is nan"),
        ("x", {"budget": "0.8"}, "must be a number"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    name: str, values: dict[str, float], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        named(MARKET, name, values)


def test_every_problem_of_a_scenario_is_told_at_once() -> None:
    with pytest.raises(UserError) as refused:
        named(MARKET, "a=b", {"bugdet": 1, "prize": 2})
    assert str(refused.value).count("\n") == 3


@pytest.mark.parametrize("text", ["budget=0.8", "Lean: budget", "Lean: budget=much"])
def test_text_that_is_no_scenario_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="Name: knob=factor"):
        parsed(MARKET, text)


def test_scenarios_beside_each_other_have_names_of_their_own() -> None:
    with pytest.raises(UserError, match="two scenarios are called Today"):
        several([TODAY, TODAY])
    with pytest.raises(UserError, match="0 given"):
        several([])
    with pytest.raises(UserError, match="9 given"):
        several([Named(str(i), {}) for i in range(9)])


def test_a_card_without_described_knobs_is_asked_all_the_same() -> None:
    assert built(DECISION, parsed(DECISION, "Keen: response=1.5")).response == 1.5
