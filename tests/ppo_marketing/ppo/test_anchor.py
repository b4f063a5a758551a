from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.train import TrainResult, train
from tests.support.toy_environments import BOX, DISCRETE, MatchingEnv

OBSERVATIONS = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)


def trained(anchor: KLAnchor | None, space: Any = DISCRETE, **arguments: Any) -> TrainResult:
    config = PPOConfig(
        rollout_steps=16, minibatch_size=64, hidden=(16,), anchor=anchor, entropy_coefficient=0.0,
        learning_rate=3e-3,
    )  # fmt: skip
    env = MatchingEnv(space, copies=16)
    return train(env, config, total_steps=256 * 40, seed=1, **arguments)


NEW, OLD, REFERENCE = (
    np.array(shares) for shares in ([0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.5, 0.3, 0.2])
)


def logs(*policies: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(np.log(policy)) for policy in policies]


def test_the_distance_is_zero_at_the_reference_and_positive_elsewhere() -> None:
    anchor = KLAnchor()
    new = torch.tensor([-1.0, -2.0, -0.5])
    assert anchor.distance(new, new, new).tolist() == [0.0, 0.0, 0.0]
    assert (anchor.distance(new, new, new - 0.3) > 0).all()
    assert (anchor.distance(new, new, new + 0.3) > 0).all()


def test_the_mean_distance_over_the_old_policys_actions_is_the_kl_of_the_new_one() -> None:
    exact = float((NEW * np.log(NEW / REFERENCE)).sum())
    each = KLAnchor().distance(*logs(NEW, OLD, REFERENCE))
    assert float((torch.tensor(OLD) * each).sum()) == pytest.approx(exact)


def test_the_mean_slope_over_the_old_policys_actions_is_the_gradient_of_that_kl() -> None:
    """On three choices with logits θ: dKL(new, ref) / dθ_a = new_a (log new_a / ref_a - KL)."""
    divergence = np.log(NEW / REFERENCE)
    exact = NEW * (divergence - (NEW * divergence).sum())
    logits = torch.tensor(np.log(NEW), requires_grad=True)
    log_prob = torch.log_softmax(logits, 0)
    with torch.no_grad():
        slope = KLAnchor().slope(log_prob, *logs(OLD, REFERENCE))
    torch.autograd.backward((torch.tensor(OLD) * slope * log_prob).sum())
    assert logits.grad is not None
    assert logits.grad.numpy() == pytest.approx(exact)
    of_the_reverse = NEW - REFERENCE
    assert np.abs(logits.grad.numpy() - of_the_reverse).max() > 0.02


def test_the_slope_is_what_autograd_finds_of_the_distance() -> None:
    new, old, reference = logs(NEW, OLD, REFERENCE)
    new.requires_grad_()
    torch.autograd.backward(KLAnchor().distance(new, old, reference).sum())
    assert new.grad is not None
    slope = KLAnchor().slope(new.detach(), old, reference)
    assert new.grad.numpy() == pytest.approx(slope.numpy())


@pytest.mark.parametrize(("mean_kl", "factor"), [(0.04, 2.0), (0.02, 1.0), (0.01, 0.5)])
def test_the_price_follows_the_target(mean_kl: float, factor: float) -> None:
    anchor = KLAnchor(coefficient=0.3, target_kl=0.02)
    assert anchor.updated(mean_kl).coefficient == pytest.approx(0.3 * factor)
    assert KLAnchor(coefficient=0.3).updated(mean_kl) == KLAnchor(coefficient=0.3)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match=r"coefficient is 0\.0.*target_kl is -1\.0"):
        KLAnchor(coefficient=0.0, target_kl=-1.0)


def distance(agent: Agent, reference_probability: float) -> float:
    """Return the exact mean KL of a discrete policy from a uniform one."""
    actions = np.arange(DISCRETE.start, DISCRETE.start + DISCRETE.n)
    log_prob = np.stack(
        [agent.log_prob(OBSERVATIONS, np.full(len(OBSERVATIONS), action)) for action in actions]
    )
    return float((np.exp(log_prob) * (log_prob - math.log(reference_probability))).sum(0).mean())


def test_the_dearer_the_nearer_to_where_training_started() -> None:
    uniform = 1 / int(DISCRETE.n)
    free, cheap, dear = (
        distance(trained(anchor).agent, uniform)
        for anchor in (None, KLAnchor(coefficient=1.0), KLAnchor(coefficient=3.0))
    )
    assert free > 1.5 * cheap > 3 * dear


def test_a_target_is_what_training_ends_at() -> None:
    result = trained(KLAnchor(coefficient=0.3, target_kl=0.1))
    last = [row.learning.anchor_kl for row in result.history[-10:]]
    assert all(kl is not None for kl in last)
    assert 0.05 < float(np.mean([kl for kl in last if kl is not None])) < 0.2


def test_another_reference_is_held_to_through_its_own_statistics() -> None:
    champion = trained(None).agent
    near = trained(KLAnchor(coefficient=100.0), reference=champion).agent
    actions = champion.act(OBSERVATIONS, np.random.default_rng(0), deterministic=True)
    agreed = near.act(OBSERVATIONS, np.random.default_rng(0), deterministic=True) == actions
    assert agreed.mean() > 0.9


class Fixed:
    """Somebody who chooses without looking, and is no agent."""

    def log_prob_stored(
        self, observation: np.ndarray, stored: torch.Tensor, allowed: torch.Tensor | None
    ) -> torch.Tensor:
        assert len(observation) == len(stored)
        return torch.tensor(np.log(REFERENCE), dtype=torch.float32)[stored]

    def sha256(self) -> str:
        return "fixed"


def test_whoever_knows_how_likely_actions_are_can_be_held_to() -> None:
    history = trained(KLAnchor(coefficient=100.0), reference=Fixed()).history
    from_uniform = float(np.mean(np.log(1 / 3 / REFERENCE)))
    ends = history[-1].learning.anchor_kl
    assert ends is not None
    assert ends < 0.1 * from_uniform


def test_a_reference_without_an_anchor_is_refused() -> None:
    with pytest.raises(UserError, match=r"set ppo\.anchor"):
        trained(None, reference=trained(None).agent)


def test_a_reference_for_other_actions_is_refused() -> None:
    with pytest.raises(UserError, match="it has another head than what is trained"):
        trained(KLAnchor(), reference=trained(None, BOX).agent)


def test_a_training_held_to_another_reference_is_not_resumed(tmp_path: Path) -> None:
    first = trained(None).agent
    second = first.copy()
    second.actor.biases[-1].data.add_(torch.tensor([0.0, 0.1, 0.0]))
    checkpoint = tmp_path / "run.ckpt"
    trained(KLAnchor(), reference=first, checkpoint=checkpoint)
    with pytest.raises(UserError, match=f"reference: '{first.sha256()}' in the checkpoint"):
        trained(KLAnchor(), reference=second, checkpoint=checkpoint)


@pytest.mark.parametrize("space", [BOX, DISCRETE])
def test_an_anchored_training_resumes_exactly(space: Any, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(row: Any) -> None:
        if row.update == 7:
            raise Killed

    anchor = KLAnchor(coefficient=0.3, target_kl=0.01)
    checkpoint = tmp_path / "run.ckpt"
    with pytest.raises(Killed):
        trained(anchor, space, checkpoint=checkpoint, checkpoint_every=3, on_update=kill)
    resumed = trained(anchor, space, checkpoint=checkpoint, checkpoint_every=3)
    assert resumed.agent.sha256() == trained(anchor, space).agent.sha256()
