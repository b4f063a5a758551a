"""One decision looked at: what would be done, how surely, what is not allowed, who was alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.explore.answers import Decider, spoken
from ppo_marketing.explore.cases import Cases, spread, steps

Floats = NDArray[np.float64]

NEIGHBOURS = 5


@dataclass(frozen=True)
class Option:
    """One choice in one state; `why_not` is "" where it is allowed."""

    choice: str
    probability: float
    allowed: bool
    why_not: str


@dataclass(frozen=True)
class Neighbour:
    """A known case like the state: how far away, what it looked like, what was done there."""

    distance: float
    shown: tuple[str, ...]
    done: str
    earned: float | None


@dataclass(frozen=True)
class Inspection:
    """One state `[obs]`: `shown` is every variable in words, in the order of `Words.variables`.

    `options` are all choices, likeliest first (empty for amounts); `low` and `high` hold 95 % of
    what a policy of amounts explores with. `outside` are the variables beyond what has been seen.
    """

    shown: tuple[str, ...]
    action: str
    options: tuple[Option, ...]
    amount: float | None
    low: float | None
    high: float | None
    neighbours: tuple[Neighbour, ...]
    outside: tuple[StateVariable, ...]


def inspect(
    decide: Decider,
    words: Words,
    observation: Array,
    mask: Array | None,
    cases: Cases,
    *,
    neighbours: int = NEIGHBOURS,
) -> Inspection:
    """What a policy does in one state `observation [obs]`, `mask [A]`, and beside which cases."""
    row = observation[None]
    allowed = words.allowed(row, None if mask is None else mask[None])
    answers = decide(row, allowed)
    value = float(answers.value[0])
    options: tuple[Option, ...] = ()
    if answers.probability is not None:
        may = np.ones(len(words.action.choices), bool) if allowed is None else allowed[0]
        reasons = words.why_not(observation, may)
        options = tuple(
            Option(words.action.choices[a], float(answers.probability[0, a]), bool(may[a]), why)
            for a, why in enumerate(reasons)
        )
    low, high = (None if end is None else float(end[0]) for end in (answers.low, answers.high))
    return Inspection(
        shown=in_words(words, observation),
        action=spoken(value, words),
        options=tuple(sorted(options, key=lambda one: -one.probability)),
        amount=None if answers.chooses else value,
        low=low,
        high=high,
        neighbours=nearest(words, observation, cases, neighbours),
        outside=outside(words, observation, cases.observation),
    )


def nearest(
    words: Words, observation: Array, cases: Cases, count: int = NEIGHBOURS
) -> tuple[Neighbour, ...]:
    """The cases nearest to a state: root of the summed squares of each variable's `steps`."""
    total = np.zeros(cases.size)
    for variable in words.variables:
        origin = float(variable.shown(observation[None])[0])
        deviation = spread(variable, cases.observation)
        total += steps(variable, variable.shown(cases.observation), origin, deviation) ** 2
    order = np.argsort(total, kind="stable")[:count]
    return tuple(
        Neighbour(
            distance=float(np.sqrt(total[i])),
            shown=in_words(words, cases.observation[i]),
            done=spoken(float(cases.done[i]), words),
            earned=None if cases.earned is None else float(cases.earned[i]),
        )
        for i in order.tolist()
    )


def outside(words: Words, observation: Array, seen: Array) -> tuple[StateVariable, ...]:
    """The variables whose value lies beyond all that was seen, or is a level never seen."""
    found = []
    for variable in words.variables:
        value, known = variable.shown(observation[None])[0], variable.shown(seen)
        if variable.levels:
            beyond = not np.isin(value, known)
        else:
            room = 1e-6 + 1e-6 * abs(float(value))
            beyond = not known.min() - room <= value <= known.max() + room
        if beyond:
            found.append(variable)
    return tuple(found)


def in_words(words: Words, observation: Array) -> tuple[str, ...]:
    """Every variable of one state `[obs]` as people read it."""
    return tuple(value_in_words(one, float(one.shown(observation[None])[0])) for one in
                 words.variables)  # fmt: skip


def value_in_words(variable: StateVariable, value: float) -> str:
    """One value of a variable as people read it."""
    if variable.levels:
        return variable.levels[int(value)]
    return f"{value:.3g} {variable.unit}".strip()
