"""A policy as it would act under limits: the explorer's questions asked behind a guardrail.

Limits on units, days and earlier decisions cannot be asked here: a state that was met knows none of
these. They hold where the policy is shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from envs.core.words import Words
from envs.core.world import Array
from ppo_marketing.explore.answers import Answers, Decider, explored, of_amounts
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.guardrails import Guardrail, GuardrailLimits
from ppo_marketing.guardrails.batch import apply, outside
from ppo_marketing.guardrails.context import Context, static_mask
from ppo_marketing.guardrails.reasons import MEANING
from ppo_marketing.ppo.gaussian import GaussianHead
from ppo_marketing.reference_states import choice_probabilities

CLOSED = "closed by the limits"


@dataclass(frozen=True)
class HeldBack:
    """Why a guard stepped in, in words, and in how many of the states."""

    why: str
    states: int


@dataclass(frozen=True, eq=False)
class Held:
    """A policy under limits: an explorer that answers as it would act, and what the limits change.

    `changed` is the share of the states met in which something else is done than the policy alone
    would do, `why` the reasons, the most frequent first. `not_asked` are the limits that states
    cannot tell of, by their names in a configuration.
    """

    explorer: Explorer
    guardrail: Guardrail
    changed: float
    why: tuple[HeldBack, ...]
    not_asked: tuple[str, ...]

    def why_here(self, observation: Array, mask: Array | None) -> tuple[str, ...]:
        """What holds the policy in one state `observation [obs]`, `mask [A]`; empty: nothing."""
        row = observation[None]
        shown = None if mask is None else mask[None]
        return tuple(one.why for one in _why(self.guardrail, self.explorer.words, row, shown))


def held(explorer: Explorer, guardrail: Guardrail, not_asked: Sequence[str] = ()) -> Held:
    """The explorer's policy behind a guardrail, whose limits need neither units nor days."""
    words = _words_under(explorer.words, guardrail.limits)
    decide = _decider(explorer, guardrail)
    states = explorer.states
    free = explorer.agent.act(
        states.observation, np.random.default_rng(0), states.mask, deterministic=True
    )
    shipped = guardrail.guarded(
        states.observation, np.random.default_rng(0), states.mask, deterministic=True
    ).action
    unlike = np.asarray(shipped != free).reshape(states.size, -1).any(axis=1)
    return Held(
        explorer=replace(
            explorer,
            words=words,
            decide=decide,
            answers=decide(states.observation, states.mask),
        ),
        guardrail=guardrail,
        changed=float(unlike.mean()),
        why=_why(guardrail, words, states.observation, states.mask),
        not_asked=tuple(not_asked),
    )


def _decider(explorer: Explorer, guardrail: Guardrail) -> Decider:
    """As the explorer's own decider, with every action as it would be shipped."""
    agent, limits, words = explorer.agent, guardrail.limits, explorer.words
    head = agent.head

    def chosen(observation: Array, mask: Array | None) -> Answers:
        # P(b) of `Guardrail.log_prob`: what is not allowed is not offered, so that nothing of the
        # policy's own is moved; where it must not decide, all of it is on the fallback's.
        allowed = static_mask(limits, mask, len(observation))
        probability = choice_probabilities(agent, observation, allowed)
        rows = _forced(limits, observation)
        if rows.any():
            shipped = _shipped(guardrail, observation[rows], allowed[rows])
            probability[rows] = np.eye(probability.shape[1])[shipped]
        return Answers(probability.argmax(axis=1).astype(np.float64), probability)

    own = limits.amounts
    if own is None or not isinstance(head, GaussianHead):
        return chosen
    moving = own.change is not None or own.relative_change is not None

    def set_to(observation: Array, mask: Array | None) -> Answers:
        proposed = explored(agent, head, observation)
        forced = _forced(limits, observation)
        # What lies in the range is shipped as it is, unless changes are limited.
        beyond = np.full(len(observation), moving)
        for one in proposed:
            beyond |= ((one < own.floor) | (one > own.cap)).any(axis=1)
        beyond &= ~forced
        actions = [np.array(one, np.float64) for one in proposed]
        if beyond.any():
            context = Context(observation=observation[beyond])
            champion = guardrail.fallback.act(
                observation[beyond], np.random.default_rng(0), None, deterministic=True
            )
            for one in actions:
                one[beyond] = apply(limits, one[beyond], champion, context).action
        if forced.any():
            shipped = _shipped(guardrail, observation[forced], None)
            for one in actions:
                one[forced] = shipped
        return of_amounts((actions[0], actions[1], actions[2]), words)

    return set_to


def _forced(limits: GuardrailLimits, observation: Array) -> NDArray[np.bool_]:
    """Where the policy must not decide, `[n]`."""
    rows = np.zeros(len(observation), bool)
    for outlying in outside(limits, np.asarray(observation, np.float64)).values():
        rows |= outlying
    return rows


def _shipped(guardrail: Guardrail, observation: Array, mask: Array | None) -> Array:
    return guardrail.guarded(observation, np.random.default_rng(0), mask, deterministic=True).action


def _words_under(words: Words, limits: GuardrailLimits) -> Words:
    """The same words, in which closed choices are not allowed and the limits are why."""
    if limits.choices is None:
        return words
    closed = limits.choices.closed

    def allowed(observation: Array, mask: Array | None) -> Array | None:
        return static_mask(limits, words.allowed(observation, mask), len(observation))

    def why_not(observation: Array, mask: Array) -> tuple[str, ...]:
        reasons = words.why_not(observation, mask)
        return tuple(CLOSED if a in closed else why for a, why in enumerate(reasons))

    return replace(words, allowed=allowed, why_not=why_not)


def _why(
    guardrail: Guardrail, words: Words, observation: Array, mask: Array | None
) -> tuple[HeldBack, ...]:
    """What the limits hold in the states `[n, obs]`, the most frequent first."""
    guarded = guardrail.guarded(observation, np.random.default_rng(0), mask, deterministic=True)
    found = [
        HeldBack(MEANING[reason], count) for reason, count in guarded.interventions.counts.items()
    ]
    choices = guardrail.limits.choices
    if choices is not None and choices.closed:
        # A closed choice is not offered, so that no guard steps in: it is what would be chosen.
        wanted = guardrail.policy.act(
            observation, np.random.default_rng(0), mask, deterministic=True
        )
        found += _closed(choices.closed, wanted, words.action.choices)
    return tuple(sorted(found, key=lambda one: -one.states))


def _closed(closed: Sequence[int], wanted: Array, names: Sequence[str]) -> list[HeldBack]:
    counts = {choice: int((wanted == choice).sum()) for choice in closed}
    return [
        HeldBack(f"“{names[choice]}” is {CLOSED}", count)
        for choice, count in counts.items()
        if count
    ]
