"""Shared budgets end to end: a price is found, contacts meet it, and no week exceeds it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from envs.sequencing import DECISION
from envs.sequencing.budgets import priced
from envs.sequencing.env import make_world
from envs.sequencing.generator import MENU, true_tables
from envs.sequencing.oracle import value_iteration
from envs.sequencing.rules import AlwaysContact, OneStepUplift
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.world import SequencingWorld
from ppo_marketing.config import TrainingSection
from ppo_marketing.pipeline import learning
from ppo_marketing.policy import PolicyActor

YEAR: dict[str, Any] = {
    "horizon_weeks": 52,
    "end": "terminal value",
    "terminal_weeks": 52,
    "caps": {},
}
EMAIL = 0.1


@pytest.fixture(scope="module")
def world() -> SequencingWorld:
    return make_world(days=3000, channel_budgets={"email": EMAIL}, **YEAR)


def weekly(world: SequencingWorld, actor: Any) -> np.ndarray:
    """Contacts a customer by week and channel, `[T, C]`."""
    rng = np.random.default_rng(0)
    state = world.starting(np.arange(world.episodes))
    made = []
    for _ in range(world.horizon):
        state = world.step(state, actor.control(world, state, rng), rng).state
        made.append((state.contacts & np.uint64(1)).mean(axis=0))
    return np.array(made)


def test_the_price_makes_the_optimal_policy_use_just_the_budget_without_a_cut(
    world: SequencingWorld,
) -> None:
    assert world.settings.channel_prices["email"] > 0.1
    use = {}
    for name, price in (("free", {}), ("priced", world.settings.channel_prices)):
        uncut = make_world(days=3000, channel_prices=price, **YEAR)
        model = uncut.program(0)
        _, policy = value_iteration(model, tolerance=1e-3)
        state = uncut.starting(np.arange(3000))
        made = []
        for _ in range(52):
            state = uncut.step(state, policy[model.index(state)], np.random.default_rng(0)).state
            made.append((state.contacts[:, 0] & np.uint64(1)).mean())
        use[name] = float(np.mean(made))
    assert use["free"] > 2 * EMAIL
    assert use["priced"] == pytest.approx(EMAIL, rel=0.2)


def test_what_is_not_scarce_is_free_and_a_given_price_is_kept() -> None:
    tables = true_tables()
    settings = SequencingSettings(**YEAR, channel_budgets={"email": 1.0})
    assert priced(MENU, tables, settings).channel_prices == {"email": 0.0}
    given = replace(settings, channel_budgets={"email": 0.01}, channel_prices={"email": 0.3})
    assert priced(MENU, tables, given) == given


def test_no_week_holds_more_contacts_than_the_budget_whoever_asks(world: SequencingWorld) -> None:
    made = weekly(world, AlwaysContact(action=1))
    assert made[:, 0].max() <= EMAIL
    assert made[:, 0].mean() > 0.9 * EMAIL, "what there is is given out"
    letters = weekly(world, AlwaysContact(action=3))
    assert letters[:, 1].min() > 0.99, "a channel without a budget is not cut"


def test_the_last_contacts_go_to_those_who_gain_most(world: SequencingWorld) -> None:
    state = world.starting(np.arange(3000))
    after = world.step(state, np.full(3000, 2), np.random.default_rng(0)).state
    mailed = (after.contacts[:, 0] & np.uint64(1)).astype(bool)
    rule = OneStepUplift().tuned(world, np.random.default_rng(0))
    assert mailed.sum() == 300
    assert state.frequency[mailed].mean() > state.frequency[~mailed].mean()
    assert rule.chosen == {"price of email": world.settings.channel_prices["email"]}


def test_a_trained_policy_uses_a_budgeted_channel_and_ends_within_the_budget() -> None:
    budget = {"email": 0.3}
    section = TrainingSection(
        **{**DECISION.run_defaults["training"], "total_steps": 300_000, "validate_every": 1000}
    )
    training, fresh, judged = (
        make_world(days=n, world_seed=seed, channel_budgets=budget, **YEAR)
        for n, seed in ((20_000, 0), (200, 1), (2000, 2))
    )
    agent = learning.learn(DECISION, training, fresh, section, seed=0).agent
    made = weekly(judged, PolicyActor("PPO", agent))
    assert made[:, 0].max() <= 0.3
    assert made[:, 0].mean() > 0.05


@pytest.mark.parametrize("budget", [0.0, -1.0, 1.5])
def test_budgets_that_are_none_are_refused(budget: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1 contact"):
        SequencingSettings(channel_budgets={"email": budget})


def test_a_budget_for_a_channel_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"channel_budgets names 'fax'.*email, letter"):
        make_world(days=2, channel_budgets={"fax": 0.1})


def test_one_customer_alone_is_not_cut_at_a_share_of_many() -> None:
    env = gymnasium.make("marketing/Sequencing-v0", channel_budgets={"email": EMAIL}, **YEAR)
    env.reset(seed=0)
    assert env.step(np.int64(1))[4]["kpis"]["contacts"] == 1.0


def test_what_an_unsubscribe_costs_lowers_the_price_at_which_a_budget_is_met() -> None:
    tables = true_tables()
    free = SequencingSettings(
        horizon_weeks=52, end="nothing", caps={}, channel_budgets={"email": EMAIL}
    )
    costly = replace(free, unsubscribe_cost=1000.0)
    assert priced(MENU, tables, free).channel_prices["email"] > 0.1
    assert priced(MENU, tables, costly).channel_prices == {"email": 0.0}, "nobody wants a contact"
