"""Everything that changes while training: made, written to a checkpoint, and put back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.adam import Adam
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.anchor import Reference
from ppo_marketing.ppo.categorical import CategoricalHead
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.minibatches import Held
from ppo_marketing.ppo.networks import flatten_parameters
from ppo_marketing.ppo.normalise import RunningMoments
from ppo_marketing.ppo.reward_scale import RewardScale
from ppo_marketing.ppo.rollout import Position, begin
from ppo_marketing.ppo.trust_region import TrustRegion
from ppo_marketing.ppo.update import UpdateStats


class Resumable(Protocol):
    """What an environment offers so that training on it can be resumed exactly."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, random generators included."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        ...


@dataclass(frozen=True)
class TrainingRow:
    """One line of the training history: where training stood after an update."""

    update: int  # counted from 1
    steps: int  # environment steps so far, over all copies
    seconds: float  # of training so far, interruptions left out
    steps_per_second: float  # of this update: gathering and learning, without validation
    episodes: int  # that ended in this rollout
    mean_return: float | None  # undiscounted, of those episodes; None when none ended
    learning_rate: float
    entropy_coefficient: float
    validation_score: float | None  # None when this update was not validated
    learning: UpdateStats

    def metrics(self) -> dict[str, float]:
        """Return every number that this update has, by name, for a log."""
        flat = asdict(self)
        flat |= flat.pop("learning")
        return {name: float(number) for name, number in flat.items() if number is not None}


@dataclass
class Run:
    """The state of one training; `train` alone changes it."""

    agent: Agent
    optimizer: Adam
    region: TrustRegion
    held: Held | None  # by which anchor, to which policy
    reward_scale: RewardScale | None
    position: Position
    rng: np.random.Generator
    history: list[TrainingRow]
    update: int
    steps: int
    seconds: float
    best: Agent
    best_score: float | None
    best_update: int


def start_run(
    env: VectorEnv, config: PPOConfig, seed: int, agent: Agent | None, reference: Reference | None
) -> Run:
    """Return the state before the first update; two streams of `seed` serve agent and training.

    Raises:
        UserError: the environment's spaces or autoreset, the agent or the reference do not fit.
    """
    start_stream, training_stream = np.random.SeedSequence(seed).spawn(2)
    fresh = Agent.create(
        env.single_observation_space,
        env.single_action_space,
        config,
        np.random.default_rng(start_stream),
    )
    if config.trust_region.discrete_only and not isinstance(fresh.head, CategoricalHead):
        raise UserError(
            f"the trust region {config.trust_region.kind!r} needs actions with probabilities and "
            f"{env.single_action_space} has densities: choose clip, steered_clip or kl_penalty"
        )
    if agent is not None:
        if agent.describe() != fresh.describe():
            raise UserError(
                f"the agent to start from does not fit:\n  it is      {agent.describe()}\n"
                f"  it must be {fresh.describe()}\nas this environment and configuration ask"
            )
        fresh.load_arrays(agent.arrays())
    fresh.to(device_of(config.device))
    scale = RewardScale.empty(env.num_envs, config.gamma)
    return Run(
        agent=fresh,
        optimizer=Adam(*flatten_parameters(fresh.parameters())),
        region=config.trust_region,
        held=None
        if config.anchor is None
        else Held(config.anchor, _own_reference(reference or fresh, fresh)),
        reward_scale=scale if config.reward_scale == "running" else None,
        position=begin(env, seed),
        rng=np.random.default_rng(training_stream),
        history=[],
        update=0,
        steps=0,
        seconds=0.0,
        best=fresh.copy(),
        best_score=None,
        best_update=0,
    )


def _own_reference(reference: Reference, fresh: Agent) -> Reference:
    """Return the reference where it can be asked, and out of reach of whoever trains it on."""
    if not isinstance(reference, Agent):
        return reference
    theirs, ours = reference.describe(), fresh.describe()
    differing = [name for name in ("observation_size", "head") if theirs[name] != ours[name]]
    if differing:
        raise UserError(
            f"the reference policy does not fit: it has another {' and another '.join(differing)} "
            f"than what is trained:\n  it is      {theirs}\n  it must be {ours}\n"
            "Give a reference for these observations and actions, or none"
        )
    return reference.copy().to(fresh.device)


def device_of(asked: Literal["cpu", "cuda", "auto"]) -> torch.device:
    """Return where to train: what was asked for; for "auto" a graphics card, if there is one.

    Raises:
        UserError: "cuda" was asked for and there is none.
    """
    found = torch.cuda.is_available()
    if asked == "cuda" and not found:
        raise UserError(
            "device is 'cuda', and torch finds no such graphics card here: set device to 'cpu' "
            "(or 'auto'), or install a torch built for CUDA on a machine with a card and its driver"
        )
    return torch.device("cuda" if found and asked != "cpu" else "cpu")


def state_of(run: Run, identity: dict[str, Any], env: VectorEnv) -> dict[str, Any]:
    """Return what a checkpoint holds; `identity` must be equal for it to be continued."""
    scale = run.reward_scale
    return {
        "identity": identity,
        "agent": run.agent.arrays(),
        "optimizer": run.optimizer.state(),
        "region": asdict(run.region),
        "anchor": None if run.held is None else asdict(run.held.anchor),
        "reward_scale": None if scale is None else asdict(scale),
        "position": asdict(run.position),
        "rng": run.rng.bit_generator.state,
        "environment": cast("Resumable", env).state_dict(),
        "history": [asdict(row) for row in run.history],
        "counters": {"update": run.update, "steps": run.steps, "seconds": run.seconds},
        "best": {
            "agent": run.best.arrays(),
            "score": run.best_score,
            "update": run.best_update,
        },
    }


def restore_run(
    run: Run, state: dict[str, Any], identity: dict[str, Any], env: VectorEnv, path: Path
) -> None:
    """Put a run, and its environment, back to where its checkpoint was written.

    Raises:
        UserError: the checkpoint is of another training; what differs is listed.
    """
    written = state["identity"]
    differing = [
        f"{name}: {written.get(name, 'absent')!r} in the checkpoint, "
        f"{identity.get(name, 'absent')!r} now"
        for name in sorted(written.keys() | identity.keys())
        if written.get(name) != identity.get(name)
    ]
    if differing:
        listed = "\n  ".join(differing)
        raise UserError(
            f"the checkpoint {path} is of another training:\n  {listed}\n"
            "Use the same settings to resume it, or another checkpoint file to start afresh"
        )
    run.agent.load_arrays(state["agent"])
    run.optimizer.load(state["optimizer"])
    run.region = replace(run.region, **state["region"])
    if run.held is not None:
        run.held = replace(run.held, anchor=replace(run.held.anchor, **state["anchor"]))
    if run.reward_scale is not None:
        scale = state["reward_scale"]
        moments = RunningMoments(**scale["moments"])
        run.reward_scale = RewardScale(moments, scale["discounted"], scale["gamma"])
    run.position = Position(**state["position"])
    run.rng.bit_generator.state = state["rng"]
    cast("Resumable", env).load_state_dict(state["environment"])
    run.history = [
        TrainingRow(**(row | {"learning": UpdateStats(**row["learning"])}))
        for row in state["history"]
    ]
    run.update = state["counters"]["update"]
    run.steps = state["counters"]["steps"]
    run.seconds = state["counters"]["seconds"]
    run.best.load_arrays(state["best"]["agent"])
    run.best_score = state["best"]["score"]
    run.best_update = state["best"]["update"]
