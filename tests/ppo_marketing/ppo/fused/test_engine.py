from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.fused import epochs, objective
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.minibatches import Held, Measured
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.rollout import Rollout, begin, collect
from ppo_marketing.ppo.train import train
from ppo_marketing.ppo.trust_region import AdaptiveClip, Clip, KLPenalty, SteeredClip
from ppo_marketing.ppo.update import UpdateStats, engine_for, ppo_update
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE, MatchingEnv


def prepared(
    space: spaces.Space[Any] = BOX, *, masked: bool = False, copies: int = 64, **settings: Any
) -> tuple[Agent, Rollout, PPOConfig]:
    env = MatchingEnv(space, copies=copies, masked=masked, truncates=True)
    config = PPOConfig(start="random", **settings)
    agent = Agent.create(env.single_observation_space, space, config, np.random.default_rng(1))
    rollout, _ = collect(env, agent, begin(env, 1), 32, np.random.default_rng(2))
    return agent, rollout, config


def updated(
    agent: Agent,
    rollout: Rollout,
    config: PPOConfig,
    times: int = 1,
    device: str = "cpu",
    **arguments: Any,
) -> tuple[torch.Tensor, UpdateStats, Any]:
    """Return a twin's parameters after some updates, the last statistics, and the generator."""
    twin = agent.copy().to(torch.device(device))
    values, gradients = flatten_parameters(twin.parameters())
    optimizer, rng = Adam(values, gradients), np.random.default_rng(3)
    for _ in range(times):
        stats = ppo_update(
            twin, optimizer, rollout, config.trust_region, config, rng=rng, **arguments
        )
    return values.cpu().clone(), stats, rng.bit_generator.state


def test_measurements_lie_where_the_engines_share_them() -> None:
    places = {
        "policy_loss": objective.POLICY_LOSS,
        "value_loss": objective.VALUE_LOSS,
        "entropy": objective.ENTROPY,
        "kl": objective.KL,
        "anchor_kl": objective.ANCHOR_KL,
        "clip_fraction": objective.OUTSIDE,
        "ratio_deviation": objective.RATIO_DEVIATION,
        "gradient_norm": epochs.NORM,
    }
    assert sorted(places, key=lambda name: places[name]) == list(Measured._fields)
    assert sorted(places.values()) == list(range(objective.MEASURES + 1))


CASES: list[tuple[spaces.Space[Any], bool, dict[str, Any]]] = [
    (BOX, False, {}),
    (BOX, False, {"squash_actions": True, "value_clip": 0.2}),
    (DISCRETE, True, {"trust_region": AdaptiveClip()}),
    (MULTI_DISCRETE, True, {"trust_region": KLPenalty(), "normalise_advantages": False}),
    (DISCRETE, False, {"trust_region": Clip(low=0.1, high=0.3, dual=2.0)}),
    (BOX, False, {"trust_region": SteeredClip(), "target_kl": 0.003}),
]


@pytest.mark.parametrize(("space", "masked", "settings"), CASES)
def test_a_whole_update_ends_where_torchs_does(
    space: spaces.Space[Any], masked: bool, settings: dict[str, Any]
) -> None:
    agent, rollout, config = prepared(space, masked=masked, **settings)
    start = torch.cat([p.detach().reshape(-1) for p in agent.parameters()])
    ours, our_stats, our_rng = updated(agent, rollout, replace(config, engine="fused"), times=2)
    theirs, their_stats, their_rng = updated(
        agent, rollout, replace(config, engine="torch"), times=2
    )
    # A hundred or more steps of Adam, each of which enlarges what rounding began.
    assert float((ours - theirs).norm()) < 1e-3 * float((theirs - start).norm())
    assert our_stats.epochs == their_stats.epochs
    assert our_stats.first_ratio_deviation == their_stats.first_ratio_deviation == 0.0
    for name in ("policy_loss", "value_loss", "entropy", "kl", "gradient_norm"):
        ours_is, theirs_is = getattr(our_stats, name), getattr(their_stats, name)
        assert ours_is == pytest.approx(theirs_is, rel=1e-2, abs=1e-5), name
    assert our_rng == their_rng


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card that torch can use")
@pytest.mark.parametrize(("space", "masked", "settings"), CASES)
def test_a_graphics_card_ends_where_the_processor_does(
    space: spaces.Space[Any], masked: bool, settings: dict[str, Any]
) -> None:
    agent, rollout, config = prepared(space, masked=masked, engine="torch", **settings)
    start = torch.cat([p.detach().reshape(-1) for p in agent.parameters()])
    here, here_stats, _ = updated(agent, rollout, config, times=2)
    there, there_stats, _ = updated(agent, rollout, config, times=2, device="cuda")
    assert float((here - there).norm()) < 1e-3 * float((here - start).norm())
    assert here_stats.epochs == there_stats.epochs
    assert there_stats.kl == pytest.approx(here_stats.kl, rel=1e-2, abs=1e-5)


def test_an_anchor_is_held_as_torch_holds_it() -> None:
    agent, rollout, config = prepared(DISCRETE, learning_rate=0.01)
    held = Held(KLAnchor(coefficient=5.0), agent.copy())
    _, ours, _ = updated(agent, rollout, replace(config, engine="fused"), times=3, held=held)
    _, theirs, _ = updated(agent, rollout, replace(config, engine="torch"), times=3, held=held)
    _, free, _ = updated(agent, rollout, config, times=3)
    assert ours.anchor_kl is not None
    assert ours.anchor_kl == pytest.approx(theirs.anchor_kl, rel=1e-2)
    assert free.anchor_kl is None
    assert ours.entropy > free.entropy


@pytest.mark.parametrize("minibatch_size", [256, 2048])
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_threads_gives_the_same_bits(threads: int, minibatch_size: int) -> None:
    agent, rollout, config = prepared(copies=128, minibatch_size=minibatch_size, epochs=3)
    alone, stats, _ = updated(agent, rollout, config, times=3)
    with Crew([threads]) as crew:
        shared, shared_stats, _ = updated(agent, rollout, config, times=3, crew=crew)
    assert torch.equal(alone, shared)
    assert stats == shared_stats


def test_the_first_ratio_is_exactly_one_for_shared_minibatches_too() -> None:
    agent, rollout, config = prepared(copies=128, minibatch_size=2048, epochs=1)
    with Crew([2]) as crew:
        for minibatch_size in (1024, 1333, 4096):
            settings = replace(config, minibatch_size=minibatch_size)
            _, stats, _ = updated(agent, rollout, settings, crew=crew)
            assert stats.first_ratio_deviation == 0.0


def test_divergence_on_several_threads_leaves_the_parameters_as_they_are() -> None:
    agent, rollout, config = prepared(copies=128, minibatch_size=2048)
    values, gradients = flatten_parameters(agent.parameters())
    before, broken = values.clone(), replace(rollout, reward=rollout.reward * 1e38)
    with Crew([2]) as crew, pytest.raises(TrainingDiverged, match="value_loss"):
        ppo_update(
            agent, Adam(values, gradients), broken, config.trust_region, config,
            rng=np.random.default_rng(1), crew=crew,
        )  # fmt: skip
    assert torch.equal(values, before)


def test_the_engine_is_chosen_by_what_it_can_do() -> None:
    agent, _, config = prepared()
    flatten_parameters(agent.parameters())
    assert engine_for(agent, config.trust_region, "auto") == "fused"
    assert engine_for(agent, config.trust_region, "torch") == "torch"


class Unknown(Clip):
    """A region of somebody else's, with a loss of its own."""


class Items(spaces.Discrete):
    """Choices that are scored by features."""

    def __init__(self) -> None:
        super().__init__(3)
        self.item_features = np.eye(3, dtype=np.float32)


def test_what_the_kernels_do_not_know_goes_to_torch_and_is_refused_by_name() -> None:
    agent, _, config = prepared()
    items, _, _ = prepared(Items())
    flatten_parameters(agent.parameters())
    flatten_parameters(items.parameters())
    for other, region, reason in [
        (agent, Unknown(), "trust region Unknown"),
        (items, config.trust_region, "action head ItemHead"),
    ]:
        assert engine_for(other, region, "auto") == "torch"
        with pytest.raises(UserError, match=rf"{reason}.*'auto' or 'torch'"):
            engine_for(other, region, "fused")


def test_training_refuses_the_fused_engine_before_it_gathers_anything() -> None:
    class Untouched(MatchingEnv):
        def step(self, actions: Any) -> Any:
            raise AssertionError("a step was taken")

    with pytest.raises(UserError, match="action head ItemHead"):
        train(Untouched(Items(), copies=64), PPOConfig(engine="fused"), total_steps=9, seed=1)


def test_both_engines_learn_the_same_task_equally_well() -> None:
    final = {}
    for engine in ("torch", "fused"):
        config = PPOConfig(gamma=0.5, engine=engine)
        result = train(MatchingEnv(BOX, copies=64), config, total_steps=30_000, seed=1)
        final[engine] = result.history[-1].mean_return or 0.0
    assert final["fused"] == pytest.approx(final["torch"], abs=0.1)
    assert final["fused"] > 3.0  # the untrained start earns 1.9
