"""The states in which two policies are compared: drawn once, by the champion's own play."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs.core.world import Array, World
from ppo_marketing.behaviour import Behaviour, Choices, Controls
from ppo_marketing.errors import UserError
from ppo_marketing.policy import Actor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import CategoricalHead, ItemHead
from ppo_marketing.ppo.gaussian import GaussianHead

DEFAULT_STATES = 4_000
"""A share of decisions then has a standard error below .008, in a twentieth of them below .036."""


@dataclass(frozen=True, eq=False)
class ReferenceStates:
    """n decisions that the champion met, in the order of steps.

    `world` is the world as the champion acts in it and `state` its state in each of them, so that
    `world.control(state, action)` says what any action would be to the market. `control` is what
    the champion did; `episode` and `step`, each `[n]`, say when.
    """

    world: World[Any]
    state: Any
    observation: Array
    mask: Array | None
    control: Array
    episode: NDArray[np.int64]
    step: NDArray[np.int64]

    @property
    def size(self) -> int:
        """n."""
        return len(self.observation)


def reference_states(
    world: World[Any],
    champion: Actor,
    *,
    seed: int,
    states: int = DEFAULT_STATES,
    episodes: int | None = None,
) -> ReferenceStates:
    """Draw decisions of the champion's play, all equally likely and none twice.

    It plays `episodes` (default: as many as the world has, at most `states`). Every decision of a
    running episode draws a key, and those with the smallest keys stay, so that memory holds no more
    than `states` and one step. Fewer are returned where the champion met fewer.

    Raises:
        UserError: `states` or `episodes` is not positive.
    """
    count = min(world.episodes, states) if episodes is None else episodes
    if states < 1 or count < 1:
        raise UserError(f"states={states} and episodes={count} must be 1 or more")
    # Streams of their own, none of which evaluation uses, so that what is judged is not what is
    # compared.
    episode_rng, actor_rng, key_rng = (np.random.default_rng([seed, 10, i]) for i in range(3))
    arena = champion.arena(world, actor_rng)
    state = arena.initial(count, episode_rng)
    running = np.ones(count, bool)
    kept: dict[str, Any] = {}
    for step in range(arena.horizon):
        observation, mask = arena.observe(state), arena.action_mask(state)
        control = champion.control(arena, state, actor_rng)
        key = np.where(running, key_rng.random(count), np.inf)
        rows = np.flatnonzero(key < np.inf)
        found = {
            "key": key[rows],
            "observation": observation[rows],
            "mask": None if mask is None else mask[rows],
            "control": np.asarray(control)[rows],
            "episode": rows,
            "step": np.full(len(rows), step),
            "state": type(state)(*(field[rows] for field in state)),
        }
        kept = _smallest(found if not kept else _joined(kept, found), states)
        outcome = arena.step(state, control, episode_rng)
        running &= ~(outcome.terminated | outcome.truncated)
        state = outcome.state
        if not running.any():
            break
    del kept["key"]
    return ReferenceStates(world=arena, **kept)


def behaviour_of(agent: Agent, reference: ReferenceStates, money: Array | None = None) -> Behaviour:
    """What an agent would do in the reference states; `money` `[n]` is what its actions cost there.

    Controls are in the market's unit, as `World.control` gives them.

    Raises:
        UserError: it takes several choices at once, or several controls, which are not compared.
    """
    shipped = agent.act(
        reference.observation, np.random.default_rng(0), reference.mask, deterministic=True
    )
    head = agent.head
    if isinstance(head, CategoricalHead) and head.scalar:
        probability = choice_probabilities(agent, reference.observation, reference.mask)
        return Choices(probability=probability, action=shipped - head.starts[0], money=money)
    with torch.no_grad():
        output = agent.actor(agent.inputs(reference.observation))
    control = np.asarray(reference.world.control(reference.state, shipped))
    if not isinstance(head, GaussianHead) or control.size != reference.size:
        raise UserError(
            f"the policy's actions {head.describe()} cannot be compared: one choice or one control "
            "a decision can"
        )
    return Controls(
        mean=output.double().cpu().numpy(),
        log_std=head.log_std.detach().double().cpu().numpy(),
        control=control.reshape(reference.size),
        money=money,
    )


def choice_probabilities(agent: Agent, observation: Array, mask: Array | None) -> Array:
    """pi(a | s) of an agent that makes one choice a decision, `[n, A]`; 0 where not allowed."""
    head = agent.head
    assert isinstance(head, CategoricalHead)
    assert head.scalar, "several choices at once have no single row of probabilities"
    allowed = agent.allowed(mask, len(observation))
    with torch.no_grad():
        output = agent.actor(agent.inputs(observation))
        logits = output @ head.features.T if isinstance(head, ItemHead) else output
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -torch.inf)
        return np.asarray(torch.softmax(logits.double(), dim=-1).cpu().numpy())


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {name: _each(np.concatenate, first[name], second[name]) for name in first}


def _smallest(found: dict[str, Any], most: int) -> dict[str, Any]:
    """The `most` rows of the smallest keys, in their order."""
    if len(found["key"]) <= most:
        return found
    rows = np.sort(np.argpartition(found["key"], most - 1)[:most])
    return {name: _each(lambda part: part[0][rows], value) for name, value in found.items()}


def _each(change: Any, *values: Any) -> Any:
    """`change` applied to arrays, to the fields of a state, and not to what is absent."""
    if values[0] is None:
        return None
    if isinstance(values[0], tuple):
        fields = (change(parts) for parts in zip(*values, strict=True))
        return type(values[0])(*fields)
    return change(values)
