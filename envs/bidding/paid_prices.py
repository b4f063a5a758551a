"""The prices of won impressions, observed and simulated: what people mean by a price distribution.

Prices of lost impressions were never seen, so the two are compared given the bids as they were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.bidding.held_out import HeldOut
from envs.core.fidelity import Curve

BINS = 24
MOST_ROWS = 20_000
"""Evenly spaced rows that are looked at: a bin's share then has a standard error below .004."""


def paid_prices(held: HeldOut) -> Curve:
    """The share of won impressions whose price lies in (x_k, x_k+1], bins of equal log width.

    Simulated: sum_i F_i(min(x_k+1, b_i)) - F_i(min(x_k, b_i)) over sum_i F_i(b_i), with F_i the
    price law of row i and b_i its bid. The first and the last bin are open.
    """
    rows = np.arange(0, held.auctions.rows, max(1, held.auctions.rows // MOST_ROWS))
    bid = held.auctions.bid_cpm[rows].astype(np.float64)
    won = rows[held.auctions.won[rows]]
    price = held.auctions.price_cpm[won].astype(np.float64)
    least, most = np.quantile(price, [0.01, 0.99])
    least = max(float(least), held.scale.least)
    edges = np.geomspace(least, max(float(most), 1.01 * least), BINS - 1)  # between the bins

    def below(top: NDArray[np.float64]) -> float:
        above = held.simulator.above(held.stratum[rows], held.scale.edge(top), held.level[rows])
        return float((1 - above).sum())

    reached = [*(below(np.minimum(bid, edge)) for edge in edges), below(bid)]
    simulated = np.diff(np.array(reached), prepend=0.0) / reached[-1]
    counts = np.bincount(np.searchsorted(edges, price, side="left"), minlength=BINS)
    middle = [edges[0], *np.sqrt(edges[1:] * edges[:-1]), edges[-1]]
    return Curve(
        name="prices paid", x_label="clearing price (CPM)", y_label="share of impressions won",
        x=tuple(map(float, middle)), observed=tuple((counts / counts.sum()).tolist()),
        simulated=tuple(simulated.tolist()), kind="distribution", n=tuple(map(float, counts)),
    )  # fmt: skip
