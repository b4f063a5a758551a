"""Trained on a range of budgets, a policy is told the true one; by default nothing is different."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import envs
from envs.bidding.world import BUDGET_LEVELS, BiddingSettings, BiddingWorld, training_settings
from ppo_marketing.what_if.answers import Answer, asked
from ppo_marketing.what_if.scenarios import Named
from ppo_marketing.what_if.stage import stage_of
from tests.support.bidding import CAP, random_days
from tests.support.truth import without_log

TIGHTNESS = 13
"""The observation that says how large the budget is."""


def world_of(settings: BiddingSettings) -> BiddingWorld:
    days = random_days(np.random.default_rng(0), days=3)
    return BiddingWorld.planned(days, days, settings)


def usual(**given: Any) -> BiddingSettings:
    return BiddingSettings(bid_cap_cpm=CAP * 1000, **given)


@pytest.mark.parametrize("money", [{"tightness": (0.2,)}, {"budget": 3.0}])
def test_training_draws_budgets_evenly_in_the_log_and_judging_has_the_budget_itself(
    money: dict[str, Any],
) -> None:
    settings = usual(budget_range=(0.5, 2.0), **money)
    (budget,) = world_of(settings).terms.budget
    practised = world_of(training_settings(settings))
    levels = practised.terms.budget
    assert len(levels) == BUDGET_LEVELS
    np.testing.assert_allclose(np.diff(np.log(levels / budget)), np.log(4) / (BUDGET_LEVELS - 1))
    assert (levels[0], levels[-1]) == pytest.approx((budget / 2, 2 * budget))
    assert budget in levels
    drawn = practised.initial(900, np.random.default_rng(1)).level
    assert set(np.bincount(drawn, minlength=BUDGET_LEVELS) > 60) == {True}


def test_a_range_to_one_side_holds_the_budget_itself_too() -> None:
    for span in ((0.25, 1.0), (1.0, 3.0), (0.8, 3.0)):
        factors = training_settings(usual(budget_range=span)).budget_factors
        assert (factors[0], factors[-1]) == span
        assert 1.0 in factors


def test_without_a_range_training_is_what_it_was() -> None:
    settings = usual(tightness=(0.1, 0.2))
    before, practised = world_of(settings), world_of(training_settings(settings))
    for one, other in zip(before.terms, practised.terms, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("span", [(0.0, 2.0), (1.5, 2.0), (0.5, 0.9), (0.5,), (2.0, 0.5)])
def test_a_range_without_the_budget_itself_is_refused(span: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"budget_range is .* such as"):
        usual(budget_range=span)


class Listening:
    """Bids as the rule does, and remembers which budgets it was shown."""

    def __init__(self) -> None:
        self.shown: set[float] = set()

    def act(self, observation: Any, rng: Any, mask: Any = None, **_: Any) -> Any:
        self.shown |= set(np.round(observation[:, TIGHTNESS].astype(float), 4).tolist())
        return np.zeros((len(observation), 1), np.float32)

    def log_prob(self, observation: Any, action: Any, mask: Any = None) -> Any:
        raise NotImplementedError


class SmallMarket:
    """Days of a few auctions in the place of a calibration."""

    def training_world(self, episodes: int, settings: Any, rng: np.random.Generator) -> Any:
        history = random_days(np.random.default_rng(0), days=3)
        return BiddingWorld.planned(random_days(rng, days=episodes, per_slot=4), history, settings)

    judging_world = training_world


@cache
def half_the_budget(*span: float) -> tuple[Answer, set[float]]:
    """The answer to half the budget, and the budgets that the policy was shown in it."""
    market: Any = SmallMarket()
    decision, policy = without_log(envs.load_decision("bidding")), Listening()
    settings = usual(budget_range=span)
    stage = stage_of(decision, market, settings, policy, (), seed=3, episodes=60)
    policy.shown.clear()
    (answer,) = asked(stage, (Named("Half", {"budget": 0.5}),))
    return answer, policy.shown


def test_a_policy_trained_on_the_range_is_told_the_true_budget() -> None:
    nominal = np.log(0.125)
    answer, shown = half_the_budget(0.5, 2.0)
    assert shown == {round((nominal + np.log(0.5)) / 2, 4)}
    assert "Daily budget" not in answer.surroundings.warning


def test_a_policy_trained_on_one_budget_is_shown_the_one_it_knows_and_that_is_said() -> None:
    answer, shown = half_the_budget(1.0, 1.0)
    assert shown == {round(np.log(0.125) / 2, 4)}
    assert "Daily budget never varied in training" in answer.surroundings.warning
