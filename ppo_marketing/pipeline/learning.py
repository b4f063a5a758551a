"""PPO on worlds: its settings, its start, and the score that chooses which update is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import VectorEnv

from envs.core.decision import Calibration, Decision
from envs.core.vector import RegretVectorEnv, WorldVectorEnv
from envs.core.world import Array, HindsightWorld, World
from ppo_marketing.config import TrainingSection, build
from ppo_marketing.constrained import PricedVectorEnv, score_beyond
from ppo_marketing.errors import UserError
from ppo_marketing.evaluation import ceiling_of, play, shares, telling_episodes
from ppo_marketing.pipeline.streams import (
    TRAIN_EPISODES,
    UNTRAINED,
    VALIDATION_EPISODES,
    stream,
)
from ppo_marketing.policy import Actor, PolicyActor
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.ppo.signals import StopSignal

# Torch takes seconds to import, and reading a log needs none of it.
if TYPE_CHECKING:
    from ppo_marketing.ppo.agent import Agent
    from ppo_marketing.ppo.anchor import Reference
    from ppo_marketing.ppo.config import PPOConfig
    from ppo_marketing.ppo.run import TrainingRow
    from ppo_marketing.ppo.train import TrainResult


def ppo_config(decision: Decision, training: TrainingSection) -> PPOConfig:
    """PPO's settings: its own defaults, the decision's, the user's.

    Raises UserError for what they contradict, the rollout's size included: before any work.
    """
    from ppo_marketing.ppo.config import PPOConfig, require_fitting_minibatch

    config = build(PPOConfig, {**decision.ppo, **training.ppo}, "training.ppo")
    require_fitting_minibatch(config, training.copies)
    if training.constraint is not None:
        _require_limitable(decision, training.constraint)
    if training.anchor_to != "start" and config.anchor is None:
        raise UserError(
            f"training.anchor_to is {training.anchor_to!r}, and no anchor holds to it: set "
            "training.ppo.anchor, such as {coefficient: 0.1, target_kl: 0.03}, or leave anchor_to "
            "out"
        )
    return config


def _require_limitable(decision: Decision, constraint: PIDLagrangian) -> None:
    known = [kpi.name for kpi in decision.kpis]
    unknown = [name for name in constraint.kpis if name not in known]
    if unknown:
        raise UserError(
            f"training.constraint: {decision.name} has no KPI {', '.join(unknown)}; it has "
            f"{', '.join(known)}"
        )
    if constraint.kpi not in decision.limitable:
        allowed = ", ".join(decision.limitable) or "none"
        raise UserError(
            f"training.constraint: {decision.name} cannot be trained within a limit on "
            f"{constraint.kpi} (on these it can: {allowed}): {decision.limit_instead}"
        )


def untrained(world: World[Any], config: PPOConfig, seed: int) -> Agent:
    """The agent that training starts from: its action is the space's zero, whatever it sees."""
    from ppo_marketing.ppo.agent import Agent

    return Agent.create(
        world.observation_space, world.action_space, config, stream(seed, UNTRAINED)
    )


def training_env(
    world: World[Any], copies: int, *, regret: bool, constraint: PIDLagrangian | None = None
) -> VectorEnv:
    """What an algorithm learns in: by regret where that is asked for and known, within a limit."""
    shaped = regret and isinstance(world, HindsightWorld)
    env = (RegretVectorEnv if shaped else WorldVectorEnv)(world, copies)
    return env if constraint is None else PricedVectorEnv(env, constraint)


def validation(
    decision: Decision,
    world: World[Any],
    episodes: int,
    seed: int,
    constraint: PIDLagrangian | None = None,
) -> Callable[[Actor], float]:
    """The score that chooses among policies: their mean share of the ceiling in one world.

    Any policy within the limit ranks above all beyond it, and those by how far they are beyond.
    """
    ceiling = ceiling_of(world, episodes, seed, decision.ceiling)
    telling = telling_episodes(ceiling, decision.ceiling_kind)

    def score(actor: Actor) -> float:
        kpis = play(actor, world, episodes, seed, "policy").kpis
        beyond = 0.0 if constraint is None else violation(constraint, kpis)
        if beyond > 0:
            return score_beyond(beyond)
        value = kpis[decision.value_kpi]
        return float(shares(value[telling], ceiling[telling], decision.ceiling_kind).mean())

    return score


def violation(constraint: PIDLagrangian, kpis: Mapping[str, Array]) -> float:
    """How far beyond the limit episodes with these KPI totals are: used / limit - 1."""
    return constraint.violation(np.stack([kpis[name] for name in constraint.kpis], axis=1))


def learn(
    decision: Decision,
    training_world: World[Any],
    validation_world: World[Any],
    training: TrainingSection,
    seed: int,
    *,
    checkpoint: Path | None = None,
    on_update: Callable[[TrainingRow], None] | None = None,
    stop: StopSignal | None = None,
    agent: Agent | None = None,
    reference: Reference | None = None,
) -> TrainResult:
    """Train PPO from the decision's start; fresh simulated episodes choose the best update.

    Where an `agent` is given, training starts from it instead. An anchor holds to `reference`, or
    to the start where none is given.
    """
    from ppo_marketing.ppo.train import train

    score = validation(
        decision, validation_world, training.validation_episodes, seed, training.constraint
    )
    config = ppo_config(decision, training)
    return train(
        training_env(
            training_world, training.copies, regret=training.regret, constraint=training.constraint
        ),
        config,
        agent=agent or untrained(training_world, config, seed),
        reference=reference,
        total_steps=training.total_steps,
        seed=seed,
        checkpoint=checkpoint,
        checkpoint_every=training.checkpoint_every,
        validate=lambda agent: score(PolicyActor("candidate", agent)),
        validate_every=training.validate_every,
        on_update=on_update,
        stop=stop,
    )


def learn_from_calibration(
    decision: Decision,
    calibration: Calibration,
    settings: Any,
    training: TrainingSection,
    seed: int,
    **watchers: Any,
) -> TrainResult:
    """Train through the calibrated simulator."""
    practised = decision.training_settings(settings)
    return learn(
        decision,
        calibration.training_world(training.episodes, practised, stream(seed, TRAIN_EPISODES)),
        calibration.training_world(
            training.validation_episodes, practised, stream(seed, VALIDATION_EPISODES)
        ),
        training,
        seed,
        **watchers,
    )
