"""The bidding heuristics that practitioners use today (MODELLING 2.5), speaking in log lambda.

Every rule bids `signal / lambda` (first price: the shaded bid of that worth) and returns log lambda
`[n]`. Where a bid is not proportional to the predicted value, `arena` bends the signal instead.
Parameters are chosen on the days of history only, by the mean score S of a replay, at each budget
level; they are kept relative to the plan's lambda_0, so that they follow a scenario's budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding.days import rebuilt
from envs.bidding.lookahead import ModelPredictive
from envs.bidding.oracle import solve
from envs.bidding.state import BiddingState, Terms
from envs.bidding.tuning import (
    Heuristic,
    PerBudget,
    history_of,
    known,
    on_days,
    plays_history,
    tuned_per_budget,
)
from envs.bidding.world import BiddingWorld
from envs.core.world import Array

if TYPE_CHECKING:
    from envs.core.decision import Rule

# Log lambda against lambda_0: steps of .4, of .05 after the last halving.
SHIFTS = np.linspace(-1.6, 1.6, 9)
SHIFT_HALVINGS = 3
# The dual step per average slot's budget; the market of shocks wants the largest (.8 at c0 = 1/2).
LOG_ETAS = np.log(np.geomspace(0.01, 2.56, 9))
LOG_ETA_HALVINGS = 2
# Gains up to 8: a loose budget in the market of shocks wants about 4.
GAINS = np.linspace(0.0, 8.0, 9)
GAIN_HALVINGS = 3


class Curve(Protocol):
    """How a bid grows with the predicted value."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """The curve's parameters, for tables."""

    def bent(self, signal: NDArray[np.float32], terms: Terms) -> NDArray[np.float32]:
        """The signal `[M]` that bids are made proportional to, currency per impression."""


@dataclass(frozen=True)
class Flat:
    """The same bid for every impression: that of an average one."""

    parameters: Mapping[str, float] = field(default_factory=dict)

    def bent(self, signal: NDArray[np.float32], terms: Terms) -> NDArray[np.float32]:
        """signal' = the history's mean signal."""
        return np.full_like(signal, terms.signal_ref)


@dataclass(frozen=True)
class SquareRoot:
    """ORTB: bids grow like a square root beyond `knee` (a multiple of the mean signal).

    The published bid is sqrt(c v / lambda + c^2) - c (Zhang, Yuan and Wang 2014). With
    k = c lambda it equals (k / lambda) (sqrt(1 + v / k) - 1) = signal' / (2 lambda), where

        signal' = 2 k (sqrt(1 + v / k) - 1),

    v for v much smaller than k: a large knee is LIN.
    """

    knee: float

    @property
    def parameters(self) -> Mapping[str, float]:
        """The knee."""
        return {"knee": self.knee}

    def bent(self, signal: NDArray[np.float32], terms: Terms) -> NDArray[np.float32]:
        """signal' with k = knee x the history's mean signal."""
        k = self.knee * terms.signal_ref
        ratio = signal.astype(np.float64) / k
        # v / k / (sqrt(1 + v / k) + 1) = sqrt(1 + v / k) - 1 without cancellation for small v.
        return np.asarray(2 * k * ratio / (np.sqrt(1 + ratio) + 1), np.float32)


@dataclass(frozen=True)
class FixedLambda(Heuristic):
    """One lambda for the whole day, lambda_0 e^shift, with shift and curve tuned on history."""

    name: str
    curves: tuple[Curve | None, ...] = (None,)  # to choose from; None: proportional to the signal
    curve: Curve | None = None
    shift: PerBudget | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """The shift of log lambda against lambda_0, and the curve's parameters."""
        if self.shift is None:
            return {}
        curve = {} if self.curve is None else self.curve.parameters
        return {**self.shift.named("shift"), **curve}

    def tuned(self, history: BiddingWorld, rng: Generator) -> FixedLambda:
        """The curve with the largest mean S relative to R_ref, each with its best shift."""
        past = history_of(history)
        tried = []
        for curve in self.curves:
            bent = replace(self, curve=curve)
            rule, score = tuned_per_budget(
                bent.arena(past, rng), bent, "shift", SHIFTS, SHIFT_HALVINGS, rng
            )
            tried.append((float(np.mean(score / past.terms.value_ref)), rule))
        return max(tried, key=lambda scored: scored[0])[1]

    def arena(self, world: BiddingWorld, rng: Generator) -> BiddingWorld:
        """The world with the bent signal."""
        curve = self.curve or self.curves[0]
        if curve is None:
            return world
        bent = curve.bent(world.days.signal, world.terms)
        return on_days(world, rebuilt(world.days, bid_cap=world.settings.bid_cap, signal=bent))

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """log lambda = log lambda_0 + shift."""
        return (world.terms.log_lambda_0 + _at(self.shift, world.terms, 0.0))[state.level]


@dataclass(frozen=True)
class CostCap(Heuristic):
    """MCPC: bid = pCTR x the cost per click that history paid, whatever the budget."""

    name: str = "MCPC"
    log_value_per_cost: float | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """The history's cost per value, which is the bid per value."""
        if self.log_value_per_cost is None:
            return {}
        return {"bid per value": float(np.exp(-self.log_value_per_cost))}

    def tuned(self, history: BiddingWorld, rng: Generator) -> CostCap:
        """Cost and value of all impressions of history that an allowed bid can win."""
        days = history.history
        won = np.isfinite(days.price)
        cost = float(days.price[won].sum(dtype=np.float64))
        value = float(days.value[won].sum(dtype=np.float64))
        return replace(self, log_value_per_cost=float(np.log(value / cost)))

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """lambda = value per cost of history."""
        return np.full(len(state.level), known(self.log_value_per_cost, self.name))


@dataclass(frozen=True)
class YesterdaysLambda(Heuristic):
    """The LP dual of another day, fixed through the day.

    A simulated day has no yesterday, so a day of history is drawn for each episode. Where the
    history itself is played, the day that is judged is never drawn.
    """

    name: str = "yesterday's lambda"
    day_shift: tuple[PerBudget, ...] = ()  # log(dual / lambda_0) of every day of history

    def tuned(self, history: BiddingWorld, rng: Generator) -> YesterdaysLambda:
        """The duals of the days of history at each budget."""
        terms = history.terms
        duals = np.array(
            [
                solve(history.history, float(budget), terms.cost_per_value_limit).lambda_star
                for budget in terms.budget
            ]
        )  # [C, D]
        bought = np.isfinite(duals) & (duals > 0)
        # A day on which nothing could be bought teaches no lambda; the plan's stands in for it.
        shift = np.log(np.where(bought, duals, 1.0)) - terms.log_lambda_0[:, None]
        shift = np.where(bought, shift, 0.0)
        return replace(self, day_shift=tuple(PerBudget.of(terms, day) for day in shift.T))

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """The drawn day's dual in the first slot; thereafter the lambda of the last slot."""
        shift = np.array([day.at(world.terms) for day in known(self.day_shift or None, self.name)])
        count = len(shift)
        if plays_history(world) and count > 1:
            drawn = (state.day + rng.integers(1, count, len(state.day))) % count
        else:
            drawn = rng.integers(0, count, len(state.day))
        dual = world.terms.log_lambda_0[state.level] + shift[drawn, state.level]
        return np.where(state.slot == 0, dual, state.log_lambda)


@dataclass(frozen=True)
class ThresholdPid(Heuristic):
    """AuctionNet's rule: bid up when the spend projected from the last slot is too low, else down.

    Projected spend under .7 of the budget left: lambda / 1.2; above 1.1: lambda / .7 (MODELLING
    6.1). The last slot's spend is projected on the traffic that history expects.
    """

    name: str = "PID"
    too_low: float = 0.7
    too_high: float = 1.1
    bid_up: float = 1.2
    bid_down: float = 0.7

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """lambda_0 in the first slot; thereafter the last lambda, moved by the two thresholds."""
        plan_left = world.terms.plan_left
        last = np.maximum(state.slot - 1, 0)
        share = np.maximum(plan_left[last] - plan_left[last + 1], np.finfo(np.float64).tiny)
        projected = state.slot_spend * plan_left[state.slot] / share
        low = projected < self.too_low * state.budget_left
        high = projected > self.too_high * state.budget_left
        move = np.where(low, np.log(self.bid_up), np.where(high, np.log(self.bid_down), 0.0))
        return np.where(state.slot == 0, state.log_lambda, state.log_lambda - move)


@dataclass(frozen=True)
class DualAscent(Heuristic):
    """lambda_{t+1} = lambda_t exp(eta T (spend_t - planned_t) / B), eta tuned on history.

    planned_t = B x (share of traffic expected in slot t): the subgradient of the LP's dual, in
    units of an average slot's budget.
    """

    name: str = "dual ascent"
    log_eta: PerBudget | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """The step."""
        if self.log_eta is None:
            return {}
        eta = replace(self.log_eta, values=tuple(np.exp(self.log_eta.values).tolist()))
        return eta.named("eta")

    def tuned(self, history: BiddingWorld, rng: Generator) -> DualAscent:
        """The step with the largest mean S."""
        past = history_of(history)
        return tuned_per_budget(past, self, "log_eta", LOG_ETAS, LOG_ETA_HALVINGS, rng)[0]

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """lambda_0 in the first slot; thereafter one ascent step from the last lambda."""
        terms = world.terms
        eta = np.exp(_at(self.log_eta, terms, np.log(0.1)))[state.level]
        budget = terms.budget[state.level]
        last = np.maximum(state.slot - 1, 0)
        planned = budget * (terms.plan_left[last] - terms.plan_left[last + 1])
        step = eta * world.days.slots * (state.slot_spend - planned) / budget
        return state.log_lambda + np.where(state.slot == 0, 0.0, step)


@dataclass(frozen=True)
class PowerPacing(Heuristic):
    """lambda = lambda_0 pace^-g with pace = (budget left) / (B x traffic still expected)."""

    name: str = "power pacing"
    gain: PerBudget | None = None

    @property
    def chosen(self) -> Mapping[str, float]:
        """The gain g."""
        return {} if self.gain is None else self.gain.named("gain")

    def tuned(self, history: BiddingWorld, rng: Generator) -> PowerPacing:
        """The gain with the largest mean S."""
        past = history_of(history)
        return tuned_per_budget(past, self, "gain", GAINS, GAIN_HALVINGS, rng)[0]

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """log lambda = log lambda_0 - g log pace."""
        terms = world.terms
        gain = _at(self.gain, terms, terms.gain)[state.level]
        plan = terms.budget[state.level] * terms.plan_left[state.slot]
        running = (plan > 0) & (state.budget_left > 0)
        pace = np.where(running, state.budget_left, 1.0) / np.where(running, plan, 1.0)
        return terms.log_lambda_0[state.level] - gain * np.log(pace)


@dataclass(frozen=True)
class DoNothing(Heuristic):
    """Never bids: an infinite price of money."""

    name: str = "do nothing"

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """Log lambda = infinity."""
        return np.full(len(state.level), np.inf)


@dataclass(frozen=True, kw_only=True)
class LoggingPolicy(Heuristic):
    """The log's own policy: bid = multiplier x value x exp(sd N(0, 1)), drawn per auction.

    The logged bid is taken as it is, also in first price: it was shaded when it was made, if ever.
    """

    multiplier: float  # currency bid per currency of value
    noise_sd: float  # of the log bid
    name: str = "logging policy"

    @property
    def chosen(self) -> Mapping[str, float]:
        """What the log shows; nothing is tuned."""
        return {"multiplier": self.multiplier, "noise sd": self.noise_sd}

    def arena(self, world: BiddingWorld, rng: Generator) -> BiddingWorld:
        """The world with a noisy signal and bids unshaded."""
        signal = world.days.signal
        noise = np.exp(self.noise_sd * rng.standard_normal(len(signal)))
        days = rebuilt(world.days, bid_cap=world.settings.bid_cap, signal=signal * noise)
        return replace(on_days(world, days), terms=_unshaded(world.terms))

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """Log lambda = -log multiplier."""
        return np.full(len(state.level), -np.log(self.multiplier))


class LoggedBids(Protocol):
    """What a calibration says of the bids in its log; None where the log shows won auctions only.

    A Protocol, because a calibration imports no rules and rules import no calibration.
    """

    @property
    def logging_multiplier(self) -> float | None:
        """Currency bid per currency of value."""

    @property
    def logging_noise_sd(self) -> float | None:
        """Standard deviation of the log bid around it."""


do_nothing: Rule[BiddingWorld] = DoNothing()


def rules() -> tuple[Rule[BiddingWorld], ...]:
    """All comparison rules, untuned, in the order of the tables."""
    return (
        FixedLambda("constant bid", curves=(Flat(),)),
        FixedLambda("LIN"),
        CostCap(),
        FixedLambda("ORTB", curves=tuple(SquareRoot(knee) for knee in (1.0, 4.0, 16.0))),
        YesterdaysLambda(),
        ThresholdPid(),
        DualAscent(),
        ModelPredictive(),
        PowerPacing(),
    )


def logging_rule(calibration: LoggedBids) -> Rule[BiddingWorld] | None:
    """The policy that wrote the log, as its calibration estimates it; None where it cannot."""
    multiplier, noise_sd = calibration.logging_multiplier, calibration.logging_noise_sd
    if multiplier is None or noise_sd is None:
        return None
    return LoggingPolicy(multiplier=multiplier, noise_sd=noise_sd)


def _at(parameter: PerBudget | None, terms: Terms, untuned: float) -> NDArray[np.float64]:
    """The parameter at each budget level `[C]`; `untuned` where none was chosen."""
    return np.full(len(terms.budget), untuned) if parameter is None else parameter.at(terms)


def _unshaded(terms: Terms) -> Terms:
    """Terms on which a first-price bid equals its worth."""
    return terms._replace(shading=np.full(1, np.inf), worth_low=np.log(np.finfo(np.float64).tiny))
