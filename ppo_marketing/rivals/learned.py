"""What every algorithm gives back, and what it is watched with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import VectorEnv

Array = npt.NDArray[Any]

PROBE_ROWS = 512


class Chooser(Protocol):
    """What a trained algorithm is judged by: an action for every row of observations."""

    def act(
        self,
        observation: Array,
        rng: np.random.Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """Return an action for every row `[n, ...]`; the preferred one where `deterministic`."""
        ...

    def copy(self) -> Self:
        """Return the same policy, which further training does not change."""
        ...


OnCurve = Callable[[int, Chooser], None]
"""Called with the steps so far and the policy as it stands: at the start and after every update."""


@dataclass(frozen=True)
class Learned:
    """What a training gave; None where the algorithm has no such number.

    `largest_kl` and `mean_kl` (of the last half of training) are in nats, between the policies
    before and after one update; a deterministic policy has none. `entropy` is of the final policy,
    in nats; `clip_fraction` the mean share of ratios outside a trust region's interval.
    """

    policy: Chooser
    steps: int
    updates: int
    largest_kl: float | None
    mean_kl: float | None
    clip_fraction: float | None
    entropy: float | None


def last_half_mean(values: list[float]) -> float | None:
    """The mean of the second half of a history; None of an empty one."""
    return float(np.mean(values[len(values) // 2 :])) if values else None


class Probe(NamedTuple):
    """Situations in which policies are compared with each other: `[n, obs]` and their masks."""

    observation: Array
    mask: Array | None


def probed(env: VectorEnv, seed: int, rng: np.random.Generator) -> Probe:
    """Situations that allowed actions at random lead to, `PROBE_ROWS` of them or a few more.

    The environment is left in their midst: it must be reset with a seed before it is used.
    """
    observation, info = env.reset(seed=seed)
    seen: list[Array] = []
    masks: list[Any] = []
    for _ in range(-(-PROBE_ROWS // env.num_envs)):
        seen.append(np.array(observation, np.float32))
        masks.append(info.get("action_mask"))
        actions = _at_random(env.single_action_space, env.num_envs, masks[-1], rng)
        observation, *_, info = env.step(actions)
    mask = None if masks[0] is None else np.concatenate(masks).astype(np.bool_)
    return Probe(np.concatenate(seen), mask)


def _at_random(
    space: spaces.Space[Any], n: int, mask: Array | None, rng: np.random.Generator
) -> Array:
    if isinstance(space, spaces.Box):
        low, high = np.maximum(space.low, -1.0), np.minimum(space.high, 1.0)
        return rng.uniform(low, high, (n, *space.shape)).astype(np.float32)
    assert isinstance(space, spaces.Discrete), "decisions have one choice or a Box"
    liking = rng.random((n, int(space.n)))
    if mask is not None:
        liking[mask == 0] = -1.0
    return np.asarray(liking.argmax(axis=1) + space.start)


def permitted(action: Array, mask: Array | None) -> tuple[Array, int]:
    """Choices `[n]` with every forbidden one replaced by the first allowed, and how many were.

    The one rule for policies that know no masks, in training and when judged: a world need not
    know what to do with what it forbids.
    """
    if mask is None:
        return action, 0
    forbidden = mask[np.arange(len(action)), action] == 0
    if not forbidden.any():
        return action, 0
    return np.where(forbidden, np.argmax(mask != 0, axis=1), action), int(forbidden.sum())
