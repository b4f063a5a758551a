"""A policy behind its limits in simulated episodes, told whom and when each decision is about."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.moments import DatedWorld, Moments
from envs.core.world import Array, World
from ppo_marketing.guardrails import Context, Guardrail, GuardrailLimits, Interventions, held_out
from ppo_marketing.guardrails.context import calendar
from ppo_marketing.limit_parts import suppressed_share

LIST = "suppression list"
"""The salt that says which simulated units are on the list."""


def moments_of_world(world: World[Any]) -> Moments:
    """Which parts of a date a world tells, by its first episode."""
    if not isinstance(world, DatedWorld):
        return Moments()
    return world.moments(world.initial(1, np.random.default_rng(0)))


def simulated_units(limits: GuardrailLimits, episodes: int, units: int | None) -> tuple[str, ...]:
    """An id for each episode, `[n]`: as many of them on the suppression list as at most are.

    Nobody knows which simulated unit is on it: a salted hash of its number says so, the same
    whatever else is asked, as if the list had been drawn by lot.
    """
    ids = [f"simulated {number}" for number in range(episodes)]
    if units is None or not limits.suppressed:
        return tuple(ids)
    listed = sorted(limits.suppressed)
    on = held_out(ids, suppressed_share(limits, units), LIST)
    return tuple(
        listed[number % len(listed)] if hit else one
        for number, (one, hit) in enumerate(zip(ids, on, strict=True))
    )


class HeldActor:
    """Plays a world as its guardrail ships; counts what the policy alone would do otherwise.

    `ids [n]` are the units of the episodes, where the limits ask for them.
    """

    def __init__(self, name: str, guardrail: Guardrail, ids: tuple[str, ...]) -> None:
        self.name = name
        self.guardrail = guardrail
        self.interventions = Interventions()
        self.decisions = self.changed = 0
        self._ids = ids

    def arena(self, world: World[Any], rng: Generator) -> World[Any]:
        """The world itself."""
        return world

    def control(self, world: World[Any], state: Any, rng: Generator) -> Array:
        """The control that stands for what is shipped, `[n, ...]`."""
        observation, mask = world.observe(state), world.action_mask(state)
        needs = self.guardrail.limits.needs
        moments = world.moments(state) if isinstance(world, DatedWorld) else Moments()
        days = np.zeros(len(observation), np.int64)
        if "day" in needs:
            days = _days(moments, len(observation))
        wanted = self.guardrail.policy.act(observation, rng, mask, deterministic=True)
        kind = np.float64 if self.guardrail.limits.choices is None else np.int64
        shipped = np.zeros(np.shape(wanted), kind)
        for day in np.unique(days):
            rows = np.flatnonzero(days == day)
            context = Context(
                observation=observation[rows],
                mask=None if mask is None else mask[rows],
                unit=[self._ids[row] for row in rows] if "unit" in needs else None,
                hour=moments.hour[rows] if "hour" in needs and moments.hour is not None else None,
                day=int(day) if "day" in needs else None,
            )
            guarded = self.guardrail.decide(context, rng)
            shipped[rows] = guarded.action
            self.interventions += guarded.interventions
        unlike = np.asarray(shipped != wanted).reshape(len(observation), -1).any(axis=1)
        self.decisions += unlike.size
        self.changed += int(unlike.sum())
        return world.control(state, shipped)


def _days(moments: Moments, n: int) -> NDArray[np.int64]:
    """A day since 1970 with each decision's weekday and week, `[n]`; 0 for what is unknown."""
    nothing = np.zeros(n, np.int64)
    week = nothing if moments.week is None else np.asarray(moments.week, np.int64)
    weekday = nothing if moments.weekday is None else np.asarray(moments.weekday, np.int64)
    return np.asarray(_calendar_days()[week, weekday])


@cache
def _calendar_days() -> NDArray[np.int64]:
    """A day of every week and weekday, `[52, 7]`."""
    days = np.zeros((52, 7), np.int64)
    for day in range(364):
        weekday, week = calendar(day)
        days[week, weekday] = day
    return days
