"""Gathering experience: a fixed number of steps of every copy of a vector environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from ppo_marketing.errors import TrainingDiverged, UserError
from ppo_marketing.ppo.agent import Agent

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


def collect(
    env: VectorEnv, agent: Agent, position: Position, steps: int, rng: np.random.Generator
) -> tuple[Rollout, Position]:
    """Step every copy `steps` times with actions drawn from the agent.

    Raises:
        UserError: a final observation or a mask that was promised is missing.
        TrainingDiverged: a reward or an observation is not finite.
    """
    copies = env.num_envs
    same_step = env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observation = np.empty((steps + 1, *position.observation.shape), np.float32)
    observation[0] = position.observation
    mask = position.action_mask
    masks: list[Array] = []
    actions: list[Array] = []
    reward = np.empty((steps, copies))
    terminated = np.empty((steps, copies), np.bool_)
    ended = np.empty((steps, copies), np.bool_)
    valid = np.empty((steps, copies), np.bool_)
    finals: list[Array] = []  # final observations in the order of np.nonzero(ended)
    episode_returns: list[Array] = []
    resetting, running_return = position.resetting, position.episode_return

    for step in range(steps):
        if mask is not None:
            masks.append(mask)
        allowed = agent.allowed(mask, copies)
        # Step by step: a whole rollout's noise for 10,000 choices would be gigabytes.
        noise = torch.from_numpy(agent.head.noise(rng, (copies,))).to(agent.device)
        stored = agent.draw(agent.inputs(observation[step]), noise, allowed).cpu().numpy()
        actions.append(stored)
        valid[step] = ~resetting
        following, reward[step], terminated[step], truncated, info = env.step(
            agent.head.to_environment(stored)
        )
        if not np.isfinite(reward[step]).all():
            raise TrainingDiverged(_not_finite("reward", reward[step]))
        ended[step] = terminated[step] | truncated
        observation[step + 1] = _observed(following)
        mask = _mask_of(info, expected=mask is not None)

        running_return = running_return + reward[step]
        if ended[step].any():
            episode_returns.append(running_return[ended[step]])
            running_return = np.where(ended[step], 0.0, running_return)
            if same_step:
                finals.append(_final_observations(info, ended[step]))
        resetting = np.zeros_like(resetting) if same_step else ended[step]

    values = agent.value(observation.reshape(-1, observation.shape[-1])).reshape(-1, copies)
    next_value = values[1:].copy()
    if finals:
        next_value[ended] = agent.value(np.concatenate(finals))
    rollout = Rollout(
        observation=observation[:-1],
        action=np.stack(actions),
        action_mask=np.stack(masks) if masks else None,
        reward=reward,
        value=values[:-1],
        next_value=next_value,
        terminated=terminated,
        ended=ended,
        valid=valid,
        episode_returns=np.concatenate(episode_returns) if episode_returns else np.empty(0),
    )
    return rollout, Position(observation[-1].copy(), mask, resetting, running_return)


def _observed(observation: Array) -> Array:
    array = np.asarray(observation, np.float32)
    if not np.isfinite(array).all():
        raise TrainingDiverged(_not_finite("observation", array))
    return array


def _mask_of(info: Mapping[str, Any], *, expected: bool) -> Array | None:
    if ("action_mask" in info) != expected:
        found, before = ("present", "absent") if not expected else ("absent", "present")
        raise UserError(
            f"info['action_mask'] is {found} after this step and was {before} before it; an "
            "environment must give the mask of the current observation always or never"
        )
    return np.array(info["action_mask"], np.bool_) if expected else None


def _final_observations(info: Mapping[str, Any], ended: Array) -> Array:
    """Return the observations [k, size] in which the k ended copies truly ended."""
    if "final_obs" not in info:
        raise UserError(
            "an episode ended and info['final_obs'] is missing; with SAME_STEP autoreset an "
            "environment must give the final observation of every copy that ended"
        )
    final = info["final_obs"]
    return _observed(np.stack([final[copy] for copy in np.flatnonzero(ended)]))


def _not_finite(what: str, array: Array) -> str:
    copies = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
    listed = ", ".join(map(str, copies[:5]))
    return (
        f"the environment gave a {what} that is not a finite number in {len(copies)} of "
        f"{len(array)} copies (first: {listed}); training stopped before learning from it"
    )
