"""An ensemble of response tables: every member is fitted to customers drawn with replacement."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.sequencing.buy_head import buy_tables, fit_buy_head, head_probability
from envs.sequencing.cells import Cells, Counts, cells_of, counted
from envs.sequencing.heads import moves, unsubscribe_table
from envs.sequencing.panel import FREQUENCIES, RECENCIES, Gathered, Panel
from envs.sequencing.spending import baskets, maturities
from envs.sequencing.tables import ResponseTables, checked

Floats = NDArray[np.float64]


def fit_tables(
    panel: Panel,
    gathered: Gathered,
    start: Panel,
    row_weight: Floats,
    members: int,
    rng: Generator,
) -> ResponseTables:
    """`members` bootstrap members of one part.

    `row_weight [n]` are the inverse propensity weights of the purchase head; `start` are the
    customer-weeks in which simulated customers begin.
    """
    channel = gathered.menu.channel
    cells, cell = cells_of(panel)
    states = np.column_stack(
        [start.recency, start.frequency, start.fatigue, start.consent, start.recent]
    )
    channels = start.consent.shape[1]
    distinct, place = np.unique(states, axis=0, return_inverse=True)
    place = place.ravel()
    payments = gathered.payments.of(panel)
    fitted: list[dict[str, Floats]] = []
    first: Floats | None = None
    for _ in range(members):
        drawn = _bootstrap(panel, start, rng)
        weight, start_weight = drawn[panel.customer], drawn[start.customer]
        counts = counted(cell, len(cells.action), panel.purchase, weight * row_weight)
        head = fit_buy_head(cells, counts, channel, first)
        first = head.values
        basket = baskets(panel, weight)
        moved = moves(panel, channel, weight)
        begun = np.bincount(place, start_weight, len(distinct))
        if begun.sum() == 0:
            begun = np.bincount(place, minlength=len(distinct)).astype(np.float64)
        table = buy_tables(head, channel)
        expected = head_probability(head, cells, channel)
        table["base"] = table["base"] + residuals(cells, counts, expected)
        fitted.append({
            **table,
            "unsubscribe": unsubscribe_table(panel, channel, weight),
            **moved._asdict(),
            "margin": basket.margin,
            "basket_cv": np.asarray(basket.cv),
            "maturity": maturities(payments, gathered.menu, drawn[payments.customer]),
            "start_weight": begun / begun.sum(),
        })  # fmt: skip
    stacked = {name: np.stack([member[name] for member in fitted]) for name in fitted[0]}
    return checked(
        ResponseTables(
            **stacked,
            contact_cost=gathered.contact_cost,
            offer_cost=offer_costs(panel, gathered),
            channel=channel,
            start=distinct[:, :-channels],
            start_contacts=distinct[:, -channels:],
        )
    )


def residuals(cells: Cells, counts: Counts, expected: Floats) -> Floats:
    """What recency and frequency do beyond the parametric head, in log-odds, `[R, F]`.

    Each state's excess of purchases is a draw from N(0, tau^2); tau^2 by the method of moments,
    zero where the head explains the states as well as chance allows. Source: DerSimonian, Laird.
    """
    state = cells.recency * FREQUENCIES + cells.frequency
    size = RECENCIES * FREQUENCIES
    # Weights carry their own variance: counts are scaled to the rows they are worth.
    worth = counts.rows.sum() / counts.squared_rows.sum()
    observed = np.bincount(state, counts.events, size) * worth
    mean = np.bincount(state, counts.rows * expected, size) * worth
    variance = np.bincount(state, counts.rows * expected * (1 - expected), size) * worth
    used = variance > 1
    if used.sum() < 3:
        return np.zeros((RECENCIES, FREQUENCIES))
    excess = (observed - mean)[used]
    q = (excess**2 / variance[used]).sum()
    spread = max(0.0, (q - used.sum()) / variance[used].sum())
    shift = np.zeros(size)
    shift[used] = excess * spread / (1 + spread * variance[used])
    return shift.reshape(RECENCIES, FREQUENCIES)


def likelihood(panel: Panel, channel: NDArray[np.int64]) -> float:
    """The log-likelihood of a panel's purchases under the head fitted to them."""
    cells, cell = cells_of(panel)
    counts = counted(cell, len(cells.action), panel.purchase, np.ones(panel.rows))
    p = head_probability(fit_buy_head(cells, counts, channel), cells, channel)
    return float((counts.events * np.log(p) + (counts.rows - counts.events) * np.log1p(-p)).sum())


def offer_costs(panel: Panel, gathered: Gathered) -> Floats:
    """What an action's offer costs on a purchase, `[A]`; 0 for actions without an offer."""
    cost = np.zeros(len(gathered.menu.contacts) + 1)
    for action, (_, offer) in enumerate(gathered.menu.contacts, 1):
        bought = panel.purchase & (panel.action == action)
        if offer and bought.any():
            cost[action] = panel.offer_paid[bought].mean()
    return cost


def _bootstrap(panel: Panel, start: Panel, rng: Generator) -> Floats:
    """How often each customer is drawn, by customer number."""
    customers = np.unique(panel.customer)
    size = int(max(panel.customer.max(), start.customer.max())) + 1
    drawn = np.bincount(rng.integers(0, len(customers), len(customers)), minlength=len(customers))
    weight = np.zeros(size)
    weight[customers] = drawn
    return weight
