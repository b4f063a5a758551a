"""Whether a scenario leaves what the policy and the log know, and what it is shown where it does.

A policy's inputs that never varied in its training have no meaning to it: any other value of them
is as good as noise. In a what-if they are shown as they always were, and the answer says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.words import StateVariable, Words
from envs.core.world import Array
from ppo_marketing.guardrails import Support
from ppo_marketing.policy import Policy

TOLERATED = 0.05
"""The share of decisions outside at which a scenario is said to leave the log."""
MARGIN = 0.1
"""Of the range seen: a slightly longer day is no surprise."""


@dataclass(frozen=True, eq=False)
class Familiar:
    """What a policy has met, `seen [m, obs]`: its range, and the inputs that never varied."""

    words: Words
    seen: Array
    fixed: NDArray[np.bool_] = field(init=False)
    low: Array = field(init=False)
    high: Array = field(init=False)

    def __post_init__(self) -> None:
        low, high = Support.seen(self.seen, MARGIN).bounds()
        object.__setattr__(self, "fixed", np.ptp(self.seen, axis=0) < 1e-9)
        object.__setattr__(self, "low", low - 1e-6)
        object.__setattr__(self, "high", high + 1e-6)

    def as_known(self, observation: Array) -> Array:
        """The observations with inputs that never varied as they always were, `[n, obs]`."""
        return np.where(self.fixed, self.seen[0], observation)


@dataclass(frozen=True)
class HeldPolicy:
    """A policy that is shown only what it can read."""

    policy: Policy
    familiar: Familiar

    def act(
        self,
        observation: Array,
        rng: Generator,
        mask: Array | None = None,
        *,
        deterministic: bool = False,
    ) -> Array:
        """The policy's action on what it knows."""
        known = self.familiar.as_known(observation)
        return self.policy.act(known, rng, mask, deterministic=deterministic)

    def log_prob(self, observation: Array, action: Array, mask: Array | None = None) -> Array:
        """log pi(a | s) of what it knows, `[n]`."""
        return self.policy.log_prob(self.familiar.as_known(observation), action, mask)


@dataclass(frozen=True)
class Departure:
    """A variable beyond what has been met, in which share of decisions.

    `held`: it never varied in training, and the policy was shown what it knows instead.
    """

    variable: StateVariable
    share: float
    held: bool


@dataclass(frozen=True)
class Surroundings:
    """How much of a scenario is unknown ground: `outside` is the share of decisions in which any
    variable lies beyond what has been met; `beyond` what the market itself never showed."""

    decisions: int
    outside: float
    departures: tuple[Departure, ...]
    beyond: tuple[str, ...] = ()

    @property
    def leaves_the_log(self) -> bool:
        """Whether the market never showed it, or too many decisions (TOLERATED) lie outside."""
        return bool(self.beyond) or self.outside > TOLERATED

    @property
    def warning(self) -> str:
        """What to say of it; "" where nothing is."""
        return " ".join([*self.beyond, *([self._unfamiliar()] if self.outside > TOLERATED else [])])

    def _unfamiliar(self) -> str:
        worst = [d for d in self.departures if d.share > TOLERATED][:3]
        listed = ", ".join(f"{d.variable.label} ({d.share:.0%} of decisions)" for d in worst)
        held = [d.variable.label for d in worst if d.held]
        told = (
            f" {', '.join(held)} never varied in training: the policy was shown the value it knows,"
            " and answers as if nothing had changed there. Train with several values to ask this."
            if held
            else " What happens there is extrapolated; test it in small steps."
        )
        return f"This scenario leaves what the log has seen: {listed}.{told}"


class Watch:
    """Counts, decision by decision, what lies outside; for one play."""

    def __init__(self, familiar: Familiar) -> None:
        self._familiar = familiar
        self._decisions = 0
        self._any = 0
        self._beyond = np.zeros(len(familiar.words.variables), np.int64)

    def look(self, observation: Array, running: Any) -> None:
        """Take note of the running rows of `observation [n, obs]`."""
        rows = observation[running]
        outside = (rows < self._familiar.low) | (rows > self._familiar.high)
        beyond = np.stack(
            [outside[:, list(one.columns)].any(axis=1) for one in self._familiar.words.variables]
        )
        self._decisions += len(rows)
        self._any += int(beyond.any(axis=0).sum())
        self._beyond += beyond.sum(axis=1)

    def told(self) -> Surroundings:
        """What was seen."""
        count = max(self._decisions, 1)
        departures = [
            Departure(
                one, float(beyond / count), bool(self._familiar.fixed[list(one.columns)].all())
            )
            for one, beyond in zip(self._familiar.words.variables, self._beyond, strict=True)
            if beyond
        ]
        departures.sort(key=lambda departure: -departure.share)
        return Surroundings(self._decisions, self._any / count, tuple(departures))
