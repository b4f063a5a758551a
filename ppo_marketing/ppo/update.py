"""One PPO update: several epochs of shuffled minibatches over one rollout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.advantages import gae
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import KLAnchor
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.losses import explained_variance, k3, normalised_advantage, value_loss
from ppo_marketing.ppo.rollout import Rollout
from ppo_marketing.ppo.trust_region import TrustRegion

KL_TOLERANCE = 1.5  # one minibatch's k3 is noisy, so stopping waits for this multiple of the target


@dataclass(frozen=True)
class Held:
    """An anchor and the policy that it holds to."""

    anchor: KLAnchor
    reference: Agent


@dataclass(frozen=True)
class UpdateStats:
    """What one update did; means are over the minibatches of its last epoch, before their steps."""

    policy_loss: float
    value_loss: float
    entropy: float  # nats
    kl: float  # k3 in nats, not negative
    anchor_kl: float | None  # distance from the anchor's reference, nats; None without one
    clip_fraction: float  # share of ratios outside the trust region's interval
    explained_variance: float  # of the returns by the critic that the rollout used
    gradient_norm: float  # Euclidean, before clipping
    first_ratio_deviation: float  # largest |ratio - 1| of the first minibatch: exactly 0
    epochs: int  # passes begun; fewer than configured when target_kl ended them


@dataclass(frozen=True)
class _Rows:
    """The rollout as rows [n, ...] ready for training: normalised, artefacts left out."""

    inputs: Tensor
    action: Tensor
    allowed: Tensor | None
    log_prob_old: Tensor
    log_prob_reference: Tensor | None
    advantage: Tensor
    target: Tensor  # the return estimate that the critic is fitted to
    value_old: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, index: Tensor | slice) -> Self:
        """Return some rows: views for a slice, copies for an index."""
        return type(self)(
            self.inputs[index],
            self.action[index],
            None if self.allowed is None else self.allowed[index],
            self.log_prob_old[index],
            None if self.log_prob_reference is None else self.log_prob_reference[index],
            self.advantage[index],
            self.target[index],
            self.value_old[index],
        )


class _Measured(NamedTuple):
    """One minibatch, measured before its step."""

    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    anchor_kl: float
    clip_fraction: float
    gradient_norm: float
    ratio_deviation: float  # largest |ratio - 1|


def ppo_update(
    agent: Agent,
    optimizer: Adam,
    rollout: Rollout,
    region: TrustRegion,
    config: PPOConfig,
    *,
    rng: np.random.Generator,
    reward_factor: float = 1.0,
    held: Held | None = None,
) -> UpdateStats:
    """Improve the agent, in place, from experience that it gathered as it stands.

    loss = mean region.loss(log ratio, k3, A, log π_old) + c_v · value loss - c_e · mean entropy
           + β · mean distance from the reference, where `held` names one

    `config` holds the learning rate and the entropy coefficient of this update (see
    `PPOConfig.at`), `rng` draws one permutation an epoch, `reward_factor` multiplies rewards.

    Source: Schulman et al. 2017, algorithm 1 and equation 9.

    Raises:
        TrainingDiverged: the loss or its gradient is not finite; that step was not taken.
        UserError: no row of the rollout is experience.
    """
    rows = _training_rows(agent, rollout, config, reward_factor, held)
    batches = _minibatches(len(rows), config.minibatch_size)
    permutations = [torch.from_numpy(rng.permutation(len(rows))) for _ in range(config.epochs)]
    # In the very batches of the first epoch, so that rounding cannot move the first ratio off 1.
    shuffled = rows.take(permutations[0])
    with torch.no_grad():
        rows.log_prob_old[permutations[0]] = torch.cat(
            [_evaluate(agent, shuffled.take(batch))[0] for batch in batches]
        )
    first_ratio_deviation = math.nan
    measured: list[_Measured] = []
    for epoch, permutation in enumerate(permutations, start=1):
        measured.clear()
        shuffled = rows.take(permutation)
        for batch in batches:
            measured.append(_gradient(agent, optimizer, shuffled.take(batch), region, config, held))
            if epoch == 1 and len(measured) == 1:
                first_ratio_deviation = measured[0].ratio_deviation
            if _too_far(measured[-1].kl, config.target_kl):
                break
            optimizer.step(config.learning_rate)
        if _too_far(measured[-1].kl, config.target_kl):
            break
    means = _Measured(*np.mean(measured, axis=0).tolist())
    return UpdateStats(
        policy_loss=means.policy_loss,
        value_loss=means.value_loss,
        entropy=means.entropy,
        kl=means.kl,
        anchor_kl=None if held is None else means.anchor_kl,
        clip_fraction=means.clip_fraction,
        explained_variance=explained_variance(rows.value_old, rows.target),
        gradient_norm=means.gradient_norm,
        first_ratio_deviation=first_ratio_deviation,
        epochs=epoch,
    )


def _training_rows(
    agent: Agent, rollout: Rollout, config: PPOConfig, reward_factor: float, held: Held | None
) -> _Rows:
    keep = torch.from_numpy(np.flatnonzero(rollout.valid))
    if len(keep) == 0:
        raise UserError(
            "every step of a rollout was an autoreset, so there is nothing to learn from; "
            "raise rollout_steps or use SAME_STEP autoreset"
        )
    value = torch.from_numpy(rollout.value)
    advantage = gae(
        torch.from_numpy((rollout.reward * reward_factor).astype(np.float32)),
        value,
        torch.from_numpy(rollout.next_value),
        torch.from_numpy(rollout.terminated),
        torch.from_numpy(rollout.ended),
        gamma=config.gamma,
        lam=config.gae_lambda,
    )
    value_old, advantage = value.reshape(-1)[keep], advantage.reshape(-1)[keep]
    observation = rollout.observation.reshape(-1, agent.observation_size)
    mask = rollout.action_mask
    action = torch.from_numpy(rollout.action).flatten(0, 1)[keep]
    allowed = None if mask is None else torch.from_numpy(mask).flatten(0, 1)[keep]
    reference = None
    if held is not None:
        with torch.no_grad():
            # The reference sees observations through its own statistics.
            theirs = held.reference.inputs(observation)[keep]
            reference = held.reference.evaluate(theirs, action, allowed)[0]
    return _Rows(
        inputs=agent.inputs(observation)[keep],
        action=action,
        allowed=allowed,
        log_prob_reference=reference,
        log_prob_old=torch.empty(len(keep)),
        advantage=advantage,
        target=advantage + value_old,
        value_old=value_old,
    )


def _minibatches(rows: int, size: int) -> list[slice]:
    """Cut `rows` into equal parts of about `size`, so that no small remainder is left over."""
    count = max(1, round(rows / size))
    edges = np.linspace(0, rows, count + 1).round().astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]


def _evaluate(agent: Agent, batch: _Rows) -> tuple[Tensor, Tensor]:
    return agent.evaluate(batch.inputs, batch.action, batch.allowed)


def _gradient(
    agent: Agent,
    optimizer: Adam,
    batch: _Rows,
    region: TrustRegion,
    config: PPOConfig,
    held: Held | None,
) -> _Measured:
    """Put the clipped gradient of one minibatch's loss into the optimizer's buffer."""
    log_prob_new, entropy = _evaluate(agent, batch)
    log_ratio = log_prob_new - batch.log_prob_old
    kl = k3(log_ratio)
    advantage = batch.advantage
    if config.normalise_advantages:
        advantage = normalised_advantage(advantage)
    policy_term = region.loss(log_ratio, kl, advantage, batch.log_prob_old).mean()
    value_term = value_loss(
        agent.values(batch.inputs), batch.target, batch.value_old, clip=config.value_clip
    )
    entropy_term = entropy.mean()
    loss = (
        policy_term
        + config.value_coefficient * value_term
        - config.entropy_coefficient * entropy_term
    )
    anchor_kl = torch.zeros(())
    if held is not None and batch.log_prob_reference is not None:
        anchor_kl = held.anchor.distance(log_prob_new, batch.log_prob_reference).mean()
        loss = loss + held.anchor.coefficient * anchor_kl
    optimizer.zero_gradients()
    torch.autograd.backward(loss)
    with torch.no_grad():
        outside = region.outside(log_ratio, batch.log_prob_old)
        measured = _Measured(
            policy_loss=float(policy_term),
            value_loss=float(value_term),
            entropy=float(entropy_term),
            kl=float(kl.mean()),
            anchor_kl=float(anchor_kl),
            clip_fraction=float(outside.float().mean()),
            gradient_norm=optimizer.clip_gradients(config.max_grad_norm),
            ratio_deviation=float(torch.expm1(log_ratio).abs().max()),
        )
    _refuse_divergence(measured)
    return measured


def _too_far(kl: float, target: float | None) -> bool:
    return target is not None and kl > KL_TOLERANCE * target


def _refuse_divergence(measured: _Measured) -> None:
    broken = [
        f"{name} is {number}"
        for name, number in measured._asdict().items()
        if not math.isfinite(number)
    ]
    if broken:
        raise TrainingDiverged(
            f"training diverged: {', '.join(broken)}. The last checkpoint is kept; lower the "
            "learning rate, or look for extreme rewards or observations"
        )
