from __future__ import annotations

from itertools import product
from typing import Any

import gymnasium
import numpy as np
import pytest

from envs.personalization import oracle
from envs.personalization.generator import PRESETS, truth_of
from envs.personalization.model import sigmoid
from envs.personalization.oracle import (
    boredom_states,
    by_category,
    ceiling,
    is_exact,
    optimal_values,
    policy_values,
    value_of_choices,
)
from envs.personalization.rules import Uniform
from envs.personalization.scenario import PersonalizationScenario
from envs.personalization.session_world import SessionState, SessionWorld
from envs.personalization.settings import PersonalizationSettings, SessionTerms
from envs.personalization.truth import true_world
from ppo_marketing.evaluation import play
from tests.support.personalization import small_sessions

STEPS = 1_000_000
TRUTH = truth_of(PRESETS["sessions"])
LOGIT = TRUTH.model.bias[0] + TRUTH.model.vector[0].T  # [segment, item]
STATES = boredom_states(3, 2)


def terms_of(**changes: Any) -> SessionTerms:
    return PersonalizationSettings(**changes).session_terms


V_STAR = optimal_values(by_category(LOGIT, TRUTH.items.category), terms_of())[0][:, 0]
"""Of an unbored visitor of each segment, under the settings as they are."""


def mean_value(policy: Any, terms: SessionTerms) -> float:
    """From the start, segments alike, of a policy `[segment, state, item]`."""
    return float(policy_values(LOGIT, TRUTH.items.category, policy, terms)[:, 0].mean())


def always(item: Any) -> Any:
    """The policy of one item a segment, `[3]`."""
    return np.repeat(np.eye(6)[item][:, None], len(STATES.level), axis=1)


def myopic(terms: SessionTerms) -> Any:
    now = LOGIT[:, None] - terms.boredom * STATES.level[:, TRUTH.items.category]
    return np.eye(6)[now.argmax(axis=2)]


def test_value_iteration_and_exact_policies_reproduce_the_published_values() -> None:
    """MODELLING 6.3, C2: .1387, .0992, .1577, .2111, .2740 clicks a session."""
    terms = terms_of(boredom=0.5, leave_boredom=0.01)
    assert len(STATES.level) * 3 == 81
    uniform = np.full((3, 27, 6), 1 / 6)
    fixed = max(mean_value(always([a] * 3), terms) for a in range(6))
    optimal = optimal_values(by_category(LOGIT, TRUTH.items.category), terms)[0][:, 0].mean()
    found = [
        mean_value(uniform, terms),
        fixed,
        mean_value(always(LOGIT.argmax(axis=1)), terms),
        mean_value(myopic(terms), terms),
        optimal,
    ]
    assert [round(value, 4) for value in found] == [0.1387, 0.0992, 0.1577, 0.2111, 0.2740]


def test_without_boredom_myopic_is_optimal() -> None:
    terms = terms_of(boredom=0.0, leave_boredom=0.01)
    optimal = optimal_values(by_category(LOGIT, TRUTH.items.category), terms)[0][:, 0].mean()
    assert round(optimal, 4) == 0.3265
    assert mean_value(myopic(terms), terms) == pytest.approx(optimal, abs=1e-9)


def test_the_optimal_policy_earns_the_optimal_value_and_none_of_a_thousand_others_more() -> None:
    terms, rng = terms_of(), np.random.default_rng(0)
    category = TRUTH.items.category
    value, best = optimal_values(by_category(LOGIT, category), terms)
    top = np.array([[np.flatnonzero(category == c)[0] for c in range(3)]] * 3)
    policy = np.eye(6)[np.take_along_axis(top, best, axis=1)]
    exact = policy_values(LOGIT, category, policy, terms)
    np.testing.assert_allclose(exact, value, atol=1e-9)
    for _ in range(1000):
        other = np.eye(6)[rng.integers(0, 6, (3, 27))]
        assert (policy_values(LOGIT, category, other, terms) <= value + 1e-9).all()


def test_simulated_sessions_agree_with_the_exact_value() -> None:
    world = true_world("sessions", 3000, PersonalizationSettings(), np.random.default_rng(0))
    totals = play(Uniform(), world, 30_000, 0, "rule").kpis
    terms = terms_of(boredom=0.5, leave_boredom=0.01)
    exact = mean_value(np.full((3, 27, 6), 1 / 6), terms)
    for name in ("value", "clicks"):
        error = totals[name].std() / np.sqrt(30_000)
        assert totals[name].mean() == pytest.approx(exact, abs=4 * error), name


def test_carrying_the_law_forward_agrees_with_the_linear_solve() -> None:
    world: Any = true_world("sessions", 30, PersonalizationSettings(), np.random.default_rng(0))
    terms = world.terms
    segment = world.contexts.x.argmax(axis=1)

    def choose(state: SessionState) -> Any:
        now = LOGIT[segment[state.visit]] - terms.boredom * state.boredom[:, world.items.category]
        return now.argmax(axis=1)

    exact = policy_values(LOGIT, TRUTH.items.category, myopic(terms), terms)[:, 0]
    np.testing.assert_allclose(value_of_choices(world, choose), exact[segment], atol=1e-9)


def test_the_ceiling_is_v_star_of_each_visitors_segment() -> None:
    world: Any = true_world("sessions", 60, PersonalizationSettings(), np.random.default_rng(0))
    start = world.initial(60, np.random.default_rng(1))
    np.testing.assert_allclose(
        ceiling(world, start), V_STAR[world.contexts.x[start.visit].argmax(axis=1)]
    )


def test_the_ceiling_is_v_star_however_many_visitors_there_are_of_a_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three segments of 27 states and three categories each: 243 cells, for any number."""
    few: Any = true_world("sessions", 60, PersonalizationSettings(), np.random.default_rng(0))
    many: Any = true_world("sessions", 5_000, PersonalizationSettings(), np.random.default_rng(0))
    monkeypatch.setattr(oracle, "MOST_CELLS", 243)
    for world in (few, many):
        start = world.initial(world.episodes, np.random.default_rng(1))
        assert set(ceiling(world, start).round(9)) == set(V_STAR.round(9))
    monkeypatch.setattr(oracle, "MOST_CELLS", 242)
    start = few.initial(60, np.random.default_rng(1))
    assert (ceiling(few, start) > V_STAR.max()).any()


@pytest.mark.parametrize(
    "changes",
    [{"slots": 2}, {"days": 3, "return_intercept": 0.5, "return_satisfaction": 1.0}],
)
def test_where_the_ceiling_is_a_bound_nobody_comes_near_it(changes: dict[str, Any]) -> None:
    world = small_sessions(visitors=200, **changes)
    assert not is_exact(world, 1)
    start = world.initial(200, np.random.default_rng([0, 0]))
    assert (
        play(Uniform(), world, 200, 0, "rule").kpis["value"].mean() < ceiling(world, start).mean()
    )


def test_categories_without_an_eligible_item_are_never_counted_on() -> None:
    terms = terms_of()
    whole = optimal_values(np.array([[-2.0, -3.0]]), terms)[0]
    alone = optimal_values(np.array([[-2.0, -np.inf]]), terms)[0]
    assert np.isfinite(alone).all()
    assert alone[0, 0] < whole[0, 0]


def follow(
    world: SessionWorld, visit: int, pages: list[list[int]], luck: np.ndarray[Any, Any]
) -> list[tuple[float, bool, list[int], bool]]:
    """One visitor by plain Python: (p(click), clicked, boredom after, gone) of every item."""
    terms, category = world.terms, world.items.category
    k, x = int(world.member[visit]), world.contexts.x[visit].astype(float)
    boredom, seen, exposure, day = [0] * world.items.categories, [], 0.0, 0
    draws = iter(luck)
    for page in pages:
        clicks, bored, gone = 0, 0.0, False
        for slot, a in enumerate(page):
            logit = world.model.bias[k, a] + float(x @ world.model.vector[k, a])
            logit += world.model.position[k, slot]
            p = 1 / (1 + np.exp(-(logit - terms.boredom * boredom[category[a]])))
            click, leave, back = next(draws)
            clicked = bool(click < p)
            clicks += clicked
            bored += boredom[category[a]] / len(page)
            exposure = terms.satisfaction_memory * exposure - 2 * (world.items.clickbait[a] - 0.5)
            if slot == len(page) - 1:
                shown = {int(category[b]) for b in page}
                for c in range(len(boredom)):
                    moved = boredom[c] + (1 if c in shown else -1)
                    boredom[c] = min(max(moved, 0), terms.boredom_levels)
                quit_ = terms.leave_click if clicks else terms.leave_none
                quit_ += 0.0 if clicks else terms.leave_boredom * bored
                satisfied = 1 / (1 + np.exp(-exposure))
                returning = 1 / (
                    1 + np.exp(-(terms.return_intercept + terms.return_satisfaction * satisfied))
                )
                if leave < quit_:
                    if day + 1 < terms.days and back < returning:
                        day, boredom = day + 1, [0] * len(boredom)
                    else:
                        gone = True
            seen.append((float(p), clicked, list(boredom), gone))
        if gone:
            break
    return seen


class Scripted:
    """A generator that replays given uniforms, three a step."""

    def __init__(self, luck: np.ndarray[Any, Any]) -> None:
        self.luck, self.at = luck, 0

    def random(self, shape: tuple[int, int]) -> Any:
        self.at += 1
        return np.tile(self.luck[self.at - 1][:, None], (1, shape[1]))


@pytest.mark.parametrize("seed", range(6))
def test_sessions_follow_the_written_dynamics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slots = 1 + seed % 2
    world = small_sessions(
        slots=slots, days=3, return_intercept=0.3, return_satisfaction=0.8, leave_boredom=0.05
    )
    pages = [rng.permutation(6)[:slots].tolist() for _ in range(20)]
    luck = rng.random((20 * slots, 3))
    visit = int(world.initial(1, np.random.default_rng(seed)).visit[0])
    expected = follow(world, visit, pages, luck)
    state, script = world.initial(1, np.random.default_rng(seed)), Scripted(luck)
    items = [a for page in pages for a in page]
    for item, (p, clicked, boredom, gone) in zip(items, expected, strict=False):
        outcome = world.step(state, np.array([item]), script)  # type: ignore[arg-type]
        state = outcome.state
        assert outcome.kpis["value"][0] == pytest.approx(p)
        assert bool(outcome.kpis["clicks"][0]) == clicked
        assert bool(outcome.terminated[0]) == gone
        if not gone:
            assert state.boredom[0].tolist() == boredom


def test_the_limit_of_a_session_is_a_truncation_and_leaving_a_termination() -> None:
    world = small_sessions(session_limit=3, leave_none=0.0, leave_click=0.0, leave_boredom=0.0)
    rng = np.random.default_rng(0)
    state = world.initial(4, rng)
    for step in range(3):
        outcome = world.step(state, np.zeros(4, int), rng)
        state = outcome.state
        assert not outcome.terminated.any()
        assert (outcome.truncated == (step == 2)).all()
    leaving = small_sessions(leave_none=1.0, leave_click=1.0, leave_boredom=0.0)
    outcome = leaving.step(leaving.initial(4, rng), np.zeros(4, int), rng)
    assert outcome.terminated.all()
    assert not outcome.truncated.any()


def test_who_left_earns_nothing_more() -> None:
    world = small_sessions(leave_none=1.0, leave_click=1.0, leave_boredom=0.0)
    generator = np.random.default_rng(0)
    gone = world.step(world.initial(4, generator), np.zeros(4, int), generator).state
    again = world.step(gone, np.ones(4, int), generator)
    assert all((amount == 0).all() for amount in again.kpis.values())
    assert again.state.steps.tolist() == gone.steps.tolist()


def test_in_a_million_adversarial_steps_no_forbidden_item_is_shown() -> None:
    world = small_sessions(slots=3, share_eligible=0.4, visitors=500)
    rng = np.random.default_rng(0)
    copies, forbidden, replaced = 5000, 0, 0
    eligible = world.contexts.eligible
    assert eligible is not None
    state = world.initial(copies, rng)
    for step in range(STEPS // copies):
        mask = world.action_mask(state)
        assert mask is not None
        wish = rng.random((copies, 6))
        action = (wish - 10.0 * mask if step % 2 else wish).argmax(axis=1)
        item = world.control(state, action)
        replaced += int((item != action).sum())
        forbidden += int((~eligible[state.visit, item]).sum())
        forbidden += int(state.shown[np.arange(copies), item].sum())
        state = world.step(state, item, rng).state
        if state.gone.mean() > 0.5:
            state = world.initial(copies, rng)
    assert forbidden == 0
    assert replaced > STEPS / 4


def test_pessimism_charges_the_members_disagreement_about_what_bored_visitors_do() -> None:
    stay: Any = {"leave_none": 0.0, "leave_click": 0.0, "leave_boredom": 0.0, "boredom": 1.5}
    plain, wary = (small_sessions(visitors=40, pessimism=beta, **stay) for beta in (0.0, 2.0))
    item, rng = np.arange(40) % 6, np.random.default_rng(0)
    state = plain.step(plain.initial(40, rng), item, rng).state
    one, other = (w.step(state, item, np.random.default_rng(0)) for w in (plain, wary))
    logit = plain.model.bias[:, item] + np.einsum(
        "nd,knd->kn", plain.contexts.x[state.visit], plain.model.vector[:, item]
    )
    np.testing.assert_allclose(
        (one.reward - other.reward) * plain.reference, 2.0 * sigmoid(logit - 1.5).std(axis=0)
    )


def test_scenarios_change_boredom_and_leaving_and_keep_chances_chances() -> None:
    world = small_sessions()
    changed = world.under(PersonalizationScenario(boredom=2.0, leaving=10.0)).terms
    assert changed.boredom == 2 * world.terms.boredom
    for bored, clicked in product(range(3), (True, False)):
        leaving = changed.leave_click if clicked else changed.leave_none
        assert 0 <= leaving + (0 if clicked else changed.leave_boredom * bored) <= 1


def test_the_session_environment_is_registered_beside_the_one_step_one() -> None:
    env: Any = gymnasium.make("marketing/PersonalizationSession-v0", days=1)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.shape == (3 + 3 + 5,)
    observation, _, terminated, truncated, _ = env.step(0)
    assert env.observation_space.contains(observation)
    assert observation[4] == 0.5, "the first category has been shown once of at most twice"
    assert not truncated
    assert observation[-1] == 1 - terminated
    vector = gymnasium.make_vec("marketing/PersonalizationSession-v0", num_envs=3, days=1)
    assert vector.reset(seed=0)[0].shape == (3, 11)
