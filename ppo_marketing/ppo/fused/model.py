"""An agent as the kernels see it: where its parameters lie, its head as numbers, its scratch."""

from __future__ import annotations

import numpy as np
import torch

from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import CategoricalHead, ItemHead
from ppo_marketing.ppo.fused.compiled import TILE, Floats
from ppo_marketing.ppo.fused.heads import CATEGORICAL, GAUSSIAN, SQUASHED, HeadForm
from ppo_marketing.ppo.fused.kernel import BLOCKS, LANES, Model, Scratch
from ppo_marketing.ppo.fused.objective import MEASURES
from ppo_marketing.ppo.fused.perceptron import Net, largest_matrix, widest
from ppo_marketing.ppo.gaussian import GaussianHead, SquashedGaussianHead
from ppo_marketing.ppo.head import Head
from ppo_marketing.ppo.networks import Perceptron, shared_buffer


def agent_obstacle(agent: Agent) -> str | None:
    """Return why the kernels cannot serve this agent; None where they can."""
    if agent.device.type != "cpu":
        return f"the agent is on {agent.device}, and the fused engine is for the CPU"
    if type(agent.head) not in (GaussianHead, SquashedGaussianHead, CategoricalHead):
        return f"the fused engine has no kernel for the action head {type(agent.head).__name__}"
    if shared_buffer(agent.parameters()) is None:
        return "the agent's parameters do not share one flat buffer (see `flatten_parameters`)"
    return None


def model_of(agent: Agent) -> tuple[Floats, Model]:
    """Return the flat parameters, sharing memory, and what lies where in them."""
    flat = shared_buffer(agent.parameters())
    assert flat is not None, "agent_obstacle comes first"
    model = Model(_net(agent.actor), _net(agent.critic), _form(agent.head))
    return flat.numpy(), model


def _net(perceptron: Perceptron) -> Net:
    weights = list(perceptron.weights)
    sizes = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
    return Net(
        sizes=np.array(sizes, np.int64),
        weights=np.array([weight.storage_offset() for weight in weights], np.int64),
        biases=np.array([bias.storage_offset() for bias in perceptron.biases], np.int64),
    )


def _form(head: Head) -> HeadForm:
    empty = np.empty(0, np.float32)
    if isinstance(head, CategoricalHead):
        assert not isinstance(head, ItemHead)
        edges = np.cumsum((0, *head.counts)).astype(np.int64)
        return HeadForm(CATEGORICAL, edges, -1, empty, empty, 0.0)
    assert isinstance(head, GaussianHead)
    edges = np.array([0, head.outputs], np.int64)
    place = int(head.log_std.storage_offset())
    if isinstance(head, SquashedGaussianHead):
        return HeadForm(SQUASHED, edges, place, head.points, head.weights, head.log_radius)
    return HeadForm(GAUSSIAN, edges, place, empty, empty, 0.0)


def scratch_for(model: Model, parameters: int, dims: int) -> Scratch:
    """Return room for every lane; small enough for the caches, so that it is made once an update.

    `dims` is the number of stored numbers of an action.
    """
    wide = TILE * widest(model.actor, model.critic)
    head = model.head

    def room(*shape: int, dtype: type = np.float32) -> np.ndarray:
        return np.empty((LANES, *shape), dtype)

    return Scratch(
        inputs=room(TILE * int(model.actor.sizes[0])),
        action=room(TILE * dims),
        allowed=room(TILE * int(head.edges[-1]), dtype=np.bool_),
        actor=room(len(model.actor.weights), wide),
        critic=room(len(model.critic.weights), wide),
        delta=room(wide),
        spare=room(wide),
        product=room(largest_matrix(model.actor, model.critic)),
        log_prob=room(TILE),
        entropy=room(TILE),
        log_prob_slope=room(TILE * head.slopes),
        entropy_slope=room(TILE * head.slopes),
        policy_slope=room(TILE),
        value_slope=room(TILE),
        gradient=room(parameters),
        measured=room(MEASURES, dtype=np.float64),
        squares=np.empty(BLOCKS),
    )


def as_columns(action: torch.Tensor) -> Floats:
    """Return stored actions as float32 [n, dims]: the form the kernels take them in."""
    return np.ascontiguousarray(action.reshape(len(action), -1).numpy(), dtype=np.float32)
