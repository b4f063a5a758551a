"""One PPO update: several epochs of shuffled minibatches over one rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ppo_marketing.errors import UserError
from ppo_marketing.ppo import torch_engine
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.advantages import gae
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.fused import engine as fused
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.learner import Learner
from ppo_marketing.ppo.losses import explained_variance
from ppo_marketing.ppo.minibatches import Held, Measured, TrainingRows
from ppo_marketing.ppo.rollout import Rollout
from ppo_marketing.ppo.trust_region import TrustRegion


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
    crew: Crew | None = None,
) -> UpdateStats:
    """Improve the agent, in place, from experience that it gathered as it stands.

    loss = mean region.loss(log ratio, k3, A, log π_old) + c_v · value loss - c_e · mean entropy
           + β · mean distance from the reference, where `held` names one

    `config` holds the learning rate and the entropy coefficient of this update (see
    `PPOConfig.at`) and which engine does the work, `rng` draws one permutation an epoch,
    `reward_factor` multiplies rewards; threads of the `crew` may share large minibatches.

    Source: Schulman et al. 2017, algorithm 1 and equation 9.

    Raises:
        TrainingDiverged: the loss or its gradient is not finite; that step was not taken.
        UserError: no row of the rollout is experience, or the engine cannot do what is asked.
    """
    rows = _training_rows(agent, rollout, config, reward_factor, held)
    return improve(agent, optimizer, rows, region, config, rng=rng, held=held, crew=crew)


def improve(
    learner: Learner,
    optimizer: Adam,
    rows: TrainingRows,
    region: TrustRegion,
    config: PPOConfig,
    *,
    rng: np.random.Generator,
    held: Held | None = None,
    crew: Crew | None = None,
) -> UpdateStats:
    """Do `ppo_update` on rows that are made already: of steps, or of sequences of tokens.

    Raises:
        TrainingDiverged: the loss or its gradient is not finite; that step was not taken.
        UserError: the engine cannot do what is asked.
    """
    permutations = [rng.permutation(len(rows)) for _ in range(config.epochs)]
    engine = engine_for(learner, region, config.engine)
    if isinstance(learner, Agent) and engine == "fused":
        passes = fused.run_passes(
            learner, optimizer, rows, permutations, region, config, held, crew or Crew([1])
        )
    else:
        passes = torch_engine.run_passes(
            learner, optimizer, rows, permutations, region, config, held
        )
    means = Measured(*np.mean(passes.last_epoch, axis=0).tolist())
    return UpdateStats(
        policy_loss=means.policy_loss,
        value_loss=means.value_loss,
        entropy=means.entropy,
        kl=means.kl,
        anchor_kl=None if held is None else means.anchor_kl,
        clip_fraction=means.clip_fraction,
        explained_variance=explained_variance(
            rows.experienced(rows.value_old), rows.experienced(rows.target)
        ),
        gradient_norm=means.gradient_norm,
        first_ratio_deviation=passes.first.ratio_deviation,
        epochs=passes.epochs,
    )


def _training_rows(
    agent: Agent, rollout: Rollout, config: PPOConfig, reward_factor: float, held: Held | None
) -> TrainingRows:
    device = agent.device
    # Where every row is experience, a slice: views instead of copies.
    keep: torch.Tensor | slice = slice(None)
    if not rollout.valid.all():
        keep = torch.from_numpy(np.flatnonzero(rollout.valid)).to(device)
    if not rollout.valid.any():
        raise UserError(
            "every step of a rollout was an autoreset, so there is nothing to learn from; "
            "raise rollout_steps or use SAME_STEP autoreset"
        )
    advantages = gae(
        rollout.reward,
        rollout.value,
        rollout.next_value,
        rollout.terminated,
        rollout.ended,
        gamma=config.gamma,
        lam=config.gae_lambda,
        reward_factor=reward_factor,
    )
    value_old = torch.from_numpy(rollout.value).to(device).reshape(-1)[keep]
    advantage = torch.from_numpy(advantages).to(device).reshape(-1)[keep]
    observation = rollout.observation.reshape(-1, agent.observation_size)
    mask = rollout.action_mask
    action = torch.from_numpy(rollout.action).to(device).flatten(0, 1)[keep]
    allowed = None if mask is None else torch.from_numpy(mask).to(device).flatten(0, 1)[keep]
    reference = None
    if held is not None:
        # The reference sees observations through its own statistics.
        theirs = observation if isinstance(keep, slice) else observation[rollout.valid.reshape(-1)]
        reference = held.reference.log_prob_stored(theirs, action, allowed)
    return TrainingRows(
        inputs=agent.inputs(observation)[keep],
        action=action,
        allowed=allowed,
        log_prob_reference=reference,
        log_prob_old=torch.empty(len(advantage), device=device),
        advantage=advantage,
        target=advantage + value_old,
        value_old=value_old,
    )


def engine_for(
    learner: Learner, region: TrustRegion, asked: Literal["auto", "torch", "fused"]
) -> Literal["torch", "fused"]:
    """Return which engine does an update: the fused one wherever it can and may.

    Raises:
        UserError: the fused engine was asked for and cannot; the reason and the remedy are given.
    """
    if asked == "torch":
        return "torch"
    obstacle: str | None = "the policy is not one of this package's perceptrons"
    if isinstance(learner, Agent):
        obstacle = fused.obstacle(learner, region)
    if obstacle is None:
        return "fused"
    if asked == "fused":
        raise UserError(f"engine is 'fused', and {obstacle}; set engine to 'auto' or 'torch'")
    return "torch"
