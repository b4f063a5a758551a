"""Golden vectors: what the trained policy answered, kept to check every copy of it by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ppo_marketing.export.onnx_policy import Answer
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.distributions import CategoricalHead, ItemHead

Array = NDArray[Any]

TOLERANCE = 1e-6
"""Of a probability, of an action, and of a score in units of its row's largest (at least 1): about
ten roundings of single precision, which both sides compute in."""


def agents_answer(agent: Agent, observation: Array, mask: Array | None = None) -> Answer:
    """What the agent itself says, in the form of an `OnnxPolicy`'s answer."""
    rng = np.random.default_rng(0)  # the most likely action draws nothing
    action = agent.act(observation, rng, mask, deterministic=True)
    with torch.no_grad():
        score = agent.actor(agent.inputs(observation))
        if isinstance(agent.head, ItemHead):
            score = score @ agent.head.features.T
    if not isinstance(agent.head, CategoricalHead):
        return Answer(action, score.numpy(), None)
    scores = score.numpy()
    if mask is not None:
        scores = np.where(np.asarray(mask, np.bool_), scores, np.float32(-1e8))
    parts = np.split(scores, np.cumsum(agent.head.counts)[:-1], axis=1)
    chances = [torch.softmax(torch.from_numpy(part), 1).numpy() for part in parts]
    return Answer(action, scores, np.concatenate(chances, axis=1))


def golden_vectors(agent: Agent, observation: Array, mask: Array | None) -> dict[str, Any]:
    """Observations `[n, obs]`, masks and the agent's answers to them, as plain values."""
    said = agents_answer(agent, observation, mask)
    return {
        "tolerance": TOLERANCE,
        "observation": observation.tolist(),
        "mask": None if mask is None else np.asarray(mask, np.bool_).tolist(),
        **{name: None if v is None else v.tolist() for name, v in said._asdict().items()},
    }


def as_answer(golden: Mapping[str, Any]) -> tuple[Array, Array | None, Answer]:
    """Observations, masks and answers of what `golden_vectors` wrote."""
    mask = golden["mask"]
    chance = golden["probability"]
    return (
        np.array(golden["observation"], np.float32),
        None if mask is None else np.array(mask, np.bool_),
        Answer(
            np.array(golden["action"]),
            np.array(golden["score"], np.float32),
            None if chance is None else np.array(chance, np.float32),
        ),
    )


def disagreements(
    found: Answer, wanted: Answer, action: Mapping[str, Any], tolerance: float = TOLERANCE
) -> list[str]:
    """Where two answers differ by more than rounding; `action` is the schema of actions.

    Two choices are the same answer where their probabilities tie within the tolerance.
    """
    problems = []
    reach = np.where(np.abs(wanted.score) < 1e7, np.abs(wanted.score), 0.0).max(axis=1)
    allowed = tolerance * np.maximum(1.0, reach)[:, None]
    distances = {"score": np.abs(found.score - wanted.score) / allowed * tolerance}
    if wanted.probability is None:
        far = np.abs(np.asarray(found.action, np.float64) - wanted.action)
        distances["action"] = far / np.maximum(1.0, np.abs(wanted.action))
    else:
        assert found.probability is not None
        distances["probability"] = np.abs(found.probability - wanted.probability)
        distances["choice"] = _gaps(found.action, wanted, action)
    for name, distance in distances.items():
        largest = float(distance.max()) if np.isfinite(distance).all() else np.inf
        if not largest <= tolerance:
            problems.append(f"{name} differs by {largest:.3g}, allowed {tolerance:g}")
    return problems


def _gaps(chosen: Array, wanted: Answer, action: Mapping[str, Any]) -> Array:
    """How much less likely the found choices are than the wanted ones, `[n]`, the most of parts."""
    assert wanted.probability is not None
    rows = np.arange(len(wanted.action))
    starts = np.array(action["starts"])
    edges = np.cumsum([0, *action["counts"]])
    two = [np.asarray(a).reshape(len(rows), -1) - starts for a in (chosen, wanted.action)]
    gaps = np.zeros(len(rows))
    for part, first in enumerate(edges[:-1]):
        found, best = (wanted.probability[rows, first + one[:, part]] for one in two)
        gaps = np.maximum(gaps, best - found)
    return gaps
