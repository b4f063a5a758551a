"""Model-predictive control: the rest of the day planned on what history days cost and yielded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.bidding import kernel
from envs.bidding.oracle import penalised
from envs.bidding.state import BiddingState
from envs.bidding.tuning import Heuristic, history_of, known, plays_history
from envs.bidding.world import BiddingWorld
from envs.core.world import Array

POINTS = 129  # lambda in steps of about 6 %, and interpolated between them
LOG_REACH = 3.5  # the table ends at lambda_0 times or divided by e^3.5 = 33


@dataclass(frozen=True, eq=False)
class Lookahead:
    """Totals of the slots still to come, `D` history days, `T` slots, `G` levels of lambda."""

    log_lambda: NDArray[np.float64]  # [G] descending, so that spend ascends
    spend: NDArray[np.float64]  # [D, T + 1, G] currency from this slot to the day's end
    value: NDArray[np.float64]  # [D, T + 1, G] likewise
    impressions_before: NDArray[np.float64]  # [D, T + 1] offered before this slot

    @classmethod
    def of(cls, world: BiddingWorld, rng: Generator) -> Lookahead:
        """Replay the history of `world` with money for everything, once at each level of lambda."""
        history = history_of(world)
        log_lambda_0 = world.terms.log_lambda_0
        log_lambda = np.linspace(
            log_lambda_0.max() + LOG_REACH, log_lambda_0.min() - LOG_REACH, POINTS
        )
        most_rows = int(np.diff(history.days.offset).sum(axis=1).max())
        plenty = 2 * history.days.weight * most_rows * world.terms.bid_cap
        rich = replace(
            history, terms=world.terms._replace(budget=np.full(len(log_lambda_0), plenty))
        )
        days, slots = history.days.count, history.days.slots
        state = rich.initial(days * POINTS, rng)
        day = np.repeat(np.arange(days, dtype=np.int32), POINTS)
        kernel.start_all(state, day, np.zeros_like(day), rich.terms)
        played = np.zeros((2, slots + 1, days * POINTS))
        for slot in range(slots):
            outcome = rich.step(state, np.tile(log_lambda, days), rng)
            played[:, slot] = outcome.kpis["spend"], outcome.kpis["value"]
            state = outcome.state
        to_come = np.cumsum(played[:, ::-1], axis=1)[:, ::-1]
        spend, value = to_come.reshape(2, slots + 1, days, POINTS).transpose(0, 2, 1, 3)
        offset = history.days.offset.astype(np.float64)
        before = (offset - offset[:, :1]) * history.days.weight
        return cls(log_lambda, spend, value, before)

    def solved(
        self,
        spend: NDArray[np.float64],
        value: NDArray[np.float64],
        budget_left: NDArray[np.float64],
        spent: NDArray[np.float64],
        earned: NDArray[np.float64],
        cost_per_value_limit: float,
    ) -> NDArray[np.float64]:
        """Log lambda `[n]` that maximises the day's S within `budget_left [n]`.

        `spend` and `value` `[n, G]` are what the rest of the day is expected to cost and yield;
        `spent` and `earned` `[n]` what is already done. Without a cost-per-value limit this is the
        lambda at which the expected spend equals the budget left.
        """
        affordable = spend <= budget_left[:, None]
        score = penalised(earned[:, None] + value, spent[:, None] + spend, cost_per_value_limit)
        best = np.argmax(np.where(affordable, score, -np.inf), axis=1)
        copy = np.arange(len(best))
        after = np.minimum(best + 1, len(self.log_lambda) - 1)
        step = spend[copy, after] - spend[copy, best]
        budget_binds = (spend[copy, after] > budget_left) & (step > 0)
        share = np.where(
            budget_binds, (budget_left - spend[copy, best]) / np.where(step > 0, step, 1.0), 0.0
        )
        share = np.clip(share, 0.0, 1.0)
        return np.asarray(
            self.log_lambda[best] + share * (self.log_lambda[after] - self.log_lambda[best])
        )


@dataclass(frozen=True)
class ModelPredictive(Heuristic):
    """MPC: every 2 slots, the lambda at which 5 history days would spend exactly the budget left.

    Solves the LP of the remaining slots, pooled over the days (`Lookahead.solved`) and scaled by
    the traffic seen so far against theirs. The 5 days are the last of history; where the history
    itself is played, those before the judged day.
    """

    name: str = "MPC"
    days_known: int = 5
    every_slots: int = 2
    lookahead: Lookahead | None = field(default=None, repr=False, compare=False)

    def tuned(self, history: BiddingWorld, rng: Generator) -> ModelPredictive:
        """The rule with the table of what the rest of each history day costs and yields."""
        return replace(self, lookahead=Lookahead.of(history, rng))

    def control(self, world: BiddingWorld, state: BiddingState, rng: Generator) -> Array:
        """The last lambda, replaced every other slot by the solution for the rest of the day."""
        table = known(self.lookahead, self.name)
        count = len(table.spend)
        judged_is_known = plays_history(world) and count > 1
        back = 1 + np.arange(min(self.days_known, count - judged_is_known))
        if judged_is_known:
            known_day, slot = (state.day[:, None] - back) % count, state.slot[:, None]  # [n, 5]
            spend, value, before = (
                rows[known_day, slot].mean(axis=1)
                for rows in (table.spend, table.value, table.impressions_before)
            )
        else:
            spend, value, before = (
                rows[count - back].mean(axis=0)[state.slot]
                for rows in (table.spend, table.value, table.impressions_before)
            )
        seen = state.seen
        traffic = np.where(before > 0, seen / np.where(before > 0, before, 1.0), 1.0)[:, None]
        solved = table.solved(
            spend * traffic, value * traffic, state.budget_left, state.spend, state.promised,
            world.terms.cost_per_value_limit,
        )  # fmt: skip
        return np.where(state.slot % self.every_slots == 0, solved, state.log_lambda)
