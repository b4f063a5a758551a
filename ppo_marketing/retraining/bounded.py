"""A challenger that went too far is brought back towards the champion, until the bound holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from envs.core.world import Array
from ppo_marketing.ppo.agent import Agent

HALVINGS = 10
"""Of the way: what is left then is a thousandth of it, and after that the champion itself."""


class Bounded(NamedTuple):
    """A policy within the bound: its distance, what it was before, and the share of the way."""

    agent: Agent
    distance: float
    before: float
    share: float


def brought_back(
    champion: Agent, proposal: Agent, distance: Callable[[Agent], float], most: float
) -> Bounded:
    """The first of the policies at 1, 1/2, 1/4, ... of the way with distance(policy) <= most.

        θ(s) = θ_champion + s (θ_proposal - θ_champion)

    The way is a straight line of parameters and of what observations are scaled by; the distance of
    its start, the champion, is 0, so one always holds.
    """
    before = distance(proposal)
    found, share = before, 1.0
    agent = proposal
    for _ in range(HALVINGS):
        if found <= most:
            return Bounded(agent, found, before, share)
        share /= 2
        agent = _between(champion, proposal, share)
        found = distance(agent)
    if found <= most:
        return Bounded(agent, found, before, share)
    return Bounded(champion.copy(), 0.0, before, 0.0)


def _between(champion: Agent, proposal: Agent, share: float) -> Agent:
    start, end = champion.arrays(), proposal.arrays()
    mixed = {
        name: (first + share * (end[name] - first)).astype(first.dtype)
        for name, first in start.items()
        if not name.startswith("normaliser.")
    }
    agent = proposal.copy()
    agent.load_arrays(mixed | _scaling(start, end, share))
    return agent


def _scaling(start: dict[str, Array], end: dict[str, Array], share: float) -> dict[str, Array]:
    """Mean and variance part of the way, over as many rows as the end saw."""
    if "normaliser.count" not in end:
        return {}
    count = int(end["normaliser.count"])

    def variance(arrays: dict[str, Array]) -> Array:
        seen = int(arrays["normaliser.count"])
        squares = arrays["normaliser.squares"]
        return np.asarray(squares / seen if seen else np.ones_like(squares))

    first, second = variance(start), variance(end)
    mean = start["normaliser.mean"]
    return {
        "normaliser.count": np.array(count),
        "normaliser.mean": mean + share * (end["normaliser.mean"] - mean),
        "normaliser.squares": count * (first + share * (second - first)),
    }
