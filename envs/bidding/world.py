"""The bidding market at slot level: pure batched dynamics over realised days (MODELLING 2.1-2.3).

A campaign-day is an episode of T slots. In each slot the agent sets one number, the price lambda of
a unit of budget; every auction inside the slot is bid v / lambda (second price) or the shaded bid
argmax_b (v / lambda - b) F(b) (first price). The budget is a hard wall: bids never exceed what is
left, and a slot in which it could run out is walked in arrival order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding import kernel
from envs.bidding.days import Days
from envs.bidding.hindsight import Attainable, attainable, potential_all
from envs.bidding.kernel import KPI_NAMES, OBSERVATION_BOUND, OBSERVATIONS
from envs.bidding.oracle import solve
from envs.bidding.scenario import BiddingScenario, changed_days, season_of
from envs.bidding.state import BiddingState, Terms
from envs.core.moments import Moments
from envs.core.scenario import Remark
from envs.core.season import Season
from envs.core.world import Array, Outcome, StepBuffers

LARGEST_GAIN = 10.0  # tuned gains are about 2; far above, pacing switches between all and nothing
BUDGET_LEVELS = 9  # of a range: a fifth apart where it spans a factor of four
HOURS_PER_DAY = 24.0
WORTH_POINTS = 1024  # grid of the first-price bid: 1 % steps over four decades


@dataclass(frozen=True, kw_only=True)
class BiddingSettings:
    """What the campaign's owner decides; money in currency.

    `tightness` are the budget levels c0 = daily budget / cost of buying everything; several make
    one policy for several budgets; a `budget` (currency a day) replaces them. `budget_range` are
    the factors on it between which a training episode's budget is drawn, evenly in the log; what is
    judged has the budget itself. `gain` is g and `reach` kappa of MODELLING 2.3.
    """

    tightness: tuple[float, ...] = (0.125,)
    budget: float | None = None
    budget_range: tuple[float, ...] = (1.0, 1.0)
    auction: Literal["second_price", "first_price"] = "second_price"
    target_cpa: float | None = None
    gain: float = 1.0
    reach: float = 0.7
    bid_cap_cpm: float = 300.0
    currency_per_price_unit: float = 1.0
    click_value: float = 1.0
    currency: str = "units of currency"

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}: it must be above 0 and finite"
            for name, value in {
                "budget": self.budget,
                "target_cpa": self.target_cpa,
                "bid_cap_cpm": self.bid_cap_cpm,
                "currency_per_price_unit": self.currency_per_price_unit,
                "click_value": self.click_value,
                "reach": self.reach,
            }.items()
            if value is not None and not 0 < value < np.inf
        ]
        if not self.tightness or any(not 0 < c < np.inf for c in self.tightness):
            problems.append(f"tightness is {self.tightness}: every level must be above 0")
        low, high = self.budget_range if len(self.budget_range) == 2 else (np.nan, np.nan)
        if not 0 < low <= 1 <= high < np.inf:
            problems.append(
                f"budget_range is {self.budget_range}: it must be two factors, one from above 0 to "
                "1 and one of 1 or more, such as [0.5, 2]"
            )
        if not 0 <= self.gain <= LARGEST_GAIN:
            problems.append(f"gain is {self.gain}: it must be in [0, {LARGEST_GAIN:g}]")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def bid_cap(self) -> float:
        """The bid cap in currency per impression."""
        return self.bid_cap_cpm * self.currency_per_price_unit / 1000

    @property
    def budget_factors(self) -> NDArray[np.float64]:
        """What an episode's budget may be, x the budget itself: nothing else where it counts."""
        return np.ones(1)


class TrainingSettings(BiddingSettings):
    """The same campaign while it is practised: with every budget of its range."""

    @property
    def budget_factors(self) -> NDArray[np.float64]:
        """`BUDGET_LEVELS` factors, evenly spaced in the log, the budget itself among them."""
        low, high = self.budget_range
        span = max(np.log(high) - np.log(low), 1e-12)
        below = round((BUDGET_LEVELS - 1) * -np.log(low) / span)
        steps = np.geomspace(low, 1.0, below + 1), np.geomspace(1.0, high, BUDGET_LEVELS - below)
        return np.unique(np.concatenate(steps))


def training_settings(settings: BiddingSettings) -> BiddingSettings:
    """The settings that training is done under: the same, but for the range of budgets."""
    return TrainingSettings(**vars(settings))


def plan_terms(history: Days, settings: BiddingSettings, shading: Shading | None = None) -> Terms:
    """Everything a campaign knows before its day begins, from the days of `history`.

    lambda_0 is the geometric mean of the history's LP duals at the budget, R_ref the mean LP value
    (MODELLING 2.3); plan_left comes from the mean traffic share of the slots.
    """
    price = np.minimum(history.price, np.float32(settings.bid_cap)).astype(np.float64)
    rows = np.diff(history.offset, axis=1)  # [D, T]
    share = rows.sum(axis=0) / rows.sum()
    cost_of_all = float(price.sum()) * history.weight / history.count
    limit = np.inf if settings.target_cpa is None else settings.target_cpa / settings.click_value
    budget = np.array([c * cost_of_all for c in settings.tightness])
    if settings.budget is not None:
        budget = np.array([settings.budget])
    budget = np.outer(budget, settings.budget_factors).ravel()
    ceilings = [solve(history, float(b), limit) for b in budget]
    duals = [c.lambda_star[np.isfinite(c.lambda_star) & (c.lambda_star > 0)] for c in ceilings]
    if any(len(d) == 0 for d in duals):
        raise ValueError(
            "no impression of the history can be bought at this budget and target: "
            "raise the budget or the target_cpa"
        )
    time_of_day = 2 * np.pi * np.arange(history.slots + 1) / history.slots
    first_price = settings.auction == "first_price"
    if first_price:
        shading = shading or fit_shading(history, settings.bid_cap)
    return Terms(
        budget=budget,
        log_tightness=np.log(budget / cost_of_all),
        log_lambda_0=np.array([np.log(d).mean() for d in duals]),
        value_ref=np.array([c.value.mean() for c in ceilings]),
        plan_left=np.append(np.cumsum(share[::-1])[::-1], 0.0),
        expected_before=np.concatenate([[0.0], np.cumsum(rows.mean(axis=0)) * history.weight]),
        sine=np.sin(time_of_day),
        cosine=np.cos(time_of_day),
        price_ref=float(price.mean()),
        signal_ref=float(history.signal.mean()),
        click_value=settings.click_value,
        cost_per_value_limit=limit,
        gain=settings.gain,
        reach=settings.reach,
        bid_cap=settings.bid_cap,
        least_balance=float(price.mean()) * history.weight,
        first_price=first_price,
        shading=np.zeros(1) if shading is None else shading.bid,
        worth_low=0.0 if shading is None else shading.worth_low,
        worth_step=1.0 if shading is None else shading.worth_step,
    )


class Shading(NamedTuple):
    """The first-price bid as a table over a geometric grid of worths (currency per impression)."""

    bid: NDArray[np.float64]
    worth_low: float  # log of the first point
    worth_step: float


def fit_shading(history: Days, bid_cap: float) -> Shading:
    """bid(w) = argmax_b (w - b) F(b) on the 301-point price grid, F the history's price law.

    Source: MODELLING 2.2; Pan et al. 2020 for what shading saves.
    """
    grid = np.linspace(0.0, bid_cap, 301)
    price = np.sort(history.price.astype(np.float64))
    win_probability = np.searchsorted(price, grid, side="right") / len(price)
    log_worth = np.linspace(np.log(bid_cap / 1000), np.log(bid_cap * 20), WORTH_POINTS)
    surplus = (np.exp(log_worth)[:, None] - grid) * win_probability
    bid = grid[np.argmax(surplus, axis=1)]
    return Shading(
        bid=np.maximum.accumulate(bid),
        worth_low=float(log_worth[0]),
        worth_step=float(log_worth[1] - log_worth[0]),
    )


@dataclass(frozen=True)
class BiddingWorld:
    """Days to be played and the terms they are played on; a frozen value.

    `history` are the days that the terms and the rules know; `days` are the days that come.
    """

    days: Days
    history: Days
    settings: BiddingSettings
    terms: Terms = field(repr=False)
    attainable: Attainable | None = field(default=None, repr=False)

    kpi_names = KPI_NAMES

    @classmethod
    def planned(cls, days: Days, history: Days, settings: BiddingSettings) -> BiddingWorld:
        """The world of `days` for a campaign that plans with `history`."""
        return cls(days, history, settings, plan_terms(history, settings))

    @property
    def horizon(self) -> int:
        """The slots of a day."""
        return self.days.slots

    @property
    def episodes(self) -> int:
        """The number of days."""
        return self.days.count

    @property
    def observation_space(self) -> gymnasium.spaces.Box:
        """16 numbers in [-3, 3]."""
        return gymnasium.spaces.Box(
            -OBSERVATION_BOUND, OBSERVATION_BOUND, (OBSERVATIONS,), np.float32
        )

    @property
    def action_space(self) -> gymnasium.spaces.Box:
        """One number in [-1, 1]; 0 is the pacing rule itself."""
        return gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def initial(self, n: int, rng: Generator) -> BiddingState:
        """Start `n` campaign-days, without repetition as far as the days last."""
        rounds = -(-n // self.days.count)
        day = np.concatenate([rng.permutation(self.days.count) for _ in range(rounds)])[:n]
        level = rng.integers(0, len(self.terms.budget), n)
        state = self._blank(n)
        kernel.start_all(state, day.astype(np.int32), level.astype(np.int32), self.terms)
        return state

    @staticmethod
    def _blank(n: int) -> BiddingState:
        kinds: dict[str, Any] = {"day": np.int32, "level": np.int32, "slot": np.int32}
        kinds["stopped"] = np.bool_
        columns = {name: np.zeros(n, kinds.get(name, np.float64)) for name in BiddingState._fields}
        return BiddingState._make(columns.values())

    def observe(self, state: BiddingState) -> Array:
        """The 16 observations of every copy, `[n, 16]` float32."""
        observation = np.empty((len(state.slot), OBSERVATIONS), np.float32)
        kernel.look_all(self.days, self.terms, state, observation)
        return observation

    def moments(self, state: BiddingState) -> Moments:
        """The weekday and the hour, UTC; simulated days have no date."""
        return Moments(
            weekday=self.days.weekday[state.day],
            hour=np.minimum(state.slot, self.days.slots - 1) * (HOURS_PER_DAY / self.days.slots),
        )

    def action_mask(self, state: BiddingState) -> None:
        """Every action is always allowed."""

    def control(self, state: BiddingState, action: Array) -> Array:
        """log lambda_t = log lambda_0 - g log(pace) - kappa a, `[n]`, of actions `[n, 1]`."""
        level = state.level
        plan = self.terms.budget[level] * self.terms.plan_left[state.slot]
        running = (plan > 0) & (state.budget_left > 0)
        pace = np.where(running, state.budget_left, 1.0) / np.where(running, plan, 1.0)
        bounded = np.clip(np.asarray(action, np.float64).reshape(len(level)), -1.0, 1.0)
        base = self.terms.log_lambda_0[level] - self.terms.gain * np.log(pace)
        return np.asarray(base - self.terms.reach * bounded)

    def step(self, state: BiddingState, control: Array, rng: Generator) -> Outcome[BiddingState]:
        """Run one slot at log lambda = `control [n]`; nothing is drawn, the day is realised."""
        after = BiddingState._make(column.copy() for column in state)
        n = len(after.slot)
        reward = np.empty(n)
        kpi = np.empty((n, len(KPI_NAMES)))
        kernel.advance_all(
            self.days, self.terms, after, np.asarray(control, np.float64), reward, kpi
        )
        return Outcome(
            state=after,
            reward=reward,
            terminated=after.stopped | (after.slot >= self.days.slots),
            truncated=np.zeros(n, np.bool_),
            kpis={name: kpi[:, column] for column, name in enumerate(KPI_NAMES)},
        )

    def step_into(
        self, state: BiddingState, action: Array, rng: Generator, out: StepBuffers
    ) -> None:
        """Compiled agent step in place; copies whose day ended begin a day drawn at random."""
        n = len(state.slot)
        ended = kernel.agent_step_all(
            self.days, self.terms, state, np.asarray(action, np.float64).reshape(n),
            out.observation, out.reward, out.terminated, out.kpi,
        )  # fmt: skip
        if ended:
            kernel.restart_ended(
                self.days, self.terms, state, out.terminated,
                rng.integers(0, self.days.count, n, np.int32),
                rng.integers(0, len(self.terms.budget), n, np.int32),
                out.observation, out.final_observation,
            )  # fmt: skip
        out.truncated[:] = False

    def with_hindsight(self) -> BiddingWorld:
        """The same world, able to say what hindsight could still earn from any state."""
        return replace(self, attainable=attainable(self.days, float(self.terms.budget.max())))

    def potential(self, state: BiddingState) -> Array:
        """What hindsight could still earn from `state`, in units of the reward: `[n]`."""
        assert self.attainable is not None, "with_hindsight() comes first"
        potential = np.empty(len(state.slot))
        potential_all(self.attainable, self.terms, state, potential)
        return potential

    def under(self, scenario: BiddingScenario) -> BiddingWorld:
        """The same days and plan with the scenario's budget, prices, traffic, season and so on.

        The plan (lambda_0, references) stays what history taught, except for the budget, which the
        campaign's owner knows in advance.
        """
        days = changed_days(
            self.days, scenario, self._season, self.settings.bid_cap, self.settings.click_value
        )
        if scenario.budget == 1:
            terms, settings = self.terms, self.settings
        else:
            settings = self._budgeted(scenario.budget)
            terms = plan_terms(self.history, settings)
        terms = terms._replace(bid_cap=self.terms.bid_cap * scenario.bid_cap)
        return BiddingWorld(days, self.history, settings, terms)

    def remarks(self, scenario: BiddingScenario) -> tuple[Remark, ...]:
        """What the scenario's season brings with it."""
        return self._season.remarks(scenario.season)

    @cached_property
    def _season(self) -> Season:
        return season_of(self.history, self.settings.bid_cap)

    def _budgeted(self, factor: float) -> BiddingSettings:
        return replace(
            self.settings,
            tightness=tuple(c * factor for c in self.settings.tightness),
            budget=None if self.settings.budget is None else self.settings.budget * factor,
        )
