"""What a challenger changes: worked out on paper, judged against bounds, played in real worlds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from envs.core.world import World
from ppo_marketing.behaviour import Behaviour, Choices, Controls
from ppo_marketing.drift import DriftBounds, drift
from ppo_marketing.errors import UserError
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.reference_states import ReferenceStates, behaviour_of, reference_states
from tests.support.bidding import small_world
from tests.support.personalization import small_visits
from tests.support.sequencing import random_world

COST = np.array([0.0, 1.0, 5.0])  # nothing, an e-mail, a letter
LABELS = ("nothing", "e-mail", "letter")
STATES = 400


def choosing(action: Any, sure: float = 0.9) -> Choices:
    """Takes `action` with probability `sure` and the other two alike."""
    chosen = np.asarray(action)
    probability = np.full((len(chosen), 3), (1 - sure) / 2)
    probability[np.arange(len(chosen)), chosen] = sure
    return Choices(probability=probability, action=chosen, money=COST[chosen])


CHAMPION = choosing(np.ones(STATES, int))
LOYAL = np.repeat(["loyal", "new"], STATES // 2)


def letters_for_the_loyal() -> Choices:
    """A tenth of the loyal get a letter in place of an e-mail."""
    action = np.ones(STATES, int)
    action[: STATES // 20] = 2
    return choosing(action)


def test_equal_policies_have_not_drifted_at_all() -> None:
    found = drift(CHAMPION, CHAMPION, segment=LOYAL, labels=LABELS)
    assert found.within_bounds
    for distance in (found.overall, *found.segments):
        assert distance.mean_kl == distance.kl_95 == distance.total_variation == 0.0
        assert distance.changed == distance.money_moved == distance.money_share == 0.0
    assert [(f.origin, f.target, f.share) for f in found.flows] == [("e-mail", "e-mail", 1.0)]


def test_what_changes_for_whom_and_how_much_money_moves_is_what_paper_says() -> None:
    found = drift(CHAMPION, letters_for_the_loyal(), segment=LOYAL, labels=LABELS)
    state_kl = 0.9 * math.log(0.9 / 0.05) + 0.05 * math.log(0.05 / 0.9)
    everyone, (loyal, new) = found.overall, found.segments
    assert everyone.changed == pytest.approx(0.05)
    assert everyone.mean_kl == pytest.approx(0.05 * state_kl)
    assert everyone.total_variation == pytest.approx(0.05 * 0.85)
    assert everyone.money_change == everyone.money_moved == pytest.approx(0.05 * 4.0)
    assert everyone.money_share == pytest.approx(0.2)
    assert (loyal.segment, new.changed) == ("loyal", 0.0)
    assert loyal.changed == pytest.approx(0.1)
    assert [(f.origin, f.target, f.share) for f in found.flows] == [
        ("e-mail", "e-mail", 0.95),
        ("e-mail", "letter", 0.05),
    ]
    moved = sum(f.money_change for f in found.flows if f.money_change is not None)
    assert moved == pytest.approx(everyone.money_change)


def test_a_segment_may_change_more_than_everyone_but_not_without_bound() -> None:
    action = np.ones(STATES, int)
    action[: STATES // 8] = 2  # a quarter of the loyal, an eighth of everyone
    bounds = DriftBounds(mean_kl=None, kl_95=None, money_moved=None)
    assert drift(CHAMPION, choosing(action), segment=LOYAL, bounds=bounds).within_bounds
    action[: STATES // 4] = 2
    found = drift(CHAMPION, choosing(action), segment=LOYAL, bounds=bounds)
    assert {reason.split(":")[0] for reason in found.reasons} == {"everyone", "loyal"}
    assert any("share of decisions that change is 0.5, allowed 0.4" in r for r in found.reasons)


def test_money_that_moves_both_ways_counts_though_the_sum_stands_still() -> None:
    champion = choosing(np.repeat([1, 2], STATES // 2))
    challenger = choosing(np.repeat([2, 1], STATES // 2))
    found = drift(champion, challenger, bounds=DriftBounds(mean_kl=None, kl_95=None))
    assert found.overall.money_change == pytest.approx(0.0)
    assert found.overall.money_moved == pytest.approx(4.0)
    assert any(reason.startswith("everyone: money moved") for reason in found.reasons)


def test_money_where_the_champion_spends_none_is_infinitely_more() -> None:
    found = drift(choosing(np.zeros(STATES, int)), choosing(np.ones(STATES, int)))
    assert found.overall.money_share == math.inf
    assert any("money moved, of the champion's own, is infinite" in r for r in found.reasons)


def test_disjoint_support_is_reported_as_infinite_and_never_as_nan() -> None:
    champion = Choices.certain(np.ones(STATES, int), 3)
    action = np.ones(STATES, int)
    action[:8] = 2
    found = drift(champion, Choices.certain(action, 3))
    assert found.overall.mean_kl == math.inf
    assert found.overall.kl_95 == 0.0  # 2 % of states lie beyond it
    assert found.overall.infinite_kl == pytest.approx(0.02)
    assert "mean KL is infinite (in 2.0% of decisions" in found.reasons[0]
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["overall"]["mean_kl"] == "infinite"
    half = drift(champion, Choices.certain(np.repeat([1, 2], STATES // 2), 3))
    assert half.overall.kl_95 == math.inf


def test_controls_change_by_their_unit_and_go_lower_or_higher() -> None:
    log_lambda = np.zeros(STATES)
    champion = Controls(
        mean=log_lambda[:, None], log_std=np.array([0.0]), control=log_lambda,
        money=np.full(STATES, 10.0),
    )  # fmt: skip
    moved = np.repeat([-0.2, 0.0, 0.04, 0.4], STATES // 4)
    challenger = replace(champion, mean=moved[:, None], control=moved, money=10.0 + moved)
    found = drift(champion, challenger)
    assert found.overall.control_change == pytest.approx((0.2 + 0.04 + 0.4) / 4)
    assert found.overall.changed == pytest.approx(0.5)  # .04 is the same decision
    assert found.overall.mean_kl == pytest.approx((0.2**2 + 0.04**2 + 0.4**2) / 8)
    assert {f.target: f.share for f in found.flows} == {
        "as before": 0.5, "lower": 0.25, "higher": 0.25,
    }  # fmt: skip
    bounded = drift(champion, challenger, bounds=DriftBounds(control_change=0.1))
    assert any("mean change of the control is 0.16, allowed 0.1" in r for r in bounded.reasons)


def test_too_few_states_are_never_judged_sound() -> None:
    few = drift(choosing(np.ones(40, int)), choosing(np.ones(40, int)))
    assert not few.within_bounds
    assert "40 reference states are too few to say" in few.reasons[0]
    segment = np.array(["rare"] * 30 + ["common"] * (STATES - 30))
    action = np.ones(STATES, int)
    action[:30] = 2
    bounds = DriftBounds(mean_kl=None, kl_95=None, money_moved=None)
    found = drift(CHAMPION, choosing(action), segment=segment, bounds=bounds)
    assert found.too_few == ("rare",)
    assert found.within_bounds
    assert [s.changed for s in found.segments] == [0.0, 1.0]  # measured all the same


def test_arrays_that_do_not_fit_are_refused_with_every_problem() -> None:
    broken = Choices(
        probability=np.array([[0.5, 0.2], [np.nan, 1.0]]), action=np.array([0, 2]), money=None
    )
    with pytest.raises(UserError) as refused:
        drift(CHAMPION, broken, segment=["a"], labels=("one",))
    for part in (
        "challenger: 2 of 2 rows are no probabilities",
        "challenger: actions must be numbers from 0 to 1",
        "differ in states or actions",
        "segment has the shape (1,)",
        "money is given for one policy only",
        "1 labels for 3 actions",
    ):
        assert part in str(refused.value)
    control = Controls(mean=np.zeros((2, 1)), log_std=np.zeros(1), control=np.zeros(2))
    with pytest.raises(UserError, match="only two of a kind"):
        drift(CHAMPION, control)
    with pytest.raises(UserError, match="log_std must be numbers, or -inf"):
        drift(control, replace(control, log_std=np.array([np.nan])))
    with pytest.raises(UserError, match="mean_kl is -1"):
        DriftBounds(mean_kl=-1, changed=0)
    empty = Choices(probability=np.zeros((0, 2)), action=np.zeros(0, int))
    with pytest.raises(UserError, match="no reference states"):
        drift(empty, empty)


WORLDS: dict[str, Callable[[], World[Any]]] = {
    "bidding": lambda: small_world(np.random.default_rng(0)),
    "sequencing": lambda: random_world(0, 200),
    "personalization": lambda: small_visits(visitors=200, share_eligible=0.7),
}


def agent(world: World[Any], seed: int) -> Agent:
    config = PPOConfig(start="random", hidden=(8,))
    made = Agent.create(
        world.observation_space, world.action_space, config, np.random.default_rng(seed)
    )
    for bias in made.actor.biases:  # decisive enough to differ
        bias.data += 0.5 * bias.data.new_tensor(np.random.default_rng(seed).normal(size=bias.shape))
    return made


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> World[Any]:
    return WORLDS[request.param]()


def drawn(world: World[Any], champion: Agent, **given: Any) -> ReferenceStates:
    return reference_states(world, PolicyActor("champion", champion), **{"seed": 5, **given})


def test_any_two_agents_are_compared_in_states_that_the_champion_met(world: World[Any]) -> None:
    champion, challenger = agent(world, 1), agent(world, 2)
    reference = drawn(world, champion, states=150)
    mine, yours = behaviour_of(champion, reference), behaviour_of(challenger, reference)
    same = drift(mine, mine)
    assert same.overall.mean_kl == same.overall.changed == 0.0
    found = drift(mine, yours, segment=np.where(reference.step > 0, "later", "first"))
    assert 0 < found.overall.mean_kl < math.inf
    assert 0 < found.overall.total_variation <= 1
    assert sum(flow.share for flow in found.flows) == pytest.approx(1.0)


def test_what_an_agent_would_do_is_what_it_says_elsewhere(world: World[Any]) -> None:
    champion = agent(world, 1)
    reference = drawn(world, champion, states=60)
    found: Behaviour = behaviour_of(champion, reference)
    if isinstance(found, Choices):
        for action in range(found.probability.shape[1]):
            taken = np.full(reference.size, action)
            log_prob = champion.log_prob(reference.observation, taken, reference.mask)
            np.testing.assert_allclose(found.probability[:, action], np.exp(log_prob), atol=1e-6)
        np.testing.assert_array_equal(found.action, reference.control)
    else:
        np.testing.assert_allclose(found.control, np.ravel(reference.control))


def test_the_reference_is_fixed_by_its_seed_and_holds_no_decision_twice(
    world: World[Any],
) -> None:
    champion = agent(world, 1)
    first, again = drawn(world, champion, states=100), drawn(world, champion, states=100)
    np.testing.assert_array_equal(first.observation, again.observation)
    other = drawn(world, champion, states=100, seed=6)
    assert not np.array_equal(first.observation, other.observation)
    met = list(zip(first.episode.tolist(), first.step.tolist(), strict=True))
    assert len(met) == len(set(met)) == first.size
    np.testing.assert_array_equal(first.world.observe(first.state), first.observation)
    with pytest.raises(UserError, match="must be 1 or more"):
        drawn(world, champion, states=0)


def test_every_decision_of_the_champion_is_equally_likely_to_be_drawn() -> None:
    world = random_world(0, 400)
    champion = agent(world, 1)
    everything = drawn(world, champion, states=10**6, episodes=400)
    part = drawn(world, champion, states=everything.size // 2, episodes=400)
    weeks = np.bincount(everything.step, minlength=12)
    assert len(set(weeks[:3])) <= 3
    assert weeks[0] == 400
    share = np.bincount(part.step, minlength=12) / weeks
    # Half of about 400 decisions of every week: a standard error of .018.
    np.testing.assert_allclose(share, 0.5, atol=0.09)
