"""Gathering experience: a fixed number of steps of every copy of a vector environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.fused.acting import Actor
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.head import Head

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rollout:
    """What T steps of N copies (or T tokens of N sequences) showed, time first.

    The probability of the actions under the policy that took them is not in it: `ppo_update`
    recomputes it before its first step, in the batches it trains on, so that the first ratio is
    exactly 1 and not 1 up to the rounding of another batch size.
    """

    observation: Array  # [T, N, size] float32, not normalised
    action: Array  # [T, N] or [T, N, dims], as the head stores it
    action_mask: Array | None  # [T, N, choices] bool
    reward: Array  # [T, N] float64, not scaled
    value: Array  # [T, N] V of the observation
    next_value: Array  # [T, N] V of the state each step truly led to
    terminated: Array  # [T, N] bool
    ended: Array  # [T, N] bool, terminated or truncated
    valid: Array  # [T, N] bool; False: the row is an artefact of autoreset, not experience
    episode_returns: Array  # [episodes] undiscounted returns of the episodes that ended here


@dataclass(frozen=True)
class Position:
    """Where the copies stand between two rollouts."""

    observation: Array  # [N, size]
    action_mask: Array | None  # [N, choices] bool
    resetting: Array  # [N] bool: the next step will only reset this copy and ignore its action
    episode_return: Array  # [N] undiscounted return of the running episode


def begin(env: VectorEnv, seed: int) -> Position:
    """Reset the environment and return where its copies stand.

    Raises:
        UserError: its autoreset mode is not one whose final values are known.
        TrainingDiverged: an observation is not finite.
    """
    mode = env.metadata.get("autoreset_mode")
    if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        raise UserError(
            f"the vector environment's metadata['autoreset_mode'] is {mode!r}; training needs "
            "AutoresetMode.SAME_STEP (preferred) or AutoresetMode.NEXT_STEP"
        )
    observation, info = env.reset(seed=seed)
    observation = _observed(observation)
    return Position(
        observation=observation,
        action_mask=np.array(info["action_mask"], np.bool_) if "action_mask" in info else None,
        resetting=np.zeros(env.num_envs, np.bool_),
        episode_return=np.zeros(env.num_envs),
    )


@runtime_checkable
class DirectEnv(Protocol):
    """A vector environment whose step writes into the caller's rows: no copies, no infos.

    Only where it resets within the same step, and where `step` means nothing else.
    """

    def step_into(
        self,
        actions: Array,
        observation: Array,
        reward: Array,
        terminated: Array,
        truncated: Array,
        final_observation: Array,
    ) -> Array | None:
        """Advance every copy and return the next decision's mask; [N, ...] each.

        `observation` is the next decision's; `final_observation` is written where an episode ended.
        """
        ...


class Buffers:
    """Room for one rollout after another: what `collect` returns is valid until the next call."""

    def __init__(self, steps: int, copies: int, observation_size: int) -> None:
        shape = (steps, copies)
        self.observation = np.empty((steps + 1, copies, observation_size), np.float32)
        self.reward = np.empty(shape)
        self.value = np.empty((steps + 1, copies), np.float32)
        self.next_value = np.empty(shape, np.float32)
        self.terminated = np.empty(shape, np.bool_)
        self.truncated = np.empty(shape, np.bool_)
        self.ended = np.empty(shape, np.bool_)
        self.valid = np.empty(shape, np.bool_)
        # Ends in the order of np.nonzero(ended); what no end has touched takes no memory.
        self.final = np.empty((steps * copies, observation_size), np.float32)
        self.final_row = np.empty((copies, observation_size), np.float32)
        self.final_value = np.empty(steps * copies, np.float32)
        # Made for the first rollout, whose head and masks say how large they are.
        self.action: Array | None = None
        self.mask: Array | None = None
        self.noise: Array | None = None

    def action_rows(self, head: Head) -> Array:
        """Return room for the stored actions [T, N] or [T, N, dims] of a head."""
        if self.action is None:
            self.action = np.empty((*self.reward.shape, *head.stored_shape), head.stored_type)
        return self.action

    def mask_rows(self, mask: Array) -> Array:
        """Return room for the masks [T, N, choices]."""
        if self.mask is None:
            self.mask = np.empty((len(self.reward), *mask.shape), np.bool_)
        return self.mask

    def noise_row(self, head: Head) -> Array:
        """Return room for the noise of one step of every copy."""
        if self.noise is None:
            self.noise = np.empty((self.reward.shape[1], head.noises), np.float32)
        return self.noise


def collect(
    env: VectorEnv,
    agent: Agent,
    position: Position,
    steps: int,
    rng: np.random.Generator,
    *,
    buffers: Buffers | None = None,
    compiled: bool = True,
    crew: Crew | None = None,
) -> tuple[Rollout, Position]:
    """Step every copy `steps` times with actions drawn from the agent.

    The rollout lies in `buffers`, where some are given, and is overwritten with them. `compiled`
    lets perceptrons act in compiled code, wherever it knows their head; threads of the `crew` may
    share what is done for the whole rollout at once.

    Raises:
        UserError: a final observation or a mask that was promised is missing.
        TrainingDiverged: a reward or an observation is not finite.
    """
    copies = env.num_envs
    room = buffers or Buffers(steps, copies, agent.observation_size)
    same_step = env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    direct = _direct(env) if same_step else None
    actor = Actor.of(agent) if compiled else None
    crew = crew or Crew([1])
    observation, reward, ended = room.observation, room.reward, room.ended
    observation[0] = position.observation
    mask = position.action_mask
    action = room.action_rows(agent.head)
    finals = 0
    episode_returns: list[Array] = []
    resetting, running_return = position.resetting.copy(), position.episode_return.copy()

    for step in range(steps):
        if mask is not None:
            room.mask_rows(mask)[step] = mask
        allowed = agent.allowed(mask, copies)
        # Step by step: a whole rollout's noise for 10,000 choices would be gigabytes.
        noise = agent.head.noise_into(rng, room.noise_row(agent.head))
        if actor is not None:
            choices = None if allowed is None else allowed.numpy()
            actor.act_into(observation[step], noise, choices, action[step])
        else:
            draws = torch.from_numpy(noise).to(agent.device)
            action[step] = agent.draw(agent.inputs(observation[step]), draws, allowed).cpu().numpy()
        np.logical_not(resetting, out=room.valid[step])
        taken = agent.head.to_environment(action[step])
        info: Mapping[str, Any] = {}
        if direct is not None:
            following = direct.step_into(
                taken, observation[step + 1], reward[step], room.terminated[step],
                room.truncated[step], room.final_row,
            )  # fmt: skip
            _require_same_presence(mask is not None, following is not None)
            mask = following
        else:
            (
                observation[step + 1],
                reward[step],
                room.terminated[step],
                room.truncated[step],
                info,
            ) = env.step(taken)
            mask = _mask_of(info, expected=mask is not None)
        _require_finite("reward", reward[step])
        _require_finite("observation", observation[step + 1])

        np.logical_or(room.terminated[step], room.truncated[step], out=ended[step])
        running_return += reward[step]
        over = np.flatnonzero(ended[step])
        if len(over):
            episode_returns.append(running_return[over])
            running_return[over] = 0.0
            if same_step:
                last = room.final[finals : finals + len(over)]
                if direct is None:
                    last[:] = _final_observations(info, over)
                else:
                    np.take(room.final_row, over, axis=0, out=last)
                _require_finite("observation", last)
                finals += len(over)
        if not same_step:
            resetting[:] = ended[step]

    _value(
        agent, actor, observation.reshape(-1, agent.observation_size), room.value.reshape(-1), crew
    )
    room.next_value[:] = room.value[1:]
    if finals:
        _value(agent, actor, room.final[:finals], room.final_value[:finals], crew)
        room.next_value[ended] = room.final_value[:finals]
    rollout = Rollout(
        observation=observation[:-1],
        action=action,
        action_mask=room.mask,
        reward=reward,
        value=room.value[:-1],
        next_value=room.next_value,
        terminated=room.terminated,
        ended=ended,
        valid=room.valid,
        episode_returns=np.concatenate(episode_returns) if episode_returns else np.empty(0),
    )
    return rollout, Position(observation[-1].copy(), mask, resetting, running_return)


def _direct(env: VectorEnv) -> DirectEnv | None:
    """Return the environment if its `step_into` says all that `step` says, None otherwise.

    A subclass that has changed `step` alone must not be passed by.
    """
    if not isinstance(env, DirectEnv):
        return None
    family = type(env).__mro__
    definers = {
        name: next(place for place, kind in enumerate(family) if name in vars(kind))
        for name in ("step", "step_into")
    }
    return env if definers["step_into"] <= definers["step"] else None


def _value(agent: Agent, actor: Actor | None, observation: Array, value: Array, crew: Crew) -> None:
    if actor is None:
        value[:] = agent.value(observation)
    else:
        actor.value_into(observation, value, crew)


def _observed(observation: Array) -> Array:
    array = np.asarray(observation, np.float32)
    _require_finite("observation", array)
    return array


def _mask_of(info: Mapping[str, Any], *, expected: bool) -> Array | None:
    _require_same_presence(expected, "action_mask" in info)
    return np.array(info["action_mask"], np.bool_) if expected else None


def _require_same_presence(before: bool, now: bool) -> None:
    if before != now:
        words = ("absent", "present")
        raise UserError(
            f"info['action_mask'] is {words[now]} after this step and was {words[before]} before "
            "it; an environment must give the mask of the current observation always or never"
        )


def _final_observations(info: Mapping[str, Any], over: Array) -> Array:
    """Return the observations [k, size] in which the copies `over [k]` truly ended."""
    if "final_obs" not in info:
        raise UserError(
            "an episode ended and info['final_obs'] is missing; with SAME_STEP autoreset an "
            "environment must give the final observation of every copy that ended"
        )
    final = info["final_obs"]
    return np.stack([np.asarray(final[copy], np.float32) for copy in over])


def _require_finite(what: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise TrainingDiverged(_not_finite(what, array))


def _not_finite(what: str, array: Array) -> str:
    copies = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    listed = ", ".join(map(str, copies[:5]))
    return (
        f"the environment gave a {what} that is not a finite number in {len(copies)} of "
        f"{len(array)} copies (first: {listed}); training stopped before learning from it"
    )
