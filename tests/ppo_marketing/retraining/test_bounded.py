"""Whatever a training proposes, what comes back lies within the bound to the champion."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from ppo_marketing.divergence import gaussian_kl
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.gaussian import GaussianHead
from ppo_marketing.retraining.bounded import brought_back

STATES = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)


def agent(seed: int, gain: float = 1.0) -> Agent:
    rng = np.random.default_rng(seed)
    observed, actions = spaces.Box(-5.0, 5.0, (3,)), spaces.Box(-1.0, 1.0, (1,))
    made = Agent.create(observed, actions, PPOConfig(start="random", hidden=(4,)), rng)
    made.actor.weights[-1].data.mul_(gain)
    assert made.normaliser is not None
    made.normaliser = made.normaliser.updated(rng.normal(1.0, 2.0, (50, 3)))
    return made


def kl(policy: Agent, champion: Agent) -> float:
    def spread(of: Agent) -> tuple[np.ndarray, np.ndarray]:
        mean = of.actor(of.inputs(STATES)).detach().numpy()
        assert isinstance(of.head, GaussianHead)
        return mean, of.head.log_std.detach().numpy()

    return float(gaussian_kl(*spread(policy), *spread(champion)).mean())


def test_a_policy_within_the_bound_is_left_as_it_is() -> None:
    champion, proposal = agent(0), agent(1)
    found = brought_back(champion, proposal, lambda policy: kl(policy, champion), 10.0)
    assert found.agent is proposal
    assert found.share == 1.0
    assert found.distance == found.before == kl(proposal, champion)


@pytest.mark.parametrize("most", [0.08, 0.01, 1e-3])
def test_a_policy_that_went_too_far_comes_back_within_it(most: float) -> None:
    champion, proposal = agent(0), agent(1, gain=500.0)
    kept = champion.sha256()
    found = brought_back(champion, proposal, lambda policy: kl(policy, champion), most)
    assert found.before > most
    assert kl(found.agent, champion) == found.distance <= most
    assert 0 < found.share < 1
    assert champion.sha256() == kept


def test_where_nothing_holds_the_champion_itself_comes_back() -> None:
    champion, proposal = agent(0), agent(1)
    found = brought_back(champion, proposal, lambda policy: 1.0, 0.5)
    assert found.agent.sha256() == champion.sha256()
    assert found.distance == found.share == 0.0


def test_half_of_the_way_is_the_mean_of_parameters_and_of_scaling() -> None:
    champion, proposal = agent(0), agent(1)
    distances = iter([2.0, 0.5])
    half = brought_back(champion, proposal, lambda policy: next(distances), 1.0).agent
    first, last, found = champion.arrays(), proposal.arrays(), half.arrays()
    name = "actor.weights.0"
    np.testing.assert_allclose(found[name], (first[name] + last[name]) / 2, rtol=1e-6)
    assert champion.normaliser is not None
    assert proposal.normaliser is not None
    assert half.normaliser is not None
    mean = (champion.normaliser.variance + proposal.normaliser.variance) / 2
    np.testing.assert_allclose(half.normaliser.variance, mean)
