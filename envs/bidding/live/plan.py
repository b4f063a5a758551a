"""What a live bidder plans with: the terms of the simulator as plain arrays, read from a bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-8
LARGEST_LOG_BID = 60.0  # of the bid multiplier, as in the simulator


@dataclass(frozen=True)
class Plan:
    """The campaign's plan at one budget; money in currency, per impression where not per day.

    The names and meanings of `envs.bidding.state.Terms`, of the level nearest to the budget.
    """

    budget: float
    log_tightness: float
    log_lambda_0: float
    plan_left: Floats  # [T + 1]
    expected_before: Floats  # [T + 1]
    sine: Floats  # [T + 1]
    cosine: Floats  # [T + 1]
    price_ref: float
    signal_ref: float
    click_value: float
    cost_per_value_limit: float
    gain: float
    reach: float
    bid_cap: float
    first_price: bool
    shading: Floats  # [X]
    worth_low: float
    worth_step: float

    @property
    def slots(self) -> int:
        """The slots of a day."""
        return len(self.plan_left) - 1


def plan_of(terms: Mapping[str, Any], budget: float | None) -> Plan:
    """The plan of a bundle's terms at a daily budget; the first planned one where none is given.

    Raises ValueError where the budget is not one that the policy was trained near to.
    """
    levels = np.array(terms["budget"], np.float64)
    level = 0 if budget is None else int(np.argmin(np.abs(np.log(levels / budget))))
    chosen = float(levels[level])
    if budget is not None and not 0.5 <= budget / chosen <= 2.0:
        raise ValueError(
            f"budget_day is {budget:g}: the policy was trained for "
            f"{', '.join(f'{one:g}' for one in levels)} a day; train it for this one"
        )
    limit = terms["cost_per_value_limit"]
    arrays = ("plan_left", "expected_before", "sine", "cosine", "shading")
    numbers = (
        "price_ref", "signal_ref", "click_value", "gain", "reach", "bid_cap", "worth_low",
        "worth_step",
    )  # fmt: skip
    read: dict[str, Any] = {name: np.array(terms[name], np.float64) for name in arrays}
    read |= {name: float(terms[name]) for name in numbers}
    return Plan(
        budget=chosen if budget is None else budget,
        log_tightness=float(terms["log_tightness"][level])
        + (0.0 if budget is None else math.log(budget / chosen)),
        log_lambda_0=float(terms["log_lambda_0"][level]),
        cost_per_value_limit=math.inf if limit is None else float(limit),
        first_price=bool(terms["first_price"]),
        **read,
    )


def shaded(plan: Plan, worth: float) -> float:
    """First price: argmax_b (worth - b) F(b), from the grid point at or below `worth`."""
    if worth <= 0.0:
        return 0.0
    point = int((math.log(worth) - plan.worth_low) / plan.worth_step)
    if point < 0:
        return 0.0
    return min(worth, float(plan.shading[min(point, len(plan.shading) - 1)]))


def price_of(plan: Plan, signal: float, log_lambda: float) -> float:
    """The bid for an impression of value `signal`, currency: v / lambda, shaded in first price."""
    worth = signal * math.exp(min(LARGEST_LOG_BID, -log_lambda))
    return min(shaded(plan, worth) if plan.first_price else worth, plan.bid_cap)


@dataclass(frozen=True)
class ClickValue:
    """A predicted click probability as currency: recalibrated as the simulator's was."""

    log_probability: Floats
    log_ratio: Floats
    click_value: float
    usual: float  # the history's mean probability, where a request foretells none

    def signal(self, probability: float | None) -> tuple[float, float]:
        """The probability that is used, and what the impression is worth; currency."""
        given = self.usual if probability is None else probability
        if probability is None:
            return given, given * self.click_value
        bounded = max(given, LEAST_PROBABILITY)
        log_ratio = np.interp(math.log(bounded), self.log_probability, self.log_ratio)
        return given, min(bounded * math.exp(float(log_ratio)), 1.0) * self.click_value
