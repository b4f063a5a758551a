"""Acting and valuing for many rows at once: normalise, forward and sample, tile by tile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import MASKED_LOGIT
from ppo_marketing.ppo.fused.compiled import TILE, Array, Floats, njit
from ppo_marketing.ppo.fused.crew import Crew
from ppo_marketing.ppo.fused.heads import CATEGORICAL, HeadForm, largest_of
from ppo_marketing.ppo.fused.kernel import Model, lanes_of, share_of
from ppo_marketing.ppo.fused.model import agent_obstacle, model_of
from ppo_marketing.ppo.fused.perceptron import Net, forward, widest
from ppo_marketing.ppo.fused.rows import normalise_rows
from ppo_marketing.ppo.normalise import centre_and_scale


class Actor:
    """An agent that acts and values into arrays of the caller's; a view of it as it stands now.

    What it allocates, it allocates here; its statistics are those of this moment.
    """

    def __init__(self, agent: Agent) -> None:
        self._flat, self._model = model_of(agent)
        self._centre, self._scale = centre_and_scale(agent.normaliser, agent.observation_size)
        actor, critic = self._model.actor, self._model.critic
        layers = max(len(actor.weights), len(critic.weights))
        self._inputs = np.empty(TILE * agent.observation_size, np.float32)
        self._hidden = np.empty((layers, TILE * widest(actor, critic)), np.float32)
        self._everything = np.empty((0, 0), np.bool_)

    @staticmethod
    def of(agent: Agent) -> Actor | None:
        """Return the agent's, None where the kernels do not know it."""
        return None if agent_obstacle(agent) else Actor(agent)

    def act_into(
        self, observation: Floats, noise: Floats, allowed: Array | None, stored: Array
    ) -> None:
        """Write the stored actions that `noise [n, outputs]` selects into `stored [n, ...]`."""
        _act(
            self._flat, self._model, observation, self._centre, self._scale, noise,
            self._everything if allowed is None else allowed, stored.reshape(len(stored), -1),
            self._inputs, self._hidden,
        )  # fmt: skip

    def value_into(self, observation: Floats, value: Floats, crew: Crew) -> None:
        """Write V(s) of `observation [n, size]` into `value [n]`; threads of the crew share it."""
        count = len(observation)
        tiles, lanes = -(-count // TILE), lanes_of(count)
        threads = min(crew.threads(lanes), lanes)

        def part(thread: int) -> None:
            # Whole tiles: a row's last bits depend on how many rows a product has.
            first, last = (min(count, TILE * edge) for edge in share_of(tiles, thread, threads))
            alone = thread == 0
            _value(
                self._flat, self._model.critic, observation[first:last], self._centre, self._scale,
                value[first:last],
                self._inputs if alone else np.empty_like(self._inputs),
                self._hidden if alone else np.empty_like(self._hidden),
            )  # fmt: skip

        crew.share(threads, part)


@njit
def _act(
    flat: Floats,
    model: Model,
    observation: Any,
    centre: Any,
    scale: Any,
    noise: Any,
    allowed: Any,
    stored: Any,
    inputs: Floats,
    hidden: Floats,
) -> None:
    size = observation.shape[1]
    for first in range(0, len(observation), TILE):
        last = min(len(observation), first + TILE)
        tile = inputs[: (last - first) * size].reshape(last - first, size)
        normalise_rows(observation[first:last], centre, scale, tile)
        output = forward(flat, model.actor, tile, hidden)
        if model.head.kind == CATEGORICAL:
            mask = allowed[first:last] if len(allowed) > 0 else allowed
            _choose(model.head, output, noise[first:last], mask, stored[first:last])
        else:
            for row in range(last - first):
                for d in range(output.shape[1]):
                    std = math.exp(flat[model.head.log_std + d])
                    stored[first + row, d] = output[row, d] + std * noise[first + row, d]


@njit
def _choose(head: HeadForm, output: Any, noise: Any, allowed: Any, stored: Any) -> None:
    """The largest of allowed logits plus Gumbel noise, component by component."""
    for row in range(len(output)):
        for j in range(output.shape[1]):
            if len(allowed) > 0 and not allowed[row, j]:
                output[row, j] = MASKED_LOGIT
            output[row, j] += noise[row, j]
        for component in range(len(head.edges) - 1):
            first, last = head.edges[component], head.edges[component + 1]
            stored[row, component] = largest_of(output, row, first, last)


@njit
def _value(
    flat: Floats,
    critic: Net,
    observation: Any,
    centre: Any,
    scale: Any,
    value: Any,
    inputs: Floats,
    hidden: Floats,
) -> None:
    size = observation.shape[1]
    for first in range(0, len(observation), TILE):
        last = min(len(observation), first + TILE)
        tile = inputs[: (last - first) * size].reshape(last - first, size)
        normalise_rows(observation[first:last], centre, scale, tile)
        value[first:last] = forward(flat, critic, tile, hidden)[:, 0]
