"""The sequencing heuristics that practitioners use today (MODELLING 3.2, 6.2), speaking in actions.

Parameters are chosen on the history world only, by the mean discounted value of its customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array
from envs.sequencing.capacity import one_step_gain
from envs.sequencing.kernel import SequencingState
from envs.sequencing.tables import Menu, ResponseTables
from envs.sequencing.tuning import (
    Heuristic,
    mean_value,
    rested,
    search,
)
from envs.sequencing.world import SequencingWorld

if TYPE_CHECKING:
    from envs.core.decision import Choosing, Rule

FATIGUE_PRICES = (
    0.0,
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.6,
)  # of a purchase's mean margin / 10


@dataclass(frozen=True)
class NoContact(Heuristic):
    """Leaves everybody alone."""

    name: str = "no contact"

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """Action 0."""
        return np.zeros(len(state.step), np.int64)


@dataclass(frozen=True)
class _OneContact(Heuristic):
    """The same contact throughout, which one tuned on history; when it is made is the rule's."""

    action: int = 1
    menu: Menu | None = None

    @property
    def chosen(self) -> Mapping[str, float | str]:
        """The contact, once there is a menu to name it by."""
        return {} if self.menu is None else {"contact": self.menu.labels[self.action]}

    def tuned(self, history: SequencingWorld, rng: Generator) -> Self:
        """The best of the menu's contacts."""
        contacts = range(1, len(history.menu.labels))
        known = replace(self, menu=history.menu)
        return search(known, {"action": contacts}, lambda r: mean_value(history, r, rng), rounds=1)


@dataclass(frozen=True)
class AlwaysContact(_OneContact):
    """The same contact in every week in which it is allowed, which one tuned on history."""

    name: str = "always contact"

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """The action."""
        return np.full(len(state.step), self.action)


@dataclass(frozen=True)
class Rfm(Heuristic):
    """Plain contact to recent buyers, the offer to lapsed frequent ones, else none (MODELLING 6.2).

    Recent: up to 4 weeks; frequent: bin 2 or more.
    """

    name: str = "RFM"
    recent: int = 4
    frequent: int = 2

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """By recency and frequency."""
        plain, offer = plain_and_offer(world.menu)
        lapsed = np.where(state.frequency >= self.frequent, offer, 0)
        return np.where(state.recency <= self.recent, plain, lapsed)


@dataclass(frozen=True)
class Cadence(_OneContact):
    """The same contact whenever the customer is rested, which one tuned on history."""

    name: str = "cadence when rested"

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """The action where no channel's fatigue is above 0."""
        return np.where(rested(state) == 0, self.action, 0)


@dataclass(frozen=True)
class CadenceRfm(Heuristic):
    """Cadence x RFM: an action for recent, lapsed frequent and other customers, when rested.

    Recent: recency up to `recent`; frequent: bin `frequent` or more; rested: summed fatigue up to
    `rest`. All six are tuned on history.
    """

    name: str = "cadence x RFM"
    to_recent: int = 1
    to_frequent: int = 1
    to_others: int = 1
    recent: int = 4
    frequent: int = 2
    rest: int = 0
    menu: Menu | None = None

    @property
    def chosen(self) -> Mapping[str, float | str]:
        """The six parameters, contacts by name; nothing before there is a menu."""
        if self.menu is None:
            return {}
        named = ("to_recent", "to_frequent", "to_others")
        contacts = {name.replace("_", " "): self.menu.labels[getattr(self, name)] for name in named}
        return {**contacts, "recent": self.recent, "frequent": self.frequent, "rest": self.rest}

    def tuned(self, history: SequencingWorld, rng: Generator) -> CadenceRfm:
        """Coordinate ascent from the best cadence."""
        recencies, frequencies, fatigues, _, actions = history.tables.shape
        best = Cadence().tuned(history, rng).action
        start = replace(self, to_recent=best, to_frequent=best, to_others=best, menu=history.menu)
        cuts = sorted({round(q * (recencies - 1)) for q in np.linspace(0, 1, 7)})
        choices = {
            "to_others": range(actions),
            "to_recent": range(actions),
            "recent": cuts,
            "to_frequent": range(actions),
            "frequent": range(1, frequencies),
            "rest": range(min(3, fatigues)),
        }
        return search(start, choices, lambda rule: mean_value(history, rule, rng), rounds=3)

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """By recency and frequency, where the customer is rested."""
        older = np.where(state.frequency >= self.frequent, self.to_frequent, self.to_others)
        action = np.where(state.recency <= self.recent, self.to_recent, older)
        return np.where(rested(state) <= self.rest, action, 0)


@dataclass(frozen=True)
class OneStepUplift(Heuristic):
    """The contact with the largest gain of this week's margin by history's response; else none.

    `fatigue_price` takes (1 + fatigue of the channel) x that much currency off every contact: 0 is
    the greedy rule, and the price tuned on history the far-sighted one.
    """

    name: str = "one-step uplift"
    priced: bool = False
    fatigue_price: float = 0.0
    tables: ResponseTables | None = None
    channel_prices: Mapping[str, float] = field(default_factory=dict)

    @property
    def chosen(self) -> Mapping[str, float | str]:
        """The prices of fatigue and of shared budgets, where there are any."""
        shared = {f"price of {channel}": price for channel, price in self.channel_prices.items()}
        return {**({"fatigue price": self.fatigue_price} if self.priced else {}), **shared}

    def tuned(self, history: SequencingWorld, rng: Generator) -> OneStepUplift:
        """The response of history; the price by an even grid, halved around the best."""
        learned = replace(
            self, tables=history.tables, channel_prices=history.settings.channel_prices
        )
        if not self.priced:
            return learned
        scale = float(history.tables.margin.mean()) / 10
        grid = [scale * price for price in FATIGUE_PRICES]
        score = {price: mean_value(history, learned._at(price), rng) for price in grid}
        best = max(score, key=lambda price: score[price])
        step = max(b - a for a, b in pairwise(grid)) / 2
        for _ in range(3):
            step /= 2
            for price in (max(best - step, 0.0), best + step):
                if price not in score:
                    score[price] = mean_value(history, learned._at(price), rng)
            best = max(score, key=lambda price: score[price])
        return learned._at(best)

    def _at(self, price: float) -> OneStepUplift:
        return replace(self, fatigue_price=price)

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """The largest gain among the allowed actions.

        Raises ValueError before the rule was tuned.
        """
        if self.tables is None:
            raise ValueError(f"{self.name} knows no history yet: call tuned(history, rng) first")
        gain = one_step_gain(self.tables, state)
        used = self.tables.channel[1:]
        gain[:, 1:] -= self.fatigue_price * (1 + state.fatigue[:, used])
        gain -= world.terms.price - world.tables.contact_cost  # of shared budgets
        gain[~world.action_mask(state)] = -np.inf
        return np.asarray(gain.argmax(axis=1))


@dataclass(frozen=True, kw_only=True)
class LoggingPolicy(Heuristic):
    """The log's own policy: actions drawn with the propensities that were logged or estimated.

    `propensity [R, F, G, S, A]` by recency, frequency, fatigue summed over the channels and clipped
    to G - 1, and the pattern of consent sum_c consent_c 2^c.
    """

    propensity: NDArray[np.float64]
    name: str = "logging policy"

    def control(self, world: SequencingWorld, state: SequencingState, rng: Generator) -> Array:
        """A draw for every copy among the allowed actions."""
        consent = state.consent @ (1 << np.arange(state.consent.shape[1]))
        chance = self.chances(
            state.recency, state.frequency, rested(state), consent, world.action_mask(state)
        )
        cumulative = np.cumsum(chance, axis=1)
        point = rng.random(len(state.step)) * cumulative[:, -1]
        return np.asarray((cumulative <= point[:, None]).sum(axis=1))

    def chances(
        self, recency: Array, frequency: Array, fatigue: Array, consent: Array, mask: Array
    ) -> NDArray[np.float64]:
        """Weights `[n, A]` of the allowed actions in these states, each `[n]`; no sum is 0."""
        tired = np.minimum(fatigue, self.propensity.shape[2] - 1)
        chance = np.where(mask, self.propensity[recency, frequency, tired, consent], 0.0)
        chance[:, 0] += chance.sum(axis=1) <= 0  # nothing that it does is allowed
        return chance


class LoggedDecisions(Protocol):
    """What a calibration says of the decisions in its log; None where it shows none."""

    @property
    def logging_propensity(self) -> NDArray[np.float64] | None:
        """`[R, F, G, S, A]`."""


def plain_and_offer(menu: Menu) -> tuple[int, int]:
    """The first contact without an offer and the first with one; either stands in for the other."""
    plain = [i for i, (_, offer) in enumerate(menu.contacts, 1) if not offer]
    offers = [i for i, (_, offer) in enumerate(menu.contacts, 1) if offer]
    return (plain or offers)[0], (offers or plain)[0]


do_nothing: Rule[SequencingWorld] = NoContact()


def rules() -> tuple[Rule[SequencingWorld], ...]:
    """All comparison rules, untuned, in the order of the tables."""
    return (
        AlwaysContact(),
        Rfm(),
        Cadence(),
        OneStepUplift(),
        OneStepUplift("uplift with fatigue price", priced=True),
        CadenceRfm(),
    )


def logging_rule(calibration: LoggedDecisions) -> LoggingPolicy | None:
    """The policy that wrote the log, as its calibration knows it; None where it cannot."""
    propensity = calibration.logging_propensity
    return None if propensity is None else LoggingPolicy(propensity=propensity)


def logging_choices(calibration: LoggedDecisions, world: SequencingWorld) -> Choosing | None:
    """The same policy from observations, whose indicators tell the state (`kernel.look`)."""
    rule = logging_rule(calibration)
    if rule is None:
        return None
    recencies, frequencies = world.tables.shape[:2]
    bins = [int(levels) for levels in world.terms.bins]

    def choosing(observation: Array, mask: Array | None) -> Array:
        at = recencies + frequencies
        recency = observation[:, :recencies].argmax(axis=1)
        frequency = observation[:, recencies:at].argmax(axis=1)
        fatigue = np.zeros(len(observation), np.int64)
        consent = np.zeros(len(observation), np.int64)
        for channel, levels in enumerate(bins):
            fatigue += observation[:, at : at + levels].argmax(axis=1)
            at += levels
            consent += (observation[:, at] > 0.5).astype(np.int64) << channel
            at += 3  # consent, whether it is open, and how long ago
        allowed = np.asarray(True) if mask is None else mask
        chance = rule.chances(recency, frequency, fatigue, consent, allowed)
        return np.asarray(chance / chance.sum(axis=1, keepdims=True))

    return choosing
