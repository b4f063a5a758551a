"""What every bidding rule shares: its defaults, and how history chooses its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding import kernel
from envs.bidding.days import Days
from envs.bidding.state import BiddingState, Terms
from envs.bidding.world import BiddingWorld
from envs.core import rule as core
from envs.core.world import Array

R = TypeVar("R", bound="core.Heuristic[BiddingWorld, BiddingState]")
L = TypeVar("L")


class Controller(Protocol):
    """Anything that sets log lambda for every copy."""

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """Log lambda `[n]`."""


Heuristic = core.Heuristic[BiddingWorld, BiddingState]
"""A rule that sets log lambda, `[n]`."""


@dataclass(frozen=True)
class PerBudget:
    """A parameter chosen at each budget level; `log_tightness` is log c0, ascending.

    Between levels it is interpolated in log c0, beyond them the nearest level's is taken, so that a
    rule tuned at today's budgets can act at a scenario's.
    """

    log_tightness: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, terms: Terms, values: NDArray[np.float64]) -> PerBudget:
        """`values [C]`, one for each budget level of `terms`."""
        order = np.argsort(terms.log_tightness)
        return cls(tuple(terms.log_tightness[order].tolist()), tuple(values[order].tolist()))

    def at(self, terms: Terms) -> NDArray[np.float64]:
        """The parameter at each budget level of `terms`, `[C]`."""
        return np.interp(terms.log_tightness, self.log_tightness, self.values)

    def named(self, name: str) -> Mapping[str, float]:
        """The values under their name, with c0 where there are several."""
        if len(self.values) == 1:
            return {name: self.values[0]}
        return {
            f"{name} (c0 = {np.exp(log_c0):.4g})": value
            for log_c0, value in zip(self.log_tightness, self.values, strict=True)
        }


def on_days(world: BiddingWorld, days: Days) -> BiddingWorld:
    """Other days on the same history and terms; a table of the old days is left behind."""
    return BiddingWorld(days, world.history, world.settings, world.terms)


def history_of(world: BiddingWorld) -> BiddingWorld:
    """The world whose days are the history of `world`, on the same terms: what tuning may see."""
    return on_days(world, world.history)


def day_scores(world: BiddingWorld, rule: Controller, rng: Generator) -> NDArray[np.float64]:
    """S of every day at every budget level when `rule` plays it, `[C, D]` in currency."""
    levels, days = len(world.terms.budget), world.days.count
    state = world.initial(levels * days, rng)
    day = np.tile(np.arange(days, dtype=np.int32), levels)
    level = np.repeat(np.arange(levels, dtype=np.int32), days)
    kernel.start_all(state, day, level, world.terms)
    for _ in range(world.days.slots):
        state = world.step(state, rule.control(world, state, rng), rng).state
    return np.asarray(state.score.reshape(levels, days))


def search_per_budget(
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    grid: NDArray[np.float64],
    levels: int,
    halvings: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The parameter with the largest score at each of `levels` budgets, and that score, `[C]` each.

    An even grid finds the basin; its step is then halved `halvings` times around the best. `score`
    takes one candidate for each budget level, `[C]`, and returns their scores, `[C]`. Of equal
    candidates the one tried first wins.
    """
    trials = np.array([score(np.full(levels, candidate)) for candidate in grid])  # [G, C]
    winner = np.argmax(trials, axis=0)
    best, best_score = grid[winner], trials[winner, np.arange(levels)]
    step = grid[1] - grid[0]
    for _ in range(halvings):
        step = step / 2
        for candidate in (best - step, best + step):
            inside = np.clip(candidate, grid[0], grid[-1])
            tried = score(inside)
            best = np.where(tried > best_score, inside, best)
            best_score = np.maximum(tried, best_score)
    return best, best_score


def tuned_per_budget(
    world: BiddingWorld,
    rule: R,
    parameter: str,
    grid: NDArray[np.float64],
    halvings: int,
    rng: Generator,
) -> tuple[R, NDArray[np.float64]]:
    """`rule` with the best `PerBudget` for its field `parameter`, and its mean S, `[C]`."""

    def with_values(values: NDArray[np.float64]) -> R:
        chosen: dict[str, Any] = {parameter: PerBudget.of(world.terms, values)}
        return replace(rule, **chosen)

    def score(candidate: NDArray[np.float64]) -> NDArray[np.float64]:
        found = day_scores(world, with_values(candidate), rng)
        return np.asarray(found.mean(axis=1))

    best, best_score = search_per_budget(score, grid, len(world.terms.budget), halvings)
    return with_values(best), best_score


def known(learned: L | None, name: str) -> L:
    """What history taught the rule `name`; raises ValueError before it was tuned."""
    if learned is None:
        raise ValueError(f"{name} knows no history yet: call tuned(history, rng) first")
    return learned


def plays_history(world: BiddingWorld) -> bool:
    """Whether the days that come are those of history, in the same order."""
    return world.days.price is world.history.price
