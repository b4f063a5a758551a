"""What people call the observations and the action of bidding."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.bidding.world import BiddingWorld
from envs.core.words import ActionWords, StateVariable, Words
from envs.core.world import Array

HOURS = 24.0


def _clock(time_left: Array) -> Array:
    """Sine and cosine of the time of day at a share of the day left, `[n, 2]`."""
    angle = 2 * np.pi * (1.0 - time_left)
    return np.column_stack([np.sin(angle), np.cos(angle)])


def _number(name: str, column: int, label: str, help: str, **more: Any) -> StateVariable:
    return StateVariable(name=name, columns=(column,), label=label, help=help, **more)


_TIMES: dict[str, Any] = {"unit": "x", "logarithmic": True}
_SHARE: dict[str, Any] = {"unit": "%", "scale": 100.0}

VARIABLES = (
    StateVariable(
        name="hour", label="Time of day", unit="h UTC", columns=(0, 10, 11), shift=HOURS,
        scale=-HOURS, others=_clock, help="hours since midnight at the start of the half-hour slot",
    ),
    _number("pace", 2, "Budget left against plan",
            "budget left / what the plan would still have; above 1 money is ahead", **_TIMES),
    _number("budget_left", 1, "Budget left", "budget left / the day's budget", **_SHARE),
    _number("spend_pace", 3, "Spend against plan",
            "running spend / planned spend, recent slots weigh more", **_TIMES),
    _number("traffic", 4, "Traffic against expectation",
            "impressions seen so far / expected by now", **_TIMES),
    _number("win_rate", 5, "Win rate, last slot", "impressions won / on offer", **_SHARE),
    _number("win_average", 6, "Win rate, running", "the same, recent slots weigh more", **_SHARE),
    _number("price", 7, "Price paid against usual", "price paid / the history's mean price",
            unit="x"),
    _number("quality", 8, "Value won against usual",
            "value of an impression won / the history's mean", unit="x"),
    _number("price_of_budget", 9, "Price of budget, last slot",
            "lambda of the last slot / the planned one; above 1 bids were lower", **_TIMES),
    StateVariable(name="weekend", label="Weekend", help="Saturday or Sunday, UTC", columns=(12,),
                  levels=("yes", "no")),
    _number("tightness", 13, "Daily budget", "budget / what all impressions would cost",
            scale=2.0, **_TIMES),
    _number("cost_per_value", 14, "Cost per value against its limit",
            "0 where no target is set", unit="x"),
    _number("clicks", 15, "Clicks against expectation",
            "realised / expected clicks, few clicks pulled to 1", unit="x"),
)  # fmt: skip


def words(calibration: Any, world: BiddingWorld) -> Words:
    """The 16 observations by name, and actions as factors on the pacing rule's bid."""
    reach = world.settings.reach

    def factor(action: Array) -> Any:
        return np.exp(reach * np.asarray(action, np.float64).reshape(len(action)))

    def action_of(world: BiddingWorld, state: Any, control: Array) -> Array:
        idle = world.control(state, np.zeros((len(control), 1), np.float32))
        return np.asarray((idle - control) / reach)[:, None]

    return Words(
        variables=VARIABLES,
        action=ActionWords(
            label="Bid against the pacing rule",
            unit="x",
            help="what every bid is multiplied by, beside what the pacing rule itself would bid",
            amount=factor,
            as_before=1.0,
            action_of=action_of,
        ),
    )
