"""The customer world: hard constraints, common luck, payments, ends, what-ifs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.core.vector import WorldVectorEnv
from envs.sequencing.env import make_world
from envs.sequencing.kernel import bits, uniform
from envs.sequencing.scenario import SequencingScenario
from envs.sequencing.settings import SequencingSettings
from envs.sequencing.terminal import terminal_grid
from envs.sequencing.world import SequencingWorld
from tests.support.sequencing import MENU, random_tables, random_world

CAPS = {"email": (2, 7), "sms": (1, 14), "letter": (1, 28)}


def contacts_made(before: Any, after: Any) -> Any:
    """Which channel each copy was really contacted on in the last step, `[n, C]` bool."""
    return (after.contacts & np.uint64(1)).astype(bool) & (after.step > before.step)[:, None]


def adversary(world: SequencingWorld, state: Any, rng: Any) -> Any:
    """Wants what is forbidden wherever something is."""
    forbidden = ~world.action_mask(state)
    noise = rng.random(forbidden.shape)
    return np.where(forbidden.any(axis=1), (forbidden * noise).argmax(axis=1), noise.argmax(axis=1))


@pytest.mark.parametrize(
    "policy",
    [lambda world, state, rng: rng.integers(0, 5, len(state.step)), adversary],
    ids=["random", "adversarial"],
)
def test_a_million_steps_contact_nobody_against_consent_caps_or_quiet_weeks(
    policy: Callable[..., Any],
) -> None:
    world = random_world(
        1, 20_000, members=3, horizon_weeks=52, caps=CAPS | {"email": (1, 21)},
        quiet_weeks=(10, 11, 51), first_week=40,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    state = world.initial(20_000, rng)
    last = np.full((20_000, 3), -99)
    steps, contacts = 0, 0
    gap = np.array([3, 2, 4])  # weeks between two contacts that the caps leave
    for week in range(52):
        action = policy(world, state, rng)
        allowed = world.action_mask(state)
        outcome = world.step(state, action, rng)
        made = contacts_made(state, outcome.state)
        chosen = allowed[np.arange(len(action)), action]
        assert not made[~chosen].any(), "a masked action was carried out"
        assert not (made & ~state.consent).any(), "a contact without consent"
        assert not (made & (week - last < gap)).any(), "a cap was exceeded"
        if (40 + week) % 52 in (10, 11, 51):
            assert not made.any(), "a contact in a quiet week"
        assert (outcome.state.consent <= state.consent).all(), "consent never comes back"
        np.testing.assert_array_equal(outcome.kpis["contacts"], made.sum(axis=1))
        last[made] = week
        contacts += int(made.sum())
        steps += len(action)
        state = outcome.state
    assert steps >= 1_000_000
    assert contacts > 1000, "the constraints leave something to do"


def test_closed_channels_and_caps_of_nothing_are_never_used() -> None:
    world = random_world(2, closed_channels=("email",), caps={"sms": (0, 7)})
    state = world.initial(64, np.random.default_rng(0))
    allowed = world.action_mask(state)
    assert not allowed[:, 1:4].any()
    np.testing.assert_array_equal(allowed[:, 4], state.consent[:, 2])
    assert allowed[:, 0].all()


def test_masks_and_contacts_hold_through_the_compiled_environment() -> None:
    world = random_world(3, 500, caps=CAPS)
    env = WorldVectorEnv(world, 500)
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    for _ in range(40):
        action = rng.integers(0, 5, 500)
        masked = info["action_mask"][np.arange(500), action] == 0
        *_, info = env.step(action)
        assert info["kpis"]["contacts"][masked].sum() == 0


@pytest.mark.parametrize("end", ["terminal value", "truncated"])
def test_the_compiled_step_equals_the_plain_one(end: str) -> None:
    world = random_world(5, 50, delays=2, end=end, caps=CAPS)
    env = WorldVectorEnv(world, 50)
    env.reset(seed=1)
    state = world.initial(50, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    np.testing.assert_array_equal(env._state.episode, state.episode)
    for week in range(world.horizon):
        action = rng.integers(0, 5, 50)
        outcome = world.step(state, action, rng)
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(reward, outcome.reward)
        np.testing.assert_array_equal(terminated, outcome.terminated)
        np.testing.assert_array_equal(truncated, outcome.truncated)
        for name, amount in outcome.kpis.items():
            np.testing.assert_array_equal(info["kpis"][name], amount)
        state = outcome.state
        last = week + 1 == world.horizon
        shown = info["final_obs"] if last else observation
        np.testing.assert_array_equal(shown, world.observe(state))
    assert (truncated if end == "truncated" else terminated).all()


def test_a_finished_customer_stays_as_it_is_and_earns_nothing() -> None:
    world = random_world(6)
    state = world.initial(64, np.random.default_rng(0))
    for _ in range(world.horizon):
        state = world.step(state, np.ones(64, np.int64), np.random.default_rng(0)).state
    outcome = world.step(state, np.ones(64, np.int64), np.random.default_rng(0))
    assert not outcome.reward.any()
    assert not any(amount.any() for amount in outcome.kpis.values())
    for before, after in zip(state, outcome.state, strict=True):
        np.testing.assert_array_equal(before, after)


def test_every_actor_meets_the_same_luck() -> None:
    world = make_world(days=500)
    rng = np.random.default_rng(0)
    idle = busy = world.starting(np.arange(500))
    same = bought = 0
    for _ in range(52):
        idle_step = world.step(idle, np.zeros(500, np.int64), rng)
        busy_step = world.step(busy, np.ones(500, np.int64), rng)
        both = np.array([idle_step.kpis["purchases"], busy_step.kpis["purchases"]])
        same += int((both.min(axis=0) == 1).sum())
        bought += int(both[0].sum())
        idle, busy = idle_step.state, busy_step.state
    assert same > 0.5 * bought, "most purchases happen with or without e-mails"


def test_luck_is_uniform_and_independent_between_weeks_purposes_and_customers() -> None:
    seeds = np.random.default_rng(0).integers(0, 2**64, 40, np.uint64)
    luck = np.array(
        [[[uniform(seed, t, draw) for draw in range(7)] for t in range(100)] for seed in seeds]
    )
    assert luck.min() >= 0
    assert luck.max() < 1
    counts, _ = np.histogram(luck, bins=20, range=(0, 1))
    expected = luck.size / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # .1 % point of chi2(19)
    for one, other in [
        (luck[:, 1:], luck[:, :-1]), (luck[:, :, 1:], luck[:, :, :-1]), (luck[1:], luck[:-1]),
    ]:  # fmt: skip
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(one.size)


@given(st.integers(0, 2**64 - 1))
def test_bits_counts_ones(word: int) -> None:
    assert bits(np.uint64(word)) == word.bit_count()


def test_delayed_payments_arrive_whole_and_on_maturity() -> None:
    tables = random_tables(7, delays=3)
    tables = tables._replace(maturity=np.tile([0.2, 0.5, 0.3], (1, 5, 1)))
    given = SequencingSettings(
        discount=1.0, horizon_weeks=10, end="nothing", pay="realised", caps={}
    )
    world = SequencingWorld.drawn(MENU, tables, 4000, given, np.random.default_rng(0))
    at_once = SequencingWorld.drawn(
        MENU, tables._replace(maturity=np.ones((1, 5, 1))), 4000, given, np.random.default_rng(0)
    )
    rng = np.random.default_rng(1)
    totals = []
    for one in (world, at_once):
        state = one.starting(np.arange(4000))
        total = np.zeros(4000)
        waiting = 0
        for _ in range(10):
            outcome = one.step(state, np.zeros(4000, np.int64), rng)
            state = outcome.state
            total += outcome.kpis["value"]
            waiting += int(state.pending.sum())
        totals.append(total)
        assert (waiting > 0) == (one is world), "purchases wait only where payment is delayed"
    np.testing.assert_allclose(totals[0], totals[1], atol=1e-9)


def test_expected_and_realised_pay_agree_on_average() -> None:
    common: dict[str, Any] = {"days": 30_000, "horizon_weeks": 20, "world_seed": 3}
    totals = {}
    for pay in ("expected", "realised"):
        world = make_world(pay=pay, **common)
        state = world.starting(np.arange(world.episodes))
        total = np.zeros(world.episodes)
        for _ in range(20):
            outcome = world.step(state, np.full(world.episodes, 2), np.random.default_rng(0))
            state = outcome.state
            total += outcome.kpis["margin"]
        totals[pay] = total
    difference = totals["expected"] - totals["realised"]
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference))
    assert totals["expected"].std() < 0.5 * totals["realised"].std()


def test_pessimism_charges_the_members_disagreement_and_leaves_every_kpi_alone() -> None:
    plain, wary = (random_world(8, members=3, pessimism=beta) for beta in (0.0, 2.0))
    state, tables = plain.starting(np.arange(plain.episodes)), plain.tables
    action = np.where(plain.action_mask(state)[:, 2], 2, 0)  # an e-mail with an offer, or nothing
    r, f, g = state.recency, state.frequency, state.fatigue
    logit = tables.base[:, r, f] + sum(tables.drag[:, c, g[:, c]] for c in range(3))
    dampened = tables.dampening[:, tables.channel[2], g[:, tables.channel[2]]]
    logit = logit + np.where(action == 2, tables.uplift[:, 2, r, f] * dampened, 0.0)
    earned = (tables.margin[:, r, f] - tables.offer_cost[action]) / (1 + np.exp(-logit))
    rng = np.random.default_rng(0)
    hopeful, doubtful = plain.step(state, action, rng), wary.step(state, action, rng)
    charged = (hopeful.reward - doubtful.reward) * plain.terms.reference
    np.testing.assert_allclose(charged, 2.0 * earned.std(axis=0), rtol=1e-9)
    assert (action == 2).any()
    assert (action == 0).any()
    for name, amount in hopeful.kpis.items():
        np.testing.assert_array_equal(amount, doubtful.kpis[name])


def test_the_terminal_value_keeps_the_list_from_being_burnt() -> None:
    final = {}
    for end in ("terminal value", "nothing"):
        world = make_world(days=100, horizon_weeks=8, end=end, terminal_weeks=52)
        model = world.program(0)
        final[end] = model.q(terminal_grid(world.terms.terminal, model, 0)).argmax(axis=0)
    assert (final["nothing"] > 0).sum() > (final["terminal value"] > 0).sum()


def test_observations_say_what_is_known_and_nothing_else() -> None:
    world = make_world(days=2000, horizon_weeks=52, end="terminal value")
    state = world.initial(2000, np.random.default_rng(0))
    for _ in range(5):
        state = world.step(state, np.full(2000, 1), np.random.default_rng(0)).state
    seen = world.observe(state)
    np.testing.assert_array_equal(seen[:, :13].argmax(axis=1), state.recency)
    np.testing.assert_array_equal(seen[:, 13:17].argmax(axis=1), state.frequency)
    np.testing.assert_array_equal(seen[:, 17:22].argmax(axis=1), state.fatigue[:, 0])
    np.testing.assert_array_equal(seen[:, 22], state.consent[:, 0])
    np.testing.assert_allclose(seen[:, -2], 1 - 5 / 52)
    # The same state of another customer, with other luck to come, looks the same.
    moved = state._replace(episode=np.roll(state.episode, 1))
    np.testing.assert_array_equal(world.observe(moved), seen)


def test_starts_follow_their_weights_and_members_take_turns() -> None:
    tables = random_tables(8, members=4)
    world = SequencingWorld.drawn(
        MENU, tables, 8000, SequencingSettings(caps={}), np.random.default_rng(0)
    )
    customers = world.customers
    np.testing.assert_array_equal(np.bincount(customers.member), [2000] * 4)
    for k in range(4):
        share = np.bincount(customers.row[customers.member == k], minlength=12) / 2000
        np.testing.assert_allclose(share, tables.start_weight[k], atol=1 / 1000)


@pytest.mark.parametrize(
    ("knob", "better"),
    [("margin", True), ("demand", True), ("uplift", True), ("contact_cost", False),
     ("fatigue", False), ("unsubscribe", False)],
)  # fmt: skip
def test_each_what_if_moves_the_value_its_way(knob: str, better: bool) -> None:
    world = make_world(days=2000, horizon_weeks=52)

    def cadence_value(one: SequencingWorld) -> float:
        state = one.starting(np.arange(2000))
        total = 0.0
        for _ in range(52):
            action = np.where(state.fatigue[:, 0] == 0, 2, 0)
            outcome = one.step(state, action, np.random.default_rng(0))
            state, total = outcome.state, total + outcome.kpis["value"].mean()
        return total

    changed = world.under(SequencingScenario(**{knob: 2.0}))
    assert (cadence_value(changed) > cadence_value(world)) == better
    ceiling = [one.ceiling(one.starting(np.arange(2000))).mean() for one in (world, changed)]
    assert (ceiling[1] > ceiling[0]) == better


def contacts_under(scenario: SequencingScenario, **settings: Any) -> float:
    """Contacts a customer that a policy makes which wants one in every week."""
    world = random_world(0, 200, **settings).under(scenario)
    state = world.starting(np.arange(200))
    made = 0.0
    for _ in range(world.horizon):
        outcome = world.step(state, np.full(200, 1), np.random.default_rng(0))
        state, made = outcome.state, made + outcome.kpis["contacts"].mean()
    return made


def test_caps_allow_as_many_times_the_contacts_and_none_at_zero() -> None:
    caps = {"email": (1, 14)}
    today = contacts_under(SequencingScenario(), caps=caps)
    assert contacts_under(SequencingScenario(caps=2.0), caps=caps) > 1.3 * today
    assert contacts_under(SequencingScenario(caps=0.0), caps=caps) == 0.0


def test_room_for_contacts_is_never_exceeded() -> None:
    everybody = contacts_under(SequencingScenario())
    few = contacts_under(SequencingScenario(capacity=0.05))
    assert 0 < few <= 0.05 * 12 < everybody
    own = {"channel_budgets": {"email": 0.1}, "channel_prices": {"email": 0.0}}
    assert contacts_under(SequencingScenario(capacity=0.5), **own) <= 0.05 * 12


def test_what_ifs_out_of_range_are_refused_together() -> None:
    with pytest.raises(ValueError, match=r"margin is 0.0.*fatigue is 99"):
        SequencingScenario(margin=0.0, fatigue=99)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"horizon_weeks": 0}, "horizon_weeks is 0"),
        ({"discount": 1.2}, "discount is 1.2"),
        ({"unsubscribe_cost": 3.0}, "counted twice"),
        ({"caps": {"email": (1, 0)}}, "days from 1"),
        ({"quiet_weeks": (52,)}, "weeks of the year are 0 to 51"),
        ({"channel_prices": {"email": -1.0}}, "must be 0 or more"),
        ({"pessimism": -1.0}, "must be 0 or more"),
    ],
)
def test_settings_that_contradict_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SequencingSettings(**wrong)


def test_a_setting_for_a_channel_that_does_not_exist_is_refused_and_defaults_are_not() -> None:
    with pytest.raises(ValueError, match=r"caps names 'fax'.*email, letter"):
        make_world(days=2, caps={"fax": (1, 7)})
    make_world(days=2, caps=SequencingSettings().caps)  # names sms, which the generator lacks


@settings(max_examples=25, deadline=None)
@given(
    contacts=st.integers(0, 3),
    days=st.integers(1, 60),
    seed=st.integers(0, 100),
)
def test_no_window_of_days_ever_holds_more_contacts_than_its_cap(
    contacts: int, days: int, seed: int
) -> None:
    world = random_world(9, 32, horizon_weeks=30, caps={"sms": (contacts, days)})
    rng = np.random.default_rng(seed)
    state = world.initial(32, rng)
    made = []
    for _ in range(30):
        outcome = world.step(state, np.full(32, 3), rng)
        made.append(contacts_made(state, outcome.state)[:, 1])
        state = outcome.state
    at = np.array(made)  # [weeks, n]
    for first in range(30):
        within = [week for week in range(first, 30) if 7 * (week - first) < days]
        assert at[within].sum(axis=0).max() <= contacts


def test_a_world_is_unchanged_by_replaying_it() -> None:
    world = replace(random_world(10))
    state = world.initial(8, np.random.default_rng(0))
    kept = [column.copy() for column in state]
    world.step(state, np.ones(8, np.int64), np.random.default_rng(0))
    for before, after in zip(kept, state, strict=True):
        np.testing.assert_array_equal(before, after)


def test_customers_who_earn_nothing_are_refused_with_what_to_check() -> None:
    tables = random_tables(0)
    with pytest.raises(ValueError, match="value of purchases is their margin"):
        SequencingWorld.drawn(
            MENU,
            tables._replace(margin=0 * tables.margin),
            4,
            SequencingSettings(caps={}),
            np.random.default_rng(0),
        )
