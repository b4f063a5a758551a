"""What the trained agent itself answers: the golden vectors that every copy of it is checked by."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ppo_marketing.export.golden import TOLERANCE
from ppo_marketing.export.onnx_policy import Answer
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import CategoricalHead, ItemHead

Array = NDArray[Any]


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
