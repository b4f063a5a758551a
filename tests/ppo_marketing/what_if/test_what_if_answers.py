"""What a scenario is said to bring is what it brings: a market whose values are known on paper."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import play
from ppo_marketing.what_if.answers import asked
from ppo_marketing.what_if.curve import spend_curve
from ppo_marketing.what_if.fan import fan
from ppo_marketing.what_if.scenarios import TODAY, Named
from tests.support.fourth_decision.pricing.world import PRICES, PricingSettings, draw_world
from tests.support.pricing_stage import CHANCE, stage, today

HALF = Named("Half as keen", {"response": 0.5})


def test_values_and_changes_are_those_on_paper() -> None:
    first, half = asked(stage(), (TODAY, HALF), others=("one price", "no offer"))
    assert first.value.value == pytest.approx(today())
    assert half.value.value == pytest.approx(today() / 2)
    # Every day is alike: neither values nor their differences vary at all.
    for one, expected in ((first.value, today()), (half.change, -today() / 2)):
        assert one is not None
        assert (one.low, one.high) == pytest.approx((expected, expected))
    assert first.change is None
    assert half.probability_of_gain == 0.0
    assert first.beside["no offer"].value.value == 0.0
    assert first.beside["no offer"].lift.value == pytest.approx(today())
    # At 1.00 an order leaves .50 instead of 2.50.
    assert first.beside["one price"].value.value == pytest.approx(today() / 5)


def test_an_answer_is_what_playing_the_changed_world_gives() -> None:
    one = stage()
    (answer,) = asked(one, (HALF,))
    world = one.world.under(one.decision.scenario_type(response=0.5))
    played = play(one.policy, world, one.episodes, one.seed, "policy")
    for name, amount in played.kpis.items():
        assert answer.kpis[name].value == pytest.approx(float(np.mean(amount))), name
    offers, orders = played.kpis["offers"].sum(), played.kpis["orders"].sum()
    assert answer.ratios["Orders per offer"] == pytest.approx(orders / offers)


@dataclass(frozen=True)
class Guess:
    """Any price for anyone."""

    name: str

    def arena(self, world: Any, rng: Any) -> Any:
        return world

    def control(self, world: Any, state: Any, rng: np.random.Generator) -> Any:
        return rng.integers(0, len(PRICES), len(world.observe(state)))


def test_differences_are_paired_day_by_day_and_draw_by_draw() -> None:
    one = stage()
    unlike = np.stack([np.full((2, len(PRICES)), CHANCE), np.full((2, len(PRICES)), CHANCE / 4)])
    days = draw_world(unlike, one.episodes, PricingSettings(), np.random.default_rng(0))
    guesses = {name: Guess(name) for name in ("a guess", "another guess")}
    varied = replace(one, world=days, others=guesses)
    first, same = asked(varied, (TODAY, Named("The same", {})), others=tuple(guesses))
    assert first.value.high > first.value.low, "days differ"
    assert same.change is not None
    assert same.change.low == same.change.high == 0.0
    assert first.beside["a guess"].value == first.beside["another guess"].value


def test_the_same_question_gets_the_same_answer_and_plain_values() -> None:
    one = stage()
    first, second = (asked(one, (TODAY, HALF)) for _ in range(2))
    assert [a.to_dict() for a in first] == [a.to_dict() for a in second]
    assert json.loads(json.dumps(first[1].to_dict()))["scenario"] == "Half as keen"


def test_a_fan_spreads_over_members_and_rises_step_by_step() -> None:
    found = fan(stage(), TODAY, draws=3)
    assert (found.members, found.draws, found.paths.shape) == (2, 3, (6, 6))
    # One member's customers are half as keen: its three paths end at half.
    np.testing.assert_allclose(sorted(found.paths[:, -1]), [today() / 2] * 3 + [today()] * 3)
    np.testing.assert_allclose(found.bands[2], 0.75 * today() * np.arange(1, 7) / 6)
    np.testing.assert_array_equal(found.x, np.arange(1, 7))
    assert found.along == "step"


def test_a_decision_that_spends_nothing_has_no_curve_of_spend() -> None:
    with pytest.raises(UserError, match="no curve of spend"):
        spend_curve(stage(), TODAY)
