"""What the owner of a page decides, and how sessions go on where the log does not show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, kw_only=True)
class PersonalizationSettings:
    """Values of one page; money in `currency` (clicks, where an event is worth 1).

    `event_value` is what one reward event is worth; `slots` how many items a visitor is shown at
    once, best position first. With `one_choice` the items of a page compete for one reward (a log
    of such pages says so itself), else each is rewarded on its own. `pessimism` (MODELLING 5.1's
    beta) takes that many deviations between the members off the training reward. The other fields
    are the session parameters of
    MODELLING 4.1: `boredom` eta (logits a level), `boredom_levels` K, the probabilities of leaving
    after a click (`leave_click`), without one (`leave_none`, plus `leave_boredom` a level), and of
    returning the next day, sigmoid(return_intercept + return_satisfaction SAT), for `days` days.
    """

    currency: str = "clicks"
    event_value: float = 1.0
    slots: int = 1
    one_choice: bool = False
    pessimism: float = 0.0
    sessions: bool = False
    boredom: float = 0.5
    boredom_levels: int = 2
    leave_click: float = 0.05
    leave_none: float = 0.12
    leave_boredom: float = 0.01
    days: int = 1
    return_intercept: float = 0.0
    return_satisfaction: float = 0.0
    satisfaction_memory: float = 0.7
    session_limit: int = 200

    def __post_init__(self) -> None:
        finite = {
            "boredom": self.boredom,
            "pessimism": self.pessimism,
            "return_satisfaction": self.return_satisfaction,
        }
        chances = {
            "leave_click": self.leave_click,
            "leave_none": self.leave_none,
            "leave_none + leave_boredom x boredom_levels": self.leave_none
            + self.leave_boredom * self.boredom_levels,
            "satisfaction_memory": self.satisfaction_memory,
        }
        counts = {"slots": self.slots, "boredom_levels": self.boredom_levels, "days": self.days}
        counts["session_limit"] = self.session_limit
        problems = [
            *(
                f"{name} is {value}: it must be 0 or more and finite"
                for name, value in finite.items()
                if not 0 <= value < np.inf
            ),
            *(
                f"{name} is {value}: it must be a probability in [0, 1]"
                for name, value in chances.items()
                if not 0 <= value <= 1
            ),
            *(f"{name} is {n}: it must be 1 or more" for name, n in counts.items() if n < 1),
        ]
        if not 0 < self.event_value < np.inf:
            problems.append(f"event_value is {self.event_value}: it must be above 0 and finite")
        if not np.isfinite(self.return_intercept):
            problems.append(f"return_intercept is {self.return_intercept}: it must be finite")
        if self.leave_boredom < 0:
            problems.append(f"leave_boredom is {self.leave_boredom}: it must be 0 or more")
        if self.leave_click > self.leave_none:
            problems.append(
                f"leave_click is {self.leave_click}, above leave_none {self.leave_none}: a click "
                "is taken to keep visitors, not to send them away"
            )
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def session_terms(self) -> SessionTerms:
        """The session parameters alone."""
        return SessionTerms(*(getattr(self, name) for name in SessionTerms._fields))


class SessionTerms(NamedTuple):
    """How a session goes on; the fields are those of `PersonalizationSettings`."""

    boredom: float
    boredom_levels: int
    leave_click: float
    leave_none: float
    leave_boredom: float
    days: int
    return_intercept: float
    return_satisfaction: float
    satisfaction_memory: float
    session_limit: int
