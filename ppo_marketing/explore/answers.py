"""What is done in given states, in the words of the card: choices or amounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs.core.words import Words
from envs.core.world import Array
from ppo_marketing.errors import UserError
from ppo_marketing.policy import Actor
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.categorical import CategoricalHead
from ppo_marketing.ppo.gaussian import GaussianHead
from ppo_marketing.reference_states import ReferenceStates, choice_probabilities

Floats = NDArray[np.float64]

NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class Answers:
    """What is done in n states: the number of a choice, or an amount, `value [n]`.

    `probability` `[n, A]` of choices, None for amounts; `low` and `high` `[n]` hold 95 % of what a
    policy of amounts explores with (equal to `value` where nothing is left to chance).
    """

    value: Floats
    probability: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None

    @property
    def chooses(self) -> bool:
        """Whether these are choices."""
        return self.probability is not None

    @property
    def choice(self) -> NDArray[np.int64]:
        """The numbers of the choices, `[n]`."""
        return self.value.astype(np.int64)

    @property
    def usual(self) -> tuple[float, float]:
        """The most frequent value, and its share of all states."""
        values, count = np.unique(self.value, return_counts=True)
        return float(values[count.argmax()]), float(count.max() / count.sum())

    @property
    def middle(self) -> tuple[float, float]:
        """Between which values eight of ten states lie."""
        low, high = np.quantile(self.value, [0.1, 0.9])
        return float(low), float(high)


Decider = Callable[[Array, Array | None], Answers]
"""(observation [n, obs], mask [n, A] or None) -> what is done."""


def learned(agent: Agent, words: Words) -> Decider:
    """What a trained agent does, in words' terms.

    Raises:
        UserError: it takes several choices at once.
    """
    head = agent.head
    if isinstance(head, CategoricalHead) and head.scalar:

        def chosen(observation: Array, mask: Array | None) -> Answers:
            probability = choice_probabilities(agent, observation, mask)
            return Answers(probability.argmax(axis=1).astype(np.float64), probability)

        return chosen
    if not isinstance(head, GaussianHead):
        raise UserError(
            f"the policy's actions {head.describe()} cannot be explored: one choice or amounts can"
        )

    def set_to(observation: Array, mask: Array | None) -> Answers:
        return of_amounts(explored(agent, head, observation), words)

    return set_to


def explored(agent: Agent, head: GaussianHead, observation: Array) -> tuple[Array, Array, Array]:
    """The action shipped and the ends of what is explored around it, each `[n, d]`."""
    with torch.no_grad():
        mean = agent.actor(agent.inputs(observation))
        spread = NORMAL_95 * torch.exp(head.log_std)
        outputs = (mean, mean - spread, mean + spread)
    shipped, low, high = (head.to_environment(out.cpu().numpy()) for out in outputs)
    return shipped, low, high


def of_amounts(actions: tuple[Array, Array, Array], words: Words) -> Answers:
    """What an action and the ends around it, each `[n, d]`, stand for."""
    value, low, high = (np.asarray(words.action.amount(one), np.float64) for one in actions)
    return Answers(value, None, low, high)


def played(actor: Actor, states: ReferenceStates, words: Words, actions: int) -> Answers:
    """What a rule (or any actor) does in states that were met, as certain as rules are.

    `actions` is A; 0 for amounts. A choice outside 0..A-1, such as doing nothing at all where the
    policy must choose, is no choice: its probabilities are all 0 and its number is -1.
    """
    rng = np.random.default_rng(0)  # a rule's own noise, if it has any: the same for every asker
    arena = actor.arena(states.world, rng)
    control = np.asarray(actor.control(arena, states.state, rng))
    return of_controls(control, states, words, actions)


def of_controls(control: Array, states: ReferenceStates, words: Words, actions: int) -> Answers:
    """What controls `[n, ...]` in states that were met stand for."""
    action = words.action.action_of(states.world, states.state, control)
    if not actions:
        amount = np.asarray(words.action.amount(np.asarray(action)), np.float64)
        return Answers(amount, None, amount, amount)
    number = np.asarray(action, np.int64).reshape(states.size)
    known = (number >= 0) & (number < actions)
    probability = np.eye(actions)[np.where(known, number, 0)] * known[:, None]
    return Answers(np.where(known, number, -1).astype(np.float64), probability)


def spoken(value: float, words: Words) -> str:
    """One action in words: the choice's name, or the amount with its unit."""
    action = words.action
    if action.choices:
        number = int(value)
        return action.choices[number] if 0 <= number < len(action.choices) else "nothing"
    return f"{value:.3g} {action.unit}".strip()


def differences(one: Answers, other: Answers) -> Floats:
    """How far two sets of answers lie apart, `[n]`.

    Choices: the total variation of their probabilities, half sum |p - q|. Amounts: |a - b|.
    """
    if one.probability is not None and other.probability is not None:
        return np.asarray(0.5 * np.abs(one.probability - other.probability).sum(axis=1))
    return np.abs(one.value - other.value)


def rows_of(array: Any, rows: Any) -> Any:
    """The rows of an array that may be absent."""
    return None if array is None else array[rows]
