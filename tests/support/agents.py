"""Agents of every kind of action, with statistics and weights as training leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig

SIZE = 16


def _items() -> spaces.Discrete[Any]:
    space: spaces.Discrete[Any] = spaces.Discrete(50)
    features = np.random.default_rng(5).normal(size=(50, 6)).astype(np.float32)
    setattr(space, "item_features", features)  # noqa: B010 - not an attribute of Discrete
    return space


KINDS: dict[str, tuple[spaces.Space[Any], dict[str, Any]]] = {
    "amounts, clipped": (spaces.Box(-1.0, 1.0, (2,), np.float32), {}),
    "amounts without bounds": (spaces.Box(-np.inf, np.inf, (1,), np.float32), {}),
    "amounts, squashed": (spaces.Box(-0.5, 2.0, (2,), np.float32), {"squash_actions": True}),
    "choices": (spaces.Discrete(7, start=2), {}),
    "several choices": (spaces.MultiDiscrete([3, 4]), {}),
    "items by features": (_items(), {}),
    "not normalised": (spaces.Discrete(4), {"normalise_observations": False}),
    "one layer": (spaces.Discrete(4), {"hidden": ()}),
}


def agent_of(kind: str, seed: int = 0, *, hidden: tuple[int, ...] = (64, 64)) -> Agent:
    """An agent whose parameters moved away from where they start."""
    space, settings = KINDS[kind]
    rng = np.random.default_rng(seed)
    config = PPOConfig(
        **{"start": "random", "hidden": hidden, "normalise_observations": True, **settings}
    )
    agent = Agent.create(spaces.Box(-3, 3, (SIZE,), np.float32), space, config, rng)
    arrays = agent.arrays()
    for name, array in arrays.items():
        if name.startswith("actor."):
            moved = array + rng.normal(size=array.shape) * 0.05
            arrays[name] = moved.astype(np.float32)
    if agent.normaliser is not None:
        arrays["normaliser.count"] = np.array(1000)
        arrays["normaliser.mean"] = rng.normal(size=SIZE)
        arrays["normaliser.squares"] = rng.uniform(100, 2000, SIZE)
    agent.load_arrays(arrays)
    return agent


def states(agent: Agent, n: int, seed: int = 1) -> tuple[Any, Any]:
    """`n` random observations and, where the agent chooses, masks that leave some choice."""
    rng = np.random.default_rng(seed)
    observation = (2 * rng.normal(size=(n, SIZE))).astype(np.float32)
    counts = getattr(agent.head, "counts", None)
    if counts is None:
        return observation, None
    mask = rng.random((n, sum(counts))) < 0.5
    first = np.cumsum([0, *counts[:-1]])
    for start, count in zip(first, counts, strict=True):
        mask[np.arange(n), start + rng.integers(0, count, n)] = True
    return observation, mask
