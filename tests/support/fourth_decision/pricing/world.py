"""A day of customers, each offered one price; regular ones pay more, new ones see no top price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array, Outcome

PRICES = np.array([1.0, 2.0, 3.0, 4.0])
CUSTOMERS = 6  # a day
ALLOWED = np.array([[True, True, True, False], [True, True, True, True]])  # [regular, price]


@dataclass(frozen=True, kw_only=True)
class PricingSettings:
    """What an order costs to serve."""

    unit_cost: float = 0.5
    currency: str = "EUR"


@dataclass(frozen=True, kw_only=True)
class PricingScenario:
    """The what-if knob: a factor on every chance of buying."""

    response: float = 1.0


class PricingState(NamedTuple):
    """Which day `[n]`, and which of its customers `[n]` is next."""

    day: NDArray[np.int64]
    customer: NDArray[np.int64]


@dataclass(frozen=True)
class PricingWorld:
    """Days drawn once: who comes, and the luck of each offer.

    `regular [D, T]` 0 or 1, `luck [D, T]` in 0..1, `chance [D, 2, prices]` P(buy) on that day.
    """

    regular: NDArray[np.int64]
    luck: NDArray[np.float64]
    chance: NDArray[np.float64]
    settings: PricingSettings

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """Whether the customer is a regular, and the share of the day left."""
        return gymnasium.spaces.Box(0.0, 1.0, (2,), np.float32)

    @property
    def action_space(self) -> gymnasium.spaces.Discrete:
        """One of the prices."""
        return gymnasium.spaces.Discrete(len(PRICES))

    @property
    def horizon(self) -> int:
        """The customers of a day."""
        return CUSTOMERS

    @property
    def episodes(self) -> int:
        """The days drawn."""
        return len(self.regular)

    def initial(self, n: int, rng: Generator) -> PricingState:
        """Mornings of days drawn without repetition while they last."""
        rounds = -(-n // self.episodes)
        order = [rng.permutation(self.episodes) for _ in range(rounds)]
        return PricingState(np.concatenate(order)[:n], np.zeros(n, np.int64))

    def _who(self, state: PricingState) -> NDArray[np.int64]:
        return np.asarray(self.regular[state.day, np.minimum(state.customer, CUSTOMERS - 1)])

    def observe(self, state: PricingState) -> Array:
        """`[n, 2]`."""
        left = 1 - state.customer / CUSTOMERS
        return np.stack([self._who(state), left], axis=1).astype(np.float32)

    def action_mask(self, state: PricingState) -> Array:
        """New customers are never offered the top price, `[n, prices]`."""
        return ALLOWED[self._who(state)]

    def control(self, state: PricingState, action: Array) -> Array:
        """The price's index; -1 stands for no offer."""
        return np.asarray(action)

    def step(self, state: PricingState, control: Array, rng: Generator) -> Outcome[PricingState]:
        """Offer, and turn to the next customer."""
        running = state.customer < CUSTOMERS
        offered = running & (control >= 0)
        chance = self.chance[state.day, self._who(state), control] * offered
        margin = chance * (PRICES[control] - self.settings.unit_cost)
        luck = self.luck[state.day, np.minimum(state.customer, CUSTOMERS - 1)]
        after = PricingState(state.day, np.minimum(state.customer + 1, CUSTOMERS))
        return Outcome(
            state=after,
            reward=margin,
            terminated=after.customer == CUSTOMERS,
            truncated=np.zeros(len(margin), np.bool_),
            kpis={
                "offers": offered.astype(float),
                "margin": margin,
                "orders": (luck < chance).astype(float),
            },
        )

    def under(self, scenario: PricingScenario) -> PricingWorld:
        """The same days with customers keener or less so."""
        return replace(self, chance=np.minimum(self.chance * scenario.response, 1.0))


def draw_world(
    chances: NDArray[np.float64], days: int, settings: PricingSettings, rng: Generator
) -> PricingWorld:
    """`days` days, each with one of the members' `chances [K, 2, prices]`."""
    return PricingWorld(
        regular=rng.integers(0, 2, (days, CUSTOMERS)),
        luck=rng.random((days, CUSTOMERS)),
        chance=chances[np.arange(days) % len(chances)],
        settings=settings,
    )


def best_margin(world: Any, state: PricingState) -> NDArray[np.float64]:
    """The most that each day can be expected to earn, `[n]`."""
    margin = world.chance * (PRICES - world.settings.unit_cost)  # [D, 2, prices]
    best = np.where(ALLOWED, margin, -np.inf).max(axis=2)  # [D, 2]
    return np.asarray(best[state.day[:, None], world.regular[state.day]].sum(axis=1))
