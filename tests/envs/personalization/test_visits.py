from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.core.vector import WorldVectorEnv
from envs.personalization import model
from envs.personalization.best_slate import best_slate_value
from envs.personalization.generator import Preset, truth_of
from envs.personalization.model import LoggedRows, mean_probability, sigmoid
from envs.personalization.rules import BestFixed, Uniform
from envs.personalization.scenario import PersonalizationScenario, seasonal_weight
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.world import PersonalizationWorld
from ppo_marketing.evaluation import play
from tests.support.personalization import no_rows, small_visits

STEPS = 1_000_000


def chance_by_hand(world: PersonalizationWorld, visit: int, item: int, slot: int) -> float:
    """q as MODELLING 4.1 writes it, one number at a time."""
    k = int(world.member[visit])
    logit = world.model.bias[k, item] + world.model.position[k, slot]
    for x, v in zip(world.contexts.x[visit], world.model.vector[k, item], strict=True):
        logit += float(x) * float(v)
    return float(1 / (1 + np.exp(-logit)))


def test_a_page_pays_the_expected_reward_of_every_item_on_its_position() -> None:
    world, rng = small_visits(slots=3), np.random.default_rng(1)
    state = world.initial(40, rng)
    for slot, item in enumerate((4, 0, 2)):
        outcome = world.step(state, np.full(40, item), rng)
        expected = [chance_by_hand(world, int(v), item, slot) for v in state.visit]
        np.testing.assert_allclose(outcome.kpis["value"], expected)
        np.testing.assert_allclose(outcome.reward * world.reference, expected)
        state = outcome.state
    assert outcome.terminated.all()
    assert not outcome.truncated.any()


def test_realised_clicks_confirm_the_expected_value() -> None:
    world = small_visits(visitors=200)
    totals = play(Uniform(), world, 100_000, 0, "rule").kpis
    sd = np.sqrt(totals["value"].sum())
    assert totals["clicks"].sum() == pytest.approx(totals["value"].sum(), abs=4 * sd)


def test_a_full_page_earns_nothing_more_and_stays_as_it_is() -> None:
    world, rng = small_visits(), np.random.default_rng(0)
    done = world.step(world.initial(5, rng), np.zeros(5, int), rng).state
    again = world.step(done, np.ones(5, int), rng)
    assert all((amount == 0).all() for amount in again.kpis.values())
    assert (again.reward == 0).all()
    for before, after in zip(done, again.state, strict=True):
        np.testing.assert_array_equal(before, after)


@settings(deadline=None)
@given(
    items=st.integers(2, 5),
    slots=st.integers(1, 3),
    centre=st.sampled_from([-4.0, 0.0, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_the_best_page_is_that_of_trying_every_page(
    items: int, slots: int, centre: float, seed: int
) -> None:
    slots = min(slots, items)
    rng = np.random.default_rng(seed)
    logit = centre + 2 * rng.standard_normal((3, items))
    effect = np.column_stack([np.zeros(3), rng.normal(-0.5, 1.0, (3, slots - 1))])
    first = rng.integers(0, slots, 3).astype(np.int32)
    found = best_slate_value(logit, effect, first)
    for row in range(3):
        positions = range(first[row], slots)
        best = max(
            sum(
                float(sigmoid(logit[row, a] + effect[row, p]))
                for a, p in zip(page, positions, strict=True)
            )
            for page in permutations(range(items), len(positions))
        )
        assert found[row] == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("share", [None, 0.5])
def test_no_page_earns_more_than_the_ceiling_and_the_best_page_earns_it(
    slots: int, share: float | None
) -> None:
    world = small_visits(slots=slots, share_eligible=share)
    start = world.initial(40, np.random.default_rng([0, 0]))
    ceiling = world.ceiling(start)
    for seed in range(20):
        rng = np.random.default_rng([seed, 1])
        state, value = start, np.zeros(40)
        for _ in range(slots):
            outcome = world.step(state, Uniform().control(world, state, rng), rng)
            state, value = outcome.state, value + outcome.kpis["value"]
        assert (value <= ceiling + 1e-12).all()
    # Greedy by logit is optimal here, since every rate is below one half.
    state, value = start, np.zeros(40)
    for _ in range(slots):
        k = world.member[state.visit]
        logit = world.model.bias[k] + np.einsum(
            "nd,nad->na", world.contexts.x[state.visit], world.model.vector[k]
        )
        mask = world.action_mask(state)
        item = np.where(True if mask is None else mask, logit, -np.inf).argmax(axis=1)
        outcome = world.step(state, item, np.random.default_rng(0))
        state, value = outcome.state, value + outcome.kpis["value"]
    np.testing.assert_allclose(value, ceiling, rtol=1e-9)


class Adversary:
    """Wants the items that are forbidden, wherever there is one."""

    name = "adversary"

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def action(self, mask: Any, items: int, n: int) -> Any:
        """A forbidden item of every copy, any item where all are allowed."""
        wish = self.rng.random((n, items))
        return (wish if mask is None else wish - 10.0 * mask).argmax(axis=1)


def test_in_a_million_adversarial_and_random_steps_no_forbidden_item_is_shown() -> None:
    world = small_visits(slots=3, share_eligible=0.4, visitors=500)
    rng = np.random.default_rng(0)
    adversary, copies, forbidden, replaced = Adversary(rng), 5000, 0, 0
    state = world.initial(copies, rng)
    for step in range(STEPS // copies):
        mask = world.action_mask(state)
        assert mask is not None
        random = rng.integers(0, 6, copies)
        action = adversary.action(mask, 6, copies) if step % 2 else random
        item = world.control(state, action)
        replaced += int((item != action).sum())
        eligible = world.contexts.eligible
        assert eligible is not None
        forbidden += int((~eligible[state.visit, item]).sum())
        forbidden += int(state.shown[np.arange(copies), item].sum())
        state = world.step(state, item, rng).state
        if (step + 1) % 3 == 0:
            state = world.initial(copies, rng)
    assert forbidden == 0
    assert replaced > STEPS / 4, "the adversary did ask for forbidden items"


def test_a_control_that_shows_a_forbidden_item_is_refused() -> None:
    world = small_visits(slots=2)
    rng = np.random.default_rng(0)
    state = world.step(world.initial(3, rng), np.array([1, 2, 3]), rng).state
    with pytest.raises(ValueError, match=r"1 of 3 controls .* \(first: item 2 in copy 1\)"):
        world.step(state, np.array([0, 2, 0]), rng)


def test_a_page_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 7 eligible items"):
        small_visits(slots=7)


def test_members_are_drawn_in_equal_shares_and_pessimism_charges_their_disagreement() -> None:
    plain, wary = small_visits(visitors=40), small_visits(visitors=40, pessimism=2.0)
    assert np.bincount(plain.member).tolist() == [20, 20]
    state = plain.initial(40, np.random.default_rng(0))
    item = np.arange(40) % 6
    one, other = (w.step(state, item, np.random.default_rng(0)) for w in (plain, wary))
    logit = plain.model.bias[:, item] + np.einsum(
        "nd,knd->kn", plain.contexts.x[state.visit], plain.model.vector[:, item]
    )
    np.testing.assert_allclose(
        (one.reward - other.reward) * plain.reference, 2.0 * sigmoid(logit).std(axis=0)
    )
    np.testing.assert_array_equal(one.kpis["value"], other.kpis["value"])


def test_where_items_compete_pessimism_charges_what_an_item_adds_to_its_page() -> None:
    plain, wary = (
        small_visits(visitors=40, slots=2, one_choice=True, pessimism=beta) for beta in (0.0, 2.0)
    )
    first, second = np.arange(40) % 6, (np.arange(40) + 1) % 6
    rng = np.random.default_rng(0)
    state = plain.step(plain.initial(40, rng), first, rng).state
    one, other = (w.step(state, second, np.random.default_rng(0)) for w in (plain, wary))
    x, k = plain.contexts.x[state.visit], plain.member[state.visit]
    taste = np.einsum("nd,knd->kn", x, plain.model.vector[:, second])
    weight = np.exp(plain.model.bias[:, second] + taste + plain.model.position[:, 1:2])
    there = np.exp(
        plain.model.bias[k, first]
        + np.einsum("nd,nd->n", x, plain.model.vector[k, first])
        + plain.model.position[k, 0]
    )
    added = (there + weight) / (1 + there + weight) - there / (1 + there)
    charged = (one.reward - other.reward) * plain.reference
    np.testing.assert_allclose(charged, 2.0 * added.std(axis=0))


def test_scenarios_scale_odds_and_taste() -> None:
    world = small_visits()
    state, item = world.initial(40, np.random.default_rng(0)), np.arange(40) % 6

    def odds(changed: PersonalizationWorld) -> Any:
        value = changed.step(state, item, np.random.default_rng(0)).kpis["value"]
        return value / (1 - value)

    double = world.under(PersonalizationScenario(response=2.0))
    np.testing.assert_allclose(odds(double), 2 * odds(world))
    alike = world.under(PersonalizationScenario(taste=0.0))
    k = world.member[state.visit]
    np.testing.assert_allclose(odds(alike), np.exp(world.model.bias[k, item]))
    with pytest.raises(ValueError, match="response is 0"):
        PersonalizationScenario(response=0.0)


def test_another_mix_brings_those_who_respond_more_readily_more_often() -> None:
    world = small_visits(visitors=4000)
    q = mean_probability(world.model, world.contexts.x).mean(axis=1)
    relative = q / q.mean()
    keen = world.under(PersonalizationScenario(mix=2.0))
    assert keen.episodes == world.episodes
    arrived = mean_probability(keen.model, keen.contexts.x).mean(axis=1)
    # Weights proportional to q itself (log2 of 2 is 1): the mean becomes E[q^2] / E[q].
    assert arrived.mean() == pytest.approx((relative * q).mean(), rel=2e-3)
    dull = world.under(PersonalizationScenario(mix=0.5))
    assert mean_probability(dull.model, dull.contexts.x).mean() < q.mean()


DAYS = np.repeat(np.arange(4), [4000, 8000, 12_000, 16_000])


def seasonal_world() -> PersonalizationWorld:
    """Visits of four days; beyond what the model says, odds rise with the root of the traffic."""
    world = small_visits(visitors=len(DAYS))
    traffic = np.bincount(DAYS) / np.bincount(DAYS).mean()
    item = (np.arange(len(DAYS)) % 6).astype(np.int32)
    first = np.zeros(len(DAYS), np.int32)
    logit = model.mean_logit(world.model, world.contexts.x, item, first)
    ones = np.ones(len(DAYS))
    # Rewards are the expectations themselves: nothing is left to chance.
    reward = sigmoid(logit + 0.5 * np.log(traffic[DAYS]))
    logged = LoggedRows(
        world.contexts.x, item, first, ones / 6, reward, ones, None, DAYS.astype(np.int32)
    )
    contexts = world.contexts._replace(traffic=traffic[DAYS])
    return replace(world, history=logged, contexts=contexts)


def test_a_season_brings_who_came_on_such_days_and_how_readily_they_responded() -> None:
    world = seasonal_world()
    busy, now = world.under(PersonalizationScenario(season=1.2)), world.contexts.traffic
    assert now is not None
    assert busy.contexts.traffic is not None
    assert busy.contexts.traffic.mean() == pytest.approx(1.2 * now.mean(), rel=1e-3)
    known = {tuple(row) for row in world.contexts.x.tolist()}
    assert {tuple(row) for row in busy.contexts.x[:500].tolist()} <= known
    # One Newton step of days that differ by up to half a logit: near the root, not on it.
    assert np.exp(busy.model.bias - world.model.bias) == pytest.approx(np.sqrt(1.2), rel=0.02)
    stayed = (busy.contexts.x == world.contexts.x).all(axis=1).mean()
    weight = seasonal_weight(now, 1.2) / seasonal_weight(now, 1.2).mean()
    assert stayed == pytest.approx(np.minimum(weight, 1).mean(), abs=0.01), (
        "nobody moves needlessly"
    )
    quiet = world.under(PersonalizationScenario(season=0.8)).contexts.traffic
    assert quiet is not None
    assert quiet.mean() == pytest.approx(0.8 * now.mean(), rel=1e-3)


def test_a_season_that_no_mix_of_the_days_has_is_the_extreme_day_and_said_to_be_beyond() -> None:
    world = seasonal_world()
    beyond = world.under(PersonalizationScenario(season=2.0))
    assert beyond.contexts.traffic is not None
    assert (beyond.contexts.traffic == 1.6).all()
    assert [one.beyond for one in world.remarks(PersonalizationScenario(season=2.0))] == [
        False,
        True,
    ]


def test_a_log_without_days_has_no_season_and_says_so() -> None:
    world = small_visits()
    same = world.under(PersonalizationScenario(season=1.3))
    np.testing.assert_array_equal(same.contexts.x, world.contexts.x)
    np.testing.assert_array_equal(same.model.bias, world.model.bias)
    assert any(one.beyond for one in world.remarks(PersonalizationScenario(season=1.3)))


def test_settings_that_cannot_be_are_refused_together() -> None:
    with pytest.raises(ValueError, match=r"leave_none is 1\.5.*slots is 0.*event_value is -1") as e:
        PersonalizationSettings(leave_none=1.5, slots=0, event_value=-1)
    assert "leave_click" not in str(e.value)


def test_ten_thousand_items_are_played_and_their_ceiling_is_known() -> None:
    truth = truth_of(Preset(items=10_000), seed=4)
    rng = np.random.default_rng(0)
    contexts = truth.contexts(64, rng)
    world = PersonalizationWorld.drawn(
        truth.model, truth.items, contexts, no_rows(truth.model), PersonalizationSettings(), rng
    )
    env = WorldVectorEnv(world, 32)
    env.reset(seed=0)
    _, reward, terminated, *_ = env.step(rng.integers(0, 10_000, 32))
    assert terminated.all()
    start = world.initial(64, rng)
    assert (world.ceiling(start) > 3 * reward.mean() * world.reference).all()


def test_working_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_visits(slots=2, share_eligible=0.6)
    start = world.initial(40, np.random.default_rng(0))
    rule = BestFixed(value=np.arange(6.0))
    whole = world.ceiling(start), rule.control(world, start, np.random.default_rng(0))
    monkeypatch.setattr(model, "CELLS_AT_ONCE", 20)
    parts = world.ceiling(start), rule.control(world, start, np.random.default_rng(0))
    assert len(model.chunks(40, 6)) == 14
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_environment_takes_the_settings_of_a_page() -> None:
    env: Any = gymnasium.make("marketing/Personalization-v0", days=1, slots=2)
    _, info = env.reset(seed=0)
    assert info["action_mask"].all()
    _, _, terminated, _, info = env.step(7)
    assert not terminated
    assert info["action_mask"][7] == 0
    assert env.step(3)[2]
    with pytest.raises(ValueError, match="PersonalizationSession-v0 for sessions"):
        gymnasium.make("marketing/Personalization-v0", preset="sessions")
