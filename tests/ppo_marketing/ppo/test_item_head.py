from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import CategoricalHead, ItemHead
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.heads import head_for, head_from

OBSERVATIONS = spaces.Box(-5.0, 5.0, (3,), np.float32)


def item_space(features: Any) -> spaces.Discrete[Any]:
    space: spaces.Discrete[Any] = spaces.Discrete(len(features))
    setattr(space, "item_features", features)  # noqa: B010 - not an attribute of Discrete
    return space


def item_agent(features: Any) -> Agent:
    config = PPOConfig(start="random", hidden=(8,))
    return Agent.create(OBSERVATIONS, item_space(features), config, np.random.default_rng(1))


@settings(deadline=None)  # other jobs may hold the processor
@given(items=st.integers(2, 9), size=st.integers(1, 4), seed=st.integers(0, 99))
def test_items_are_chosen_as_by_a_softmax_over_their_scores(
    items: int, size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(items, size)).astype(np.float32)
    output = torch.from_numpy(rng.normal(size=(6, size)).astype(np.float32))
    mask = torch.from_numpy(np.column_stack([np.ones(6, bool), rng.random((6, items - 1)) < 0.5]))
    head, flat = ItemHead(features), CategoricalHead((items,), (0,), scalar=True)
    logits = output @ torch.from_numpy(features).T
    noise = torch.from_numpy(head.noise(rng, (6,)))
    drawn = head.sample(output, noise, mask)
    assert torch.equal(drawn, flat.sample(logits, noise, mask))
    assert torch.equal(head.mode(output, mask), flat.mode(logits, mask))
    for ours, theirs in zip(
        head.evaluate(output, drawn, mask), flat.evaluate(logits, drawn, mask), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_actor_does_not_grow_with_the_catalogue(rng: np.random.Generator) -> None:
    small, large = (item_agent(rng.normal(size=(items, 5))) for items in (20, 10_000))
    sizes = [sum(p.numel() for p in agent.parameters()) for agent in (small, large)]
    assert sizes[0] == sizes[1]


def test_an_item_keeps_its_probability_wherever_the_catalogue_lists_it(
    rng: np.random.Generator,
) -> None:
    features = rng.normal(size=(7, 4))
    order = rng.permutation(7)
    agent, shuffled = item_agent(features), item_agent(features).for_items(features[order])
    observation = rng.normal(size=(50, 3))
    choice = shuffled.act(observation, rng, deterministic=True)
    assert (order[choice] == agent.act(observation, rng, deterministic=True)).all()
    np.testing.assert_allclose(
        shuffled.log_prob(observation, choice),
        agent.log_prob(observation, order[choice]),
        rtol=1e-4,
    )


def test_an_item_never_seen_is_chosen_where_its_features_ask_for_it(
    rng: np.random.Generator,
) -> None:
    features = rng.normal(size=(5, 4)).astype(np.float32)
    agent = item_agent(features)
    observation = rng.normal(size=(1, 3))
    output = agent.actor(agent.inputs(observation)).detach().numpy()
    ideal = 100.0 * output / (output**2).sum()  # scores 100, far above the others
    wider = agent.for_items(np.concatenate([features, ideal]))
    assert wider.act(observation, rng, deterministic=True).tolist() == [5]


def test_masked_items_are_never_chosen_among_ten_thousand(rng: np.random.Generator) -> None:
    agent = item_agent(rng.normal(size=(10_000, 4)))
    mask = rng.random((200, 10_000)) < 0.001
    mask[:, 0] = True
    for deterministic in (False, True):
        choice = agent.act(rng.normal(size=(200, 3)), rng, mask, deterministic=deterministic)
        assert mask[np.arange(200), choice].all()


def test_saved_arrays_hold_the_features_and_a_copy_acts_alike(rng: np.random.Generator) -> None:
    agent = item_agent(rng.normal(size=(6, 4)))
    twin = Agent.from_description(agent.describe())
    twin.load_arrays(agent.arrays())
    observation = rng.normal(size=(40, 3))
    one, other = (a.act(observation, np.random.default_rng(1)) for a in (agent, twin))
    assert (one == other).all()
    assert head_from(agent.head.describe()).describe() == agent.head.describe()


def test_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="one row of features"):
        head_for(item_space(np.ones(4)), squash=False, log_std=0.0)
    with pytest.raises(UserError, match=r"not finite for 1 of 4 items \(first: 2\)"):
        head_for(item_space(np.array([[1.0], [2.0], [np.nan], [0.0]])), squash=False, log_std=0.0)
    with pytest.raises(UserError, match="do not fit the policy"):
        item_agent(np.ones((3, 2))).for_items(np.ones((3, 5)))
