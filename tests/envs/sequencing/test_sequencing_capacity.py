"""Shared budgets: prices by dual ascent, and the cut at capacity."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from envs.sequencing.capacity import ascended, budget_prices, within_capacity
from envs.sequencing.dynamic_program import program
from envs.sequencing.generator import true_tables
from envs.sequencing.oracle import policy_value, value_iteration

CHANNEL = np.array([-1, 0, 0, 1])


def test_prices_rise_with_overuse_fall_with_slack_and_never_pay_for_contacts() -> None:
    price = ascended(
        np.array([1.0, 1.0, 0.1]), np.array([20.0, 5.0, 0.0]), np.array([10.0, 10.0, 10.0]), 0.5
    )
    np.testing.assert_allclose(price, [1.5, 0.75, 0.0])


def test_the_price_of_a_budget_makes_the_optimal_policy_use_just_that_much() -> None:
    tables = true_tables()

    def used(price: Any) -> Any:
        """Discounted contacts by channel of the policy that is optimal at these prices."""
        full = tables.contact_cost + np.where(CHANNEL >= 0, price[CHANNEL], 0.0)
        model = program(tables, 0, 0.9, full)
        _, policy = value_iteration(model, tolerance=1e-3)
        r, f, *_ = tables.start.T
        # What the policy pays a contact more when a channel's price is 1 is what it uses of it.
        totals = []
        for c in range(2):
            unit = np.where(c == CHANNEL, 1.0, 0.0)
            difference = policy_value(model, policy) - policy_value(
                program(tables, 0, 0.9, full + unit), policy
            )
            totals.append(float(tables.start_weight[0] @ difference[r, f, 0, 0, 1, 0]))
        return np.array(totals)

    free = used(np.zeros(2))
    capacity = free * np.array([0.5, 2.0])
    price = budget_prices(used, capacity, step=0.2, rounds=12)
    assert price[0] > 0.05
    assert price[1] == 0.0, "what is not scarce is free"
    below, above = used(price * 0.8)[0], used(price * 1.25)[0]
    assert above <= capacity[0] * 1.02
    assert below >= capacity[0] * 0.98


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12))
def test_the_cut_keeps_capacities_masks_and_the_order_of_advantage(
    seed: int, first: int, second: int
) -> None:
    rng = np.random.default_rng(seed)
    advantage = rng.normal(size=(20, 4))
    advantage[:, 0] = 0.0
    advantage[rng.random((20, 4)) < 0.2] = -np.inf
    capacity = np.array([first, second])
    action = within_capacity(advantage, CHANNEL, capacity)
    worth = np.where(action > 0, advantage[np.arange(20), action], 0.0)
    assert (worth >= 0).all(), "nobody is contacted at a loss or against a mask"
    for c in range(2):
        served = CHANNEL[action] == c
        assert served.sum() <= capacity[c]
        # Nobody outside wanted it more than somebody inside, and no room was left unused.
        wish = np.where(c == CHANNEL, advantage, -np.inf).max(axis=1)
        envious = wish > np.maximum(worth, 0.0)
        if served.sum() < capacity[c]:
            assert not envious[~served].any()
        elif served.any():
            assert (wish[~served & envious] <= worth[served].min()).all()


def test_without_scarcity_everybody_gets_the_best() -> None:
    advantage = np.random.default_rng(0).normal(size=(50, 4))
    advantage[:, 0] = 0.0
    action = within_capacity(advantage, CHANNEL, np.array([50, 50]))
    np.testing.assert_array_equal(action, advantage.argmax(axis=1))
