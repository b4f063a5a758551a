"""Customer-weeks: the state before each decision, the decision, what followed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.sequencing.paths import Customers
from envs.sequencing.tables import Menu

RECENCIES, FREQUENCIES, FATIGUES = 13, 4, 5
OTHER = -1
"""The action of a customer-week whose contact is not on the menu; no head is fitted to it."""


class Panel(NamedTuple):
    """Customer-weeks, sorted by customer and week; `n` rows, `C` channels of the menu."""

    customer: NDArray[np.int64]  # [n]
    week: NDArray[np.int64]  # [n]
    recency: NDArray[np.int64]  # [n] whole weeks since the week of the last purchase
    frequency: NDArray[np.int64]  # [n] bin
    fatigue: NDArray[np.int64]  # [n, C]
    consent: NDArray[np.bool_]  # [n, C]
    recent: NDArray[np.int64]  # [n, C] bit i: contacted i + 1 weeks ago
    action: NDArray[np.int64]  # [n] of the menu, 0 for none
    propensity: NDArray[np.float64]  # [n] logged chance of the action; NaN where not logged
    purchase: NDArray[np.bool_]  # [n]
    value: NDArray[np.float64]  # [n] margin of the week's purchases, offers not deducted
    offer_paid: NDArray[np.float64]  # [n] cost of offers redeemed
    unsubscribe: NDArray[np.bool_]  # [n] left after the contact, within 30 days
    settled: NDArray[np.bool_]  # [n] whether that would have been seen
    delivered: NDArray[np.bool_]  # [n]
    opened: NDArray[np.bool_]  # [n]
    clicked: NDArray[np.bool_]  # [n]
    mature: NDArray[np.bool_]  # [n] whether responses had their 30 days

    @property
    def rows(self) -> int:
        """n."""
        return len(self.week)

    @property
    def weeks(self) -> int:
        """One more than the last week."""
        return int(self.week.max()) + 1

    @property
    def stock(self) -> NDArray[np.int64]:
        """Fatigue summed over channels, clipped, `[n]`."""
        return np.asarray(np.minimum(self.fatigue.sum(axis=1), FATIGUES - 1))

    @property
    def pattern(self) -> NDArray[np.int64]:
        """The consent pattern, sum_c consent_c 2^c, `[n]`."""
        return np.asarray(self.consent @ (1 << np.arange(self.consent.shape[1])), np.int64)

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> Panel:
        """The rows that are kept."""
        columns: list[Any] = [column[kept] for column in self]
        return Panel(*columns)


def states(panel: Panel) -> Customers:
    """The state before every row's decision."""
    return Customers(panel.recency, panel.frequency, panel.fatigue, panel.consent)


class Payments(NamedTuple):
    """The purchases in the weeks of contacts, `p` of them, and when each was paid."""

    customer: NDArray[np.int64]  # [p]
    week: NDArray[np.int64]  # [p] of the decision
    action: NDArray[np.int64]  # [p]
    lag: NDArray[np.int64]  # [p] weeks from the decision to the payment
    follow_up: NDArray[np.int64]  # [p] weeks that the log goes on after the decision
    value: NDArray[np.float64]  # [p] margin

    def of(self, part: Panel) -> Payments:
        """Those of the customers and weeks of a part."""
        return self.where(np.isin(self.customer, part.customer) & (self.week <= part.week.max()))

    def where(self, kept: NDArray[np.bool_]) -> Payments:
        """Those that are kept."""
        columns: list[Any] = [column[kept] for column in self]
        return Payments(*columns)


class Gathered(NamedTuple):
    """A log as a panel, with what else the tables need."""

    panel: Panel
    menu: Menu
    fitted: NDArray[np.bool_]  # [N] customers that are learned from
    split: int  # the week before which they are
    first_day: date
    contact_cost: NDArray[np.float64]  # [A]
    frequency_edges: NDArray[np.float64]  # where the decayed count is cut; empty: logged scores
    decay: float  # of fatigue a week; NaN where it was logged
    purchases: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
    """Customer, week (fractional) of every purchase, and every customer's sign-up week."""
    payments: Payments
    notes: tuple[str, ...]

    @property
    def learned_from(self) -> Panel:
        """The rows that everything is estimated from."""
        panel = self.panel
        return panel.where(self.fitted[panel.customer] & (panel.week < self.split))

    def day_of(self, week: int) -> date:
        """The first day of a week."""
        return self.first_day + timedelta(days=7 * week)
