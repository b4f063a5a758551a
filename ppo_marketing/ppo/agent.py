"""The agent: actor, critic, action head and the observation statistics they were trained with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

from ppo_marketing.errors import UserError
from ppo_marketing.ppo.categorical import CategoricalHead, ItemHead
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.head import Head
from ppo_marketing.ppo.heads import head_for, head_from
from ppo_marketing.ppo.networks import Perceptron
from ppo_marketing.ppo.normalise import RunningMoments, normalise

Array = npt.NDArray[Any]

# Rows of one pass without gradients: activations of 64 wide layers then stay in the cache.
CHUNK_ROWS = 4096
RANDOM_START_GAIN = 0.01  # small first outputs: a near-uniform policy (Andrychowicz et al. 2021)


class Agent:
    """A policy and its critic; numpy in, numpy out.

    | symbol        | shape            | meaning                                             |
    |---------------|------------------|-----------------------------------------------------|
    | `observation` | [n, size]        | as the environment gives it, not normalised         |
    | `mask`        | [n, choices]     | non-zero where a choice is allowed; None: all are   |
    | `action`      | [n] or [n, dims] | as the environment takes it: bounded, its numbering |

    The statistics in `normaliser` change only by assignment, which training does between an
    update and the next rollout; acting never changes them.
    """

    def __init__(
        self,
        head: Head,
        actor: Perceptron,
        critic: Perceptron,
        normaliser: RunningMoments | None,
        *,
        observation_size: int,
        hidden: tuple[int, ...],
    ) -> None:
        self.head = head
        self.actor = actor
        self.critic = critic
        self.normaliser = normaliser
        self.observation_size = observation_size
        self.hidden = hidden

    @classmethod
    def create(
        cls,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        config: PPOConfig,
        rng: np.random.Generator,
    ) -> Self:
        """Return an untrained agent for these (single, not batched) spaces.

        Raises:
            UserError: a space is not supported, or `start_bias` does not fit the actions.
        """
        if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
            raise UserError(
                f"the observation space {observation_space} is not supported: use a Box of shape "
                "(size,); masks go into info['action_mask']"
            )
        head = head_for(action_space, squash=config.squash_actions, log_std=config.log_std_initial)
        size = observation_space.shape[0]
        if config.start_bias and len(config.start_bias) != head.outputs:
            raise UserError(
                f"start_bias has {len(config.start_bias)} numbers and the action space "
                f"{action_space} needs {head.outputs}"
            )
        gain = RANDOM_START_GAIN if config.start == "random" else 0.0
        actor = Perceptron(size, config.hidden, head.outputs, last_gain=gain, rng=rng)
        if config.start_bias:
            actor.biases[-1].data.copy_(torch.tensor(config.start_bias))
        critic = Perceptron(size, config.hidden, 1, last_gain=1.0, rng=rng)
        normaliser = RunningMoments.empty(size) if config.normalise_observations else None
        return cls(
            head, actor, critic, normaliser, observation_size=size, hidden=tuple(config.hidden)
        )

    def act(
        self,
        observation: Array,
        rng: np.random.Generator,
        mask: Array | None = None,
        deterministic: bool = False,
    ) -> Array:
        """Return an action for every row, drawn from the policy, or its mode if `deterministic`.

        Raises:
            UserError: the observation's or the mask's shape is wrong, or a row allows nothing.
        """
        inputs, allowed = self.inputs(observation), self.allowed(mask, len(observation))
        if deterministic:
            stored = self._chunked(
                lambda rows: self.head.mode(self.actor(inputs[rows]), _take(allowed, rows)),
                len(inputs),
            )
        else:
            noise = torch.from_numpy(self.head.noise(rng, (len(inputs),))).to(self.device)
            stored = self.draw(inputs, noise, allowed)
        return self.head.to_environment(stored.cpu().numpy())

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """Return log π(a|s) [n] in nats: log-probability, or log-density of a Gaussian's draw.

        An action that clipping moved onto its bound is taken as the draw that it shows.

        Raises:
            UserError: as for `act`.
        """
        inputs, allowed = self.inputs(observation), self.allowed(mask, len(observation))
        stored = torch.from_numpy(self.head.from_environment(action)).to(self.device)
        return (
            self._chunked(
                lambda rows: self.evaluate(inputs[rows], stored[rows], _take(allowed, rows))[0],
                len(inputs),
            )
            .cpu()
            .numpy()
        )

    def log_prob_stored(self, observation: Array, stored: Tensor, allowed: Tensor | None) -> Tensor:
        """Return log π(a|s) [n] in nats of stored actions, without gradients.

        Raises:
            UserError: the observation's shape is wrong.
        """
        with torch.no_grad():
            return self.evaluate(self.inputs(observation), stored, allowed)[0]

    def value(self, observation: Array) -> Array:
        """Return V(s) [n], in units of the scaled reward.

        Raises:
            UserError: the observation's shape is wrong.
        """
        inputs = self.inputs(observation)
        return self._chunked(lambda rows: self.values(inputs[rows]), len(inputs)).cpu().numpy()

    def inputs(self, observation: Array) -> Tensor:
        """Return observations as the networks take them: normalised, float32 [n, size].

        Raises:
            UserError: the observation is not [n, size].
        """
        if observation.ndim != 2 or observation.shape[1] != self.observation_size:
            raise UserError(
                f"observations of shape {observation.shape} do not fit a policy for "
                f"[n, {self.observation_size}]; a single one needs a leading axis"
            )
        if self.normaliser is None:
            inputs = np.ascontiguousarray(observation, np.float32)
        else:
            inputs = normalise(observation, self.normaliser)
        return torch.from_numpy(inputs).to(self.device)

    def allowed(self, mask: Array | None, rows: int) -> Tensor | None:
        """Return a checked mask as booleans [rows, choices], None for None.

        Raises:
            UserError: the head takes no mask, the shape is wrong, or a row allows nothing.
        """
        if mask is None:
            return None
        if not isinstance(self.head, CategoricalHead):
            raise UserError("an action mask came with a continuous action; only choices have masks")
        if mask.shape != (rows, self.head.choices):
            raise UserError(
                f"the action mask has shape {mask.shape}; it must be [{rows}, {self.head.choices}]"
            )
        allowed = np.ascontiguousarray(mask, np.bool_)
        self.head.check_mask(allowed)
        return torch.from_numpy(allowed).to(self.device)

    def draw(self, inputs: Tensor, noise: Tensor, allowed: Tensor | None) -> Tensor:
        """Return the stored actions that noise [n, outputs] selects, without gradients."""
        return self._chunked(
            lambda rows: self.head.sample(
                self.actor(inputs[rows]), noise[rows], _take(allowed, rows)
            ),
            len(inputs),
        )

    def evaluate(
        self, inputs: Tensor, stored: Tensor, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return log π(a|s) [n] and the entropy [n] of stored actions, with gradients."""
        return self.head.evaluate(self.actor(inputs), stored, allowed)

    def values(self, inputs: Tensor) -> Tensor:
        """Return V(s) [n] of normalised observations, with gradients."""
        values: Tensor = self.critic(inputs)
        return values.squeeze(-1)

    @property
    def device(self) -> torch.device:
        """Where the parameters are, and so where everything is worked out."""
        device: torch.device = self.actor.weights[0].device
        return device

    def to(self, device: torch.device) -> Self:
        """Move every parameter, in place; numpy goes in and comes out as before."""
        for part in (self.actor, self.critic, self.head):
            part.to(device)
        return self

    def parameters(self) -> list[nn.Parameter]:
        """Return every trained parameter, in a fixed order."""
        return [*self.actor.parameters(), *self.critic.parameters(), *self.head.parameters()]

    def arrays(self) -> dict[str, Array]:
        """Return copies of all parameters and statistics by name: what is saved."""
        arrays = {
            name: parameter.detach().cpu().numpy().copy()
            for name, parameter in self._saved().items()
        }
        if self.normaliser is not None:
            arrays["normaliser.count"] = np.array(self.normaliser.count)
            arrays["normaliser.mean"] = self.normaliser.mean.copy()
            arrays["normaliser.squares"] = self.normaliser.squares.copy()
        return arrays

    def sha256(self) -> str:
        """Return the hash of everything that `arrays` holds: equal policies, equal hashes."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            digest.update(f"{name} {array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def load_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `arrays` returned, in place.

        Raises:
            UserError: names or shapes differ from this agent's; all differences are listed.
        """
        expected = {name: array.shape for name, array in self.arrays().items()}
        found = {name: array.shape for name, array in arrays.items()}
        differing = [
            f"{name}: expected {expected.get(name, 'nothing')}, found {found.get(name, 'nothing')}"
            for name in sorted(expected.keys() | found.keys())
            if expected.get(name) != found.get(name)
        ]
        if differing:
            raise UserError("the saved arrays are of another agent:\n  " + "\n  ".join(differing))
        for name, parameter in self._saved().items():
            parameter.data.copy_(torch.from_numpy(np.array(arrays[name])))
        if self.normaliser is not None:
            self.normaliser = RunningMoments(
                int(arrays["normaliser.count"]),
                np.array(arrays["normaliser.mean"]),
                np.array(arrays["normaliser.squares"]),
            )

    def describe(self) -> dict[str, Any]:
        """Return plain values from which `from_description` builds an agent of the same shape."""
        return {
            "observation_size": self.observation_size,
            "hidden": list(self.hidden),
            "normalises_observations": self.normaliser is not None,
            "head": self.head.describe(),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Return an agent of the described shape, its parameters to be set by `load_arrays`."""
        size, hidden = int(description["observation_size"]), tuple(description["hidden"])
        head = head_from(description["head"])
        rng = np.random.default_rng(0)  # every draw is overwritten by the saved arrays
        return cls(
            head,
            Perceptron(size, hidden, head.outputs, last_gain=1.0, rng=rng),
            Perceptron(size, hidden, 1, last_gain=1.0, rng=rng),
            RunningMoments.empty(size) if description["normalises_observations"] else None,
            observation_size=size,
            hidden=hidden,
        )

    def copy(self) -> Self:
        """Return an agent with equal parameters and statistics that shares no memory."""
        twin = self.from_description(self.describe())
        twin.load_arrays(self.arrays())
        return twin

    def for_items(self, features: Array) -> Self:
        """Return the same policy for another catalogue [items, F], scored by the same features.

        Raises:
            UserError: the policy does not score items, or these have other features.
        """
        if not isinstance(self.head, ItemHead) or np.shape(features)[1:] != (self.head.outputs,):
            raise UserError(
                f"features of shape {np.shape(features)} do not fit the policy's choice "
                f"{self.head.describe()}"
            )
        head = {"head": ItemHead(features).describe()}
        twin = self.from_description(self.describe() | head)
        twin.load_arrays(self.arrays() | {"head.features": np.asarray(features, np.float32)})
        return twin

    def _saved(self) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": tensor
            for part, module in [
                ("actor", self.actor),
                ("critic", self.critic),
                ("head", self.head),
            ]
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        }

    @staticmethod
    def _chunked(function: Callable[[slice], Tensor], rows: int) -> Tensor:
        with torch.no_grad():
            if rows <= CHUNK_ROWS:
                return function(slice(None))
            starts = range(0, rows, CHUNK_ROWS)
            return torch.cat([function(slice(start, start + CHUNK_ROWS)) for start in starts])


def _take(allowed: Tensor | None, rows: slice) -> Tensor | None:
    return None if allowed is None else allowed[rows]
