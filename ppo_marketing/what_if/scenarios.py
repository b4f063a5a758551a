"""Named scenarios: some knobs of a card moved, written the same in flags, addresses and files.

Lean year: budget=0.8, price=1.1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.core.decision import Decision
from envs.core.scenario import knobs_of
from ppo_marketing.config import build
from ppo_marketing.errors import UserError, meant

LONGEST_NAME = 60
MOST_SCENARIOS = 8
"""Beside each other: more are more than a picture can tell apart."""
RESERVED = ":,="


@dataclass(frozen=True)
class Named:
    """A scenario's name, and the knobs that it moves: factors on today."""

    name: str
    values: Mapping[str, float]

    @property
    def text(self) -> str:
        """As it is written in a flag, an address or a file's list."""
        moved = ", ".join(f"{knob}={value!r}" for knob, value in self.values.items())
        return f"{self.name}: {moved}"


TODAY = Named("Today", {})


def named(decision: Decision, name: str, values: Mapping[str, float]) -> Named:
    """A scenario of this decision; knobs left at 1 are not mentioned.

    Raises:
        UserError: the name cannot be used, or knobs are unknown or beyond their range; all listed.
    """
    problems = []
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or set(name) & set(RESERVED):
        problems.append(
            f"{name!r} is no name of a scenario: use 1 to {LONGEST_NAME} characters, without "
            f"{' '.join(RESERVED)}"
        )
    knobs = knobs_of(decision.scenario_type)
    problems += [f"{knob}: unknown; {meant(knob, knobs)}" for knob in values if knob not in knobs]
    wrong = [knob for knob, value in values.items() if not isinstance(value, int | float)]
    problems += [f"{knob} is {values[knob]!r}: it must be a number" for knob in wrong]
    if not problems:
        try:
            decision.scenario_type(**values)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise UserError(f"the scenario {name!r} cannot be used:\n  " + "\n  ".join(problems))
    return Named(name, {k: float(values[k]) for k in knobs if k in values and values[k] != 1})


def built(decision: Decision, scenario: Named) -> Any:
    """The value that `World.under` takes."""
    return build(decision.scenario_type, scenario.values, scenario.name)


def parsed(decision: Decision, text: str) -> Named:
    """The scenario that `Named.text` wrote, or a person did.

    Raises UserError where it is none.
    """
    name, colon, rest = text.partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",") if pair.strip()]
    values: dict[str, float] = {}
    wrong = [] if colon else [text]
    for knob, _, value in pairs:
        try:
            values[knob.strip()] = float(value)
        except ValueError:
            wrong.append(f"{knob}={value}")
    if wrong:
        raise UserError(
            f"{'; '.join(wrong)}: write a scenario as `Name: knob=factor, knob=factor`, such as "
            f"`Lean: {next(iter(knobs_of(decision.scenario_type)))}=0.8`"
        )
    return named(decision, name, values)


def several(scenarios: Sequence[Named]) -> tuple[Named, ...]:
    """Scenarios to be compared.

    Raises UserError where none is left, there are too many, or two have one name.
    """
    names = [one.name for one in scenarios]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not scenarios or len(scenarios) > MOST_SCENARIOS or twice:
        said = f"two scenarios are called {', '.join(twice)}" if twice else f"{len(names)} given"
        raise UserError(f"{said}: compare 1 to {MOST_SCENARIOS} scenarios with names of their own")
    return tuple(scenarios)
