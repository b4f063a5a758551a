"""The reference engine of the update: torch and autograd, for any network, head and device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.learner import Learner
from ppo_marketing.ppo.losses import k3, normalised_advantage, value_loss
from ppo_marketing.ppo.minibatches import (
    Held,
    Measured,
    Passes,
    TrainingRows,
    kl_limit,
    minibatches,
    refuse_divergence,
)
from ppo_marketing.ppo.trust_region import TrustRegion


def run_passes(
    agent: Learner,
    optimizer: Adam,
    rows: TrainingRows,
    permutations: list[np.ndarray],
    region: TrustRegion,
    config: PPOConfig,
    held: Held | None,
) -> Passes:
    """Take a step on every minibatch of every permutation, until the KL is too large.

    Raises:
        TrainingDiverged: the loss or its gradient is not finite; that step was not taken.
    """
    batches = minibatches(len(rows), config.minibatch_size)
    orders = [torch.from_numpy(order).to(agent.device) for order in permutations]
    # In the very batches of the first epoch, so that rounding cannot move the first ratio off 1.
    shuffled = rows.take(orders[0])
    with torch.no_grad():
        rows.log_prob_old[orders[0]] = torch.cat(
            [_evaluate(agent, shuffled.take(batch))[0] for batch in batches]
        )
    limit = kl_limit(config.target_kl)
    first: Measured | None = None
    measured: list[Measured] = []
    epochs = 0
    for order in orders:
        epochs += 1
        measured.clear()
        shuffled = rows.take(order)
        for batch in batches:
            measured.append(
                minibatch_gradient(agent, optimizer, shuffled.take(batch), region, config, held)
            )
            first = first or measured[-1]
            if measured[-1].kl > limit:
                break
            optimizer.step(config.learning_rate)
        if measured[-1].kl > limit:
            break
    assert first is not None, "an update has at least one epoch of at least one minibatch"
    return Passes(first, measured, epochs)


def _evaluate(agent: Learner, batch: TrainingRows) -> tuple[Tensor, Tensor]:
    return agent.evaluate(batch.inputs, batch.action, batch.allowed)


def minibatch_gradient(
    agent: Learner,
    optimizer: Adam,
    batch: TrainingRows,
    region: TrustRegion,
    config: PPOConfig,
    held: Held | None,
) -> Measured:
    """Put the clipped gradient of one minibatch's loss into the optimizer's buffer."""
    log_prob_new, entropy = map(batch.experienced, _evaluate(agent, batch))
    log_prob_old = batch.experienced(batch.log_prob_old)
    log_ratio = log_prob_new - log_prob_old
    kl = k3(log_ratio)
    advantage = batch.experienced(batch.advantage)
    if config.normalise_advantages:
        advantage = normalised_advantage(advantage)
    policy_term = region.loss(log_ratio, kl, advantage, log_prob_old).mean()
    value, target, value_old = map(
        batch.experienced, (agent.values(batch.inputs), batch.target, batch.value_old)
    )
    value_term = value_loss(value, target, value_old, clip=config.value_clip)
    entropy_term = entropy.mean()
    loss = (
        policy_term
        + config.value_coefficient * value_term
        - config.entropy_coefficient * entropy_term
    )
    anchor_kl = loss.new_zeros(())
    if held is not None and batch.log_prob_reference is not None:
        with torch.no_grad():
            sampled = log_prob_new, log_prob_old, batch.experienced(batch.log_prob_reference)
            anchor_kl = held.anchor.distance(*sampled).mean()
            slope = held.anchor.slope(*sampled)
        # Of the distance only the gradient is added: slope ∇log π_new.
        loss = loss + held.anchor.coefficient * (slope * log_prob_new).mean()
    optimizer.zero_gradients()
    torch.autograd.backward(loss)
    with torch.no_grad():
        outside = region.outside(log_ratio, log_prob_old)
        measured = Measured(
            policy_loss=float(policy_term),
            value_loss=float(value_term),
            entropy=float(entropy_term),
            kl=float(kl.mean()),
            anchor_kl=float(anchor_kl),
            clip_fraction=float(outside.float().mean()),
            ratio_deviation=float(torch.expm1(log_ratio).abs().max()),
            gradient_norm=optimizer.clip_gradients(config.max_grad_norm),
        )
    refuse_divergence(measured)
    return measured
