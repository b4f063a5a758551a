"""What each guard allows: small frozen values that check themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ppo_marketing.guardrails.plain import Check, refuse_unless

LONGEST_WINDOW_DAYS = 3650
"""Contacts are remembered as long as the longest cap asks; ten years is beyond any of them."""


def _zero_or_more(name: str, value: float | None) -> Check:
    good = value is None or 0 <= value < math.inf
    return name, value, good, "zero or more and finite, or null"


def _finite(*values: float | None) -> bool:
    return all(value is None or math.isfinite(value) for value in values)


@dataclass(frozen=True, kw_only=True)
class AmountLimits:
    """A bid, a multiplier, any amount: shipped is `nothing` or lies in [floor, cap].

    Changes are measured against the champion's amount, itself brought into range first: a decision
    by at most min(change, relative_change |champion|); a day's changes sum to at most
    `daily_change` and, at any time, `daily_relative_change` of what the champion's sum to.

    Raises:
        UserError: a limit is not finite, negative where it must not be, or floor > cap.
    """

    floor: float
    cap: float
    nothing: float | None = None
    """The amount that means not taking part, such as a bid of 0; needed by whatever stops."""
    change: float | None = None
    relative_change: float | None = None
    daily_change: float | None = None
    daily_relative_change: float | None = None

    def __post_init__(self) -> None:
        changes = ("change", "relative_change", "daily_change", "daily_relative_change")
        refuse_unless(
            "limits on amounts",
            ("floor", self.floor, _finite(self.floor), "a finite number"),
            ("cap", self.cap, _finite(self.cap), "a finite number"),
            ("cap", self.cap, not self.cap < self.floor, f"at least the floor, {self.floor}"),
            ("nothing", self.nothing, _finite(self.nothing), "a finite number, or null"),
            *(_zero_or_more(name, getattr(self, name)) for name in changes),
        )

    @property
    def daily(self) -> bool:
        """Whether a day's changes are limited."""
        return self.daily_change is not None or self.daily_relative_change is not None

    @property
    def rest(self) -> float:
        """What is shipped where neither proposal nor champion can be: `nothing`, or the floor."""
        return self.floor if self.nothing is None else self.nothing


@dataclass(frozen=True, kw_only=True)
class ChoiceLimits:
    """A contact, an item, any choice 0 .. choices - 1: shipped is allowed, or `nothing`.

    Raises:
        UserError: `nothing` or a closed choice is not on the menu, or everything is closed.
    """

    choices: int
    nothing: int | None = None
    """The choice that leaves everybody alone, always allowed; needed by whatever stops."""
    closed: tuple[int, ...] = ()
    """Choices that nobody gets: a closed channel, an item out of stock."""

    def __post_init__(self) -> None:
        last = self.choices - 1
        menu = f"from 0 to {last}"
        open_ones = set(range(max(self.choices, 0))) - set(self.closed)
        refuse_unless(
            "limits on choices",
            ("choices", self.choices, self.choices >= 1, "1 or more"),
            ("nothing", self.nothing, self.nothing is None or 0 <= self.nothing <= last, menu),
            ("closed", self.closed, all(0 <= one <= last for one in self.closed), menu),
            ("closed", self.closed, self.nothing not in self.closed, "without `nothing`"),
            ("closed", self.closed, bool(open_ones), "fewer than all choices"),
        )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent, in currency: a day, altogether, or both.

    A decision reserves the most that it can cost; `settled` gives back what it did not.

    Raises:
        UserError: neither is given, or one is negative or not finite.
    """

    day: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        given = self.day is not None or self.total is not None
        refuse_unless(
            "a budget",
            ("day", self.day, given, "given where `total` is not"),
            _zero_or_more("day", self.day),
            _zero_or_more("total", self.total),
        )


@dataclass(frozen=True, kw_only=True)
class ContactCap:
    """At most `contacts` in any `days` consecutive days, of each unit or of `everyone` together.

    `choices` are those that count (the contacts of a channel); none given: all but `nothing`.

    Raises:
        UserError: contacts are negative, days not from 1 to LONGEST_WINDOW_DAYS, or no choice.
    """

    contacts: int
    days: int
    choices: tuple[int, ...] | None = None
    everyone: bool = False

    def __post_init__(self) -> None:
        window = f"from 1 to {LONGEST_WINDOW_DAYS}"
        refuse_unless(
            "a cap on contacts",
            ("contacts", self.contacts, self.contacts >= 0, "0 or more"),
            ("days", self.days, 1 <= self.days <= LONGEST_WINDOW_DAYS, window),
            ("choices", self.choices, self.choices != (), "one choice or more, or null for all"),
        )

    def counts(self, choice: int) -> bool:
        """Whether this choice falls under the cap."""
        return self.choices is None or choice in self.choices


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """When everybody is left alone, by the unit's local hour and the books' calendar day.

    Raises:
        UserError: nothing is quiet, or an hour, weekday or week does not exist.
    """

    hours: tuple[int, int] | None = None
    """(from, to) in 24 hours, `to` not included; (21, 8) spans midnight."""
    weekdays: tuple[int, ...] = ()
    """0 is Monday."""
    weeks: tuple[int, ...] = ()
    """Weeks of the year, 0 to 51, each of 7 days from 1 January; the last one has the rest."""

    def __post_init__(self) -> None:
        hours = self.hours or (0, 1)
        given = self.hours is not None or bool(self.weekdays) or bool(self.weeks)
        refuse_unless(
            "a quiet time",
            ("hours", self.hours, given, "given where neither weekdays nor weeks are"),
            ("hours", self.hours, all(0 <= hour <= 24 for hour in hours), "from 0 to 24"),
            ("hours", self.hours, hours[0] % 24 != hours[1] % 24, "shorter than the whole day"),
            ("weekdays", self.weekdays, all(0 <= d <= 6 for d in self.weekdays), "from 0 to 6"),
            ("weeks", self.weeks, all(0 <= week <= 51 for week in self.weeks), "from 0 to 51"),
        )


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """A share of units that the policy never decides for, by a salted hash of their id.

    Another salt holds out other units: choose one an experiment, and keep it.

    Raises:
        UserError: the share is outside [0, 1], or the salt is empty.
    """

    share: float
    salt: str
    gets: Literal["champion", "nothing"] = "champion"

    def __post_init__(self) -> None:
        refuse_unless(
            "a holdout",
            ("share", self.share, 0.0 <= self.share <= 1.0, "from 0 to 1"),
            ("salt", self.salt, self.salt != "", "some text, and the same for the whole test"),
        )


@dataclass(frozen=True, kw_only=True)
class Support:
    """The observations that training saw, feature by feature: [low, high] and a margin.

        x is inside where low - margin (high - low) <= x <= high + margin (high - low)

    A feature that never changed must not change: a category that training never saw is outside.

    Raises:
        UserError: bounds are not finite, of different lengths or crossed, or margin < 0.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    margin: float = 0.1
    """A tenth of the range seen: a longer campaign day is no surprise, another currency is."""

    def __post_init__(self) -> None:
        sizes = f"as many numbers as low, {len(self.low)}"
        crossed = any(low > high for low, high in zip(self.low, self.high, strict=False))
        refuse_unless(
            "the support",
            ("low", self.low, bool(self.low) and _finite(*self.low), "finite numbers"),
            ("high", self.high, _finite(*self.high), "finite numbers"),
            ("high", self.high, len(self.high) == len(self.low), sizes),
            ("high", self.high, not crossed, "nowhere below low"),
            _zero_or_more("margin", self.margin),
        )

    @classmethod
    def seen(cls, observations: NDArray[Any], margin: float = 0.1) -> Self:
        """The support of the observations `[n, obs]` of a training; UserError where n is 0."""
        rows = np.asarray(observations, np.float64)
        two = rows.ndim == 2 and len(rows) > 0
        refuse_unless("the support", ("the shape", rows.shape, two, "[n, obs] with n of 1 or more"))
        return cls(low=tuple(rows.min(0).tolist()), high=tuple(rows.max(0).tolist()), margin=margin)

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lowest and highest values that are inside, margin included: `[obs]` each."""
        low, high = np.array(self.low), np.array(self.high)
        with np.errstate(over="ignore"):  # a range beyond 1e308 has room without end
            room = self.margin * (high - low) if self.margin else np.zeros(len(low))
            return low - room, high + room
