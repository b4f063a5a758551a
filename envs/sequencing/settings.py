"""What the owner of a contact programme decides: horizon, discount, caps, quiet weeks, prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

WEEKS_OF_A_YEAR = 52
LONGEST_CAP_DAYS = 64 * 7  # the last 64 weeks of contacts are remembered
# (contacts, days): at most so many in any so many days (MODELLING 3.1)
DEFAULT_CAPS = {"email": (2, 7), "sms": (1, 14), "letter": (1, 28)}


@dataclass(frozen=True, kw_only=True)
class SequencingSettings:
    """One customer's programme; a step is a week, money is in `currency`.

    `end` says what the horizon is. "terminal value": the end of the problem, where what the
    customer is worth over the next `terminal_weeks` is paid, contacted on at a cadence as far
    as consent allows (terminal.py), so that the list is not burnt. "truncated": a cut made for
    training, to be bootstrapped; the KPI `value` still adds the uncontacted worth. "nothing":
    what comes after is worth nothing; only here may an unsubscribe have a price of its own,
    since elsewhere its cost is in the contacts that it rules out.
    """

    horizon_weeks: int = 52
    discount: float = 0.99  # a week
    end: Literal["terminal value", "truncated", "nothing"] = "terminal value"
    terminal_weeks: int = 52
    unsubscribe_cost: float = 0.0
    # channel -> (contacts, days): never more in any window of so many days
    caps: Mapping[str, tuple[int, int]] = field(default_factory=lambda: dict(DEFAULT_CAPS))
    quiet_weeks: tuple[int, ...] = ()  # weeks of the year, 0 to 51, without any contact
    first_week: int = 0  # week of the year in which episodes begin
    closed_channels: tuple[str, ...] = ()  # without capacity: masked
    # channel -> currency a contact, on top of its cost: the price of a shared budget
    channel_prices: Mapping[str, float] = field(default_factory=dict)
    # channel -> contacts a customer and week that the list shares: priced by dual ascent, and cut
    channel_budgets: Mapping[str, float] = field(default_factory=dict)
    # "expected": a contact pays its chance of a purchase x margin; "realised": drawn purchases pay
    pay: Literal["expected", "realised"] = "expected"
    # deviations of the members' expected margins taken off a week's reward in training
    pessimism: float = 0.0
    currency: str = "units of currency"

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.horizon_weeks <= 5200:
            problems.append(f"horizon_weeks is {self.horizon_weeks}: it must be in [1, 5200]")
        if not 0 < self.discount <= 1:
            problems.append(f"discount is {self.discount}: it must be above 0 and at most 1")
        if not 0 <= self.terminal_weeks <= 5200:
            problems.append(f"terminal_weeks is {self.terminal_weeks}: it must be in [0, 5200]")
        if not 0 <= self.unsubscribe_cost < float("inf"):
            problems.append(f"unsubscribe_cost is {self.unsubscribe_cost}: it must be 0 or more")
        if self.unsubscribe_cost and self.end != "nothing":
            problems.append(
                f"unsubscribe_cost is {self.unsubscribe_cost} and end is {self.end!r}: what an "
                "unsubscribe costs would be counted twice; set one of them to 0 or 'nothing'"
            )
        if not 0 <= self.pessimism < float("inf"):
            problems.append(f"pessimism is {self.pessimism}: it must be 0 or more and finite")
        problems += [
            f"caps[{name!r}] is {tuple(cap)}: it must be (contacts of 0 or more, "
            f"days from 1 to {LONGEST_CAP_DAYS})"
            for name, cap in self.caps.items()
            if len(cap) != 2 or cap[0] < 0 or not 1 <= cap[1] <= LONGEST_CAP_DAYS
        ]
        problems += [
            f"{name} holds {week}: weeks of the year are 0 to 51"
            for name, weeks in {
                "quiet_weeks": self.quiet_weeks,
                "first_week": (self.first_week,),
            }.items()
            for week in weeks
            if not 0 <= week < WEEKS_OF_A_YEAR
        ]
        problems += [
            f"channel_prices[{name!r}] is {price}: it must be 0 or more and finite"
            for name, price in self.channel_prices.items()
            if not 0 <= price < float("inf")
        ]
        problems += [
            f"channel_budgets[{name!r}] is {budget}: it must be above 0 and at most 1 contact a "
            "customer and week (to close a channel: closed_channels)"
            for name, budget in self.channel_budgets.items()
            if not 0 < budget <= 1
        ]
        if problems:
            raise ValueError("; ".join(problems))

    def require_channels(self, channels: tuple[str, ...]) -> None:
        """Raise ValueError where a setting names a channel that the log does not have.

        The caps that are there by default may name channels that are not.
        """
        named = {
            "caps": [c for c, cap in self.caps.items() if DEFAULT_CAPS.get(c) != tuple(cap)],
            "closed_channels": self.closed_channels,
            "channel_prices": self.channel_prices,
            "channel_budgets": self.channel_budgets,
        }
        unknown = [
            f"{name} names {channel!r}: the channels are {', '.join(channels)}"
            for name, used in named.items()
            for channel in used
            if channel not in channels
        ]
        if unknown:
            raise ValueError("; ".join(unknown))
