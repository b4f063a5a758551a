"""The finite generator's published values, and the dynamic program against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from envs.sequencing import DECISION
from envs.sequencing.dynamic_program import Program, program
from envs.sequencing.generator import true_tables
from envs.sequencing.oracle import (
    backward_induction,
    policy_value,
    uncontacted,
    value_iteration,
)
from envs.sequencing.tables import checked
from envs.sequencing.terminal import terminal_grid
from ppo_marketing.evaluation import play
from tests.support.sequencing import MENU, random_tables, random_world, successors

TABLES = true_tables()
MODEL = program(TABLES, 0, 0.99, TABLES.contact_cost)


def from_the_start(value: Any) -> float:
    r, f, *_ = TABLES.start.T
    return float(TABLES.start_weight[0] @ value[r, f, 0, 0, 1, 0])


def of_policy(policy: Callable[..., Any]) -> float:
    r, f, g, _, s, _ = np.indices(MODEL.shape)
    action = np.where(s == 1, policy(r, f, g), 0)
    return from_the_start(policy_value(MODEL, action))


def test_the_generator_has_520_states() -> None:
    assert MODEL.states == 520


@pytest.mark.parametrize(
    ("policy", "published"),
    [
        (lambda r, f, g: 0 * r, 28.21),
        (lambda r, f, g: 0 * r + 1, 26.17),
        (lambda r, f, g: 0 * r + 2, 24.28),
        (lambda r, f, g: np.where(r <= 4, 1, np.where(f >= 2, 2, 0)), 27.93),
        (lambda r, f, g: np.where(g == 0, 1, 0), 31.68),
        (lambda r, f, g: np.where(g == 0, 2, 0), 34.05),
    ],
    ids=["never", "always e-mail", "always coupon", "RFM", "cadence e-mail", "cadence coupon"],
)
def test_policies_are_worth_what_was_published(
    policy: Callable[..., Any], published: float
) -> None:
    assert of_policy(policy) == pytest.approx(published, abs=0.005)


def test_one_step_uplift_and_the_optimum_are_worth_what_was_published() -> None:
    greedy = MODEL.q(np.zeros(MODEL.shape)).argmax(axis=0)
    assert from_the_start(policy_value(MODEL, greedy)) == pytest.approx(28.23, abs=0.005)
    value, policy = value_iteration(MODEL)
    assert 36.375 <= from_the_start(value) <= 36.395
    np.testing.assert_allclose(policy_value(MODEL, policy), value, atol=1e-6)


def test_the_optimum_contacts_as_often_as_was_published() -> None:
    _, policy = value_iteration(MODEL)
    a_year = replace(DECISION.sample_settings(), horizon_weeks=52)
    world: Any = DECISION.true_world("default", 20_000, a_year, np.random.default_rng(0))
    kpis = play(_Table(policy, world.program(0)), world, 20_000, 0, "policy").kpis
    assert kpis["purchases"].mean() == pytest.approx(1.12, abs=0.04)
    assert kpis["contacts"].mean() == pytest.approx(23 + 4, abs=1)


class _Table:
    """A policy table as an actor."""

    name = "table"

    def __init__(self, action: Any, model: Program) -> None:
        self.action, self.model = action, model

    def arena(self, world: Any, rng: Any) -> Any:
        return world

    def control(self, world: Any, state: Any, rng: Any) -> Any:
        return self.action[self.model.index(state)]


@pytest.mark.parametrize("seed", range(3))
def test_a_backup_is_the_sum_over_every_successor(seed: int) -> None:
    tables = random_tables(seed)
    model = program(tables, 0, 0.9, tables.contact_cost, unsubscribe_cost=0.4)
    value = np.random.default_rng(seed).normal(size=model.shape)
    q = model.q(value)
    rng = np.random.default_rng(7)
    levels = model.levels
    for _ in range(150):
        place = tuple(int(rng.integers(size)) for size in model.shape)
        r, f, *rest = place
        g, s = tuple(rest[:3]), tuple(levels[c][rest[3 + c]] for c in range(3))
        for action in range(5):
            used = int(tables.channel[action])
            if used >= 0 and not s[used]:
                assert q[(action, *place)] == -np.inf
                continue
            expected = -tables.contact_cost[action]
            if used >= 0:
                expected -= 0.4 * tables.unsubscribe[0, action, g[used]]
            for chance, to, bought in successors(tables, r, f, g, s, action):
                paid = tables.margin[0, r, f] - tables.offer_cost[action] if bought else 0.0
                at = (*to[:5], *(levels[c].index(to[5 + c]) for c in range(3)))
                expected += chance * (paid + 0.9 * value[at])
            assert q[(action, *place)] == pytest.approx(expected, abs=1e-10)


def test_backward_induction_from_the_optimum_stays_there() -> None:
    value, _ = value_iteration(MODEL)
    every = np.ones((30, 4), np.bool_)
    np.testing.assert_allclose(backward_induction(MODEL, value, every), value, atol=1e-6)


def test_weeks_without_any_action_are_those_uncontacted() -> None:
    nothing = np.zeros((52, 4), np.bool_)
    nothing[:, 0] = True
    induced = backward_induction(MODEL, np.zeros(MODEL.shape), nothing)
    np.testing.assert_allclose(induced[..., 0, :][..., 0], uncontacted(MODEL, 52))


def test_a_policy_without_consent_is_refused() -> None:
    with pytest.raises(ValueError, match="without their consent"):
        policy_value(MODEL, np.ones(MODEL.shape, np.int64))


@pytest.mark.parametrize("delays", [1, 3])
@pytest.mark.parametrize("end", ["terminal value", "truncated", "nothing"])
def test_the_optimal_policy_earns_its_ceiling_in_the_compiled_world(end: str, delays: int) -> None:
    cost = 1.5 if end == "nothing" else 0.0
    world = random_world(
        4, 40_000, members=1, delays=delays, end=end, unsubscribe_cost=cost, terminal_weeks=6,
        quiet_weeks=(3, 4), channel_prices={"sms": 0.2}, discount=0.95,
    )  # fmt: skip
    model = world.program(0)
    allowed = np.ones((world.horizon, 5), np.bool_)
    allowed[3:5, 1:] = False
    value = terminal_grid(world.terms.terminal, model, 0)
    policies = []
    for now in allowed[::-1]:
        q = model.q(value, allowed=now)
        policies.append(q.argmax(axis=0))
        value = q.max(axis=0)
    state = world.initial(world.episodes, np.random.default_rng(0))
    ceiling = world.ceiling(state)
    np.testing.assert_allclose(ceiling, value[model.index(state)])
    earned, rewards = np.zeros(world.episodes), np.zeros(world.episodes)
    for t, policy in enumerate(policies[::-1]):
        outcome = world.step(state, policy[model.index(state)], np.random.default_rng(0))
        earned += outcome.kpis["value"]
        rewards += 0.95**t * outcome.reward * world.terms.reference
        state = outcome.state
    error = (earned - ceiling).std() / np.sqrt(world.episodes)
    assert abs((earned - ceiling).mean()) < 4 * error
    if end != "truncated":
        np.testing.assert_allclose(rewards, earned, atol=1e-9)


def test_tables_that_describe_nobody_are_refused_with_every_reason() -> None:
    broken = TABLES._replace(
        unsubscribe=TABLES.unsubscribe + 2.0,
        maturity=np.full((1, len(TABLES.channel), 1), 0.5),
        contact_cost=TABLES.contact_cost + 1.0,
        start=TABLES.start + 20,
    )
    with pytest.raises(ValueError, match="chances are in") as refusal:
        checked(broken)
    for reason in ("maturity does not sum", "contact_cost of action 0", "start leaves"):
        assert reason in str(refusal.value)


def test_the_menu_names_its_actions() -> None:
    assert MENU.labels == ("none", "email", "email+coupon", "sms", "letter+coupon")
    assert MENU.channel.tolist() == [-1, 0, 0, 1, 2]


def test_too_many_states_for_a_linear_solve_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.sequencing.oracle.LARGEST_SOLVED", 519)
    with pytest.raises(ValueError, match="520 states are too many"):
        policy_value(MODEL, np.zeros(MODEL.shape, np.int64))


def test_the_best_of_all_actions_is_the_largest_q() -> None:
    model = program(random_tables(5), 0, 0.95, TABLES.contact_cost[[0, 1, 1, 1, 1]])
    value = np.random.default_rng(0).normal(size=model.shape)
    allowed = np.array([True, False, True, True, False])
    q = model.q(value, allowed=allowed)
    np.testing.assert_array_equal(model.best(value, allowed), q.max(axis=0))
    np.testing.assert_array_equal(model.alone(value), q[0])
