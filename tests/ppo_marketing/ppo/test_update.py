from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.advantages import gae
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.rollout import Rollout, begin, collect
from ppo_marketing.ppo.update import UpdateStats, ppo_update
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE, MatchingEnv

ENGINES = pytest.mark.parametrize("engine", ["torch", "fused"])


def prepared(
    space: spaces.Space[Any] = DISCRETE, *, masked: bool = False, steps: int = 13, **settings: Any
) -> tuple[Agent, Adam, Rollout, PPOConfig]:
    env = MatchingEnv(
        space, copies=17, masked=masked, truncates=True, autoreset=AutoresetMode.NEXT_STEP
    )
    defaults: dict[str, Any] = {"minibatch_size": 32, "start": "random"}
    config = PPOConfig(**(defaults | settings))
    agent = Agent.create(env.single_observation_space, space, config, np.random.default_rng(1))
    optimizer = Adam(*flatten_parameters(agent.parameters()))
    rollout, _ = collect(env, agent, begin(env, 1), steps, np.random.default_rng(2))
    return agent, optimizer, rollout, config


def update(
    agent: Agent, optimizer: Adam, rollout: Rollout, config: PPOConfig, **arguments: Any
) -> UpdateStats:
    region = config.trust_region
    rng = np.random.default_rng(3)
    return ppo_update(agent, optimizer, rollout, region, config, rng=rng, **arguments)


def parameters(agent: Agent) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1).clone() for p in agent.parameters()])


@ENGINES
@pytest.mark.parametrize("minibatch_size", [2, 7, 32, 64, 1000])
@pytest.mark.parametrize(
    ("space", "masked", "squash"),
    [
        (BOX, False, False),
        (BOX, False, True),
        (DISCRETE, False, False),
        (DISCRETE, True, False),
        (MULTI_DISCRETE, True, False),
    ],
)
def test_the_first_ratio_of_every_update_is_exactly_one(
    engine: str, space: spaces.Space[Any], masked: bool, squash: bool, minibatch_size: int
) -> None:
    agent, optimizer, rollout, config = prepared(
        space,
        engine=engine,
        masked=masked,
        squash_actions=squash,
        minibatch_size=minibatch_size,
        epochs=1,
    )
    for _ in range(3):
        assert update(agent, optimizer, rollout, config).first_ratio_deviation == 0.0


@ENGINES
def test_one_whole_batch_step_is_the_gradient_of_the_written_objective(engine: str) -> None:
    """With one minibatch of one epoch the ratio is 1, so the policy gradient is plain A ∇log π."""
    agent, optimizer, rollout, config = prepared(
        engine=engine, epochs=1, minibatch_size=1000, normalise_advantages=False, max_grad_norm=1e9
    )
    keep = rollout.valid.reshape(-1)
    advantage = torch.from_numpy(
        gae(
            rollout.reward,
            rollout.value,
            rollout.next_value,
            rollout.terminated,
            rollout.ended,
            gamma=config.gamma,
            lam=config.gae_lambda,
        ).reshape(-1)[keep]
    )
    target = advantage + torch.from_numpy(rollout.value.reshape(-1)[keep])
    inputs = agent.inputs(rollout.observation.reshape(-1, 4))[keep]
    action = torch.from_numpy(rollout.action.reshape(-1)[keep])
    log_prob, entropy = agent.evaluate(inputs, action, None)
    objective = (
        -(advantage * log_prob).mean()
        + config.value_coefficient * (agent.values(inputs) - target).square().mean()
        - config.entropy_coefficient * entropy.mean()
    )
    expected = torch.cat(
        [g.reshape(-1) for g in torch.autograd.grad(objective, agent.parameters())]
    )
    stats = update(agent, optimizer, rollout, config)
    gradients = torch.cat([p.grad.reshape(-1) for p in agent.parameters() if p.grad is not None])
    torch.testing.assert_close(gradients, expected, rtol=1e-3, atol=1e-6)
    assert stats.gradient_norm == pytest.approx(float(expected.norm()), rel=1e-4)
    assert stats.entropy == pytest.approx(float(entropy.detach().mean()), rel=1e-5)


@ENGINES
def test_rows_of_autoreset_change_nothing(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine)
    twin, twin_optimizer, _, _ = prepared(engine=engine)
    assert not rollout.valid.all()
    spoiled = replace(
        rollout,
        observation=np.where(rollout.valid[:, :, None], rollout.observation, np.float32(1e3)),
        action=np.where(rollout.valid, rollout.action, 0),
        value=np.where(rollout.valid, rollout.value, np.float32(1e3)),
    )
    update(agent, optimizer, rollout, config)
    update(twin, twin_optimizer, spoiled, config)
    assert torch.equal(parameters(agent), parameters(twin))


@ENGINES
def test_an_update_makes_good_actions_likelier(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine, steps=64)
    observation, action = rollout.observation.reshape(-1, 4), rollout.action.reshape(-1)
    before = agent.log_prob(observation, action)
    update(agent, optimizer, rollout, config)
    change = agent.log_prob(observation, action) - before
    paid = (rollout.reward.reshape(-1) > 0) & rollout.valid.reshape(-1)
    unpaid = (rollout.reward.reshape(-1) == 0) & rollout.valid.reshape(-1)
    assert change[paid].mean() > 0.02
    assert change[unpaid].mean() < -0.02


@ENGINES
def test_the_gradient_of_a_step_never_exceeds_the_norm(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine, epochs=1, max_grad_norm=1e-3)
    stats = update(agent, optimizer, rollout, config)
    norm = torch.cat([p.grad.reshape(-1) for p in agent.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-4)
    assert stats.gradient_norm > 1e-3


@ENGINES
def test_target_kl_ends_the_epochs_early(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(
        engine=engine, epochs=50, learning_rate=0.02, target_kl=0.01
    )
    assert update(agent, optimizer, rollout, config).epochs < 50


@ENGINES
def test_statistics_are_those_of_a_healthy_update(engine: str) -> None:
    stats = update(*prepared(engine=engine, epochs=10, learning_rate=0.01))
    assert stats.kl > 0.0
    assert 0.0 < stats.clip_fraction < 1.0
    assert 0.0 < stats.entropy < np.log(3)
    assert stats.explained_variance <= 1.0
    assert stats.epochs == 10


@ENGINES
def test_the_reward_factor_scales_the_returns(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine, epochs=1, minibatch_size=1000)
    blank = replace(
        rollout,
        value=np.zeros_like(rollout.value),
        next_value=np.zeros_like(rollout.next_value),
    )
    for bias in (agent.critic.weights[-1], agent.critic.biases[-1]):
        bias.data.zero_()
    start = agent.arrays()
    plain = update(agent, optimizer, blank, config)
    agent.load_arrays(start)
    scaled = update(agent, optimizer, blank, config, reward_factor=3.0)
    assert scaled.value_loss == pytest.approx(9.0 * plain.value_loss, rel=1e-4)


@ENGINES
def test_the_statistics_of_observations_stay_during_an_update(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine)
    before = agent.normaliser
    update(agent, optimizer, rollout, config)
    assert agent.normaliser is before


@ENGINES
def test_a_loss_that_is_not_finite_stops_before_the_step(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine)
    before = parameters(agent)
    broken = replace(rollout, reward=np.where(rollout.valid, 1e38, 0.0))
    with pytest.raises(TrainingDiverged, match=r"value_loss is (inf|nan)"):
        update(agent, optimizer, broken, config)
    assert torch.equal(parameters(agent), before)


@ENGINES
def test_a_rollout_without_experience_is_refused(engine: str) -> None:
    agent, optimizer, rollout, config = prepared(engine=engine)
    with pytest.raises(UserError, match="nothing to learn"):
        update(agent, optimizer, replace(rollout, valid=rollout.valid & False), config)
