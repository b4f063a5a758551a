"""The dynamic program of the impression level: what auctions and money left are worth in clicks.

The value of n auctions left and b left to spend is small enough a table to fill exactly. It holds
for one mean click probability: RLB asks it only what money is worth to the rest of an episode, and
brings the click probability of the auction at hand itself (`impression.rlb_rule`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Cai et al. fill the rest of a row once it is this close to its limit; kept, because published
# counts are compared with ours bid by bid.
SATURATION_CLICKS = 1e-10


@dataclass(frozen=True)
class Market:
    """What the dynamic program knows: the price law, and one mean click probability.

    Attributes:
        price_pmf: P(price = z) for z = 0..cap, [cap + 1], sums to 1.
        mean_ctr: clicks per impression.

    Raises:
        ValueError: naming every attribute out of range.
    """

    price_pmf: FloatArray
    mean_ctr: float

    def __post_init__(self) -> None:
        problems = []
        if self.price_pmf.ndim != 1 or self.price_pmf.size < 2:
            problems.append(f"price_pmf has shape {self.price_pmf.shape}; pass [cap + 1], cap >= 1")
        elif (self.price_pmf < 0).any() or not np.isclose(self.price_pmf.sum(), 1.0):
            problems.append(
                f"price_pmf sums to {self.price_pmf.sum():.6g} with minimum "
                f"{self.price_pmf.min():.6g}; pass probabilities that sum to 1"
            )
        if not 0 < self.mean_ctr <= 1:
            problems.append(f"mean_ctr is {self.mean_ctr}; pass a probability in (0, 1]")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def bid_cap_cpm(self) -> int:
        """The highest price on the grid, and so the highest bid worth making."""
        return self.price_pmf.size - 1


def smoothed_price_pmf(price_count: IntArray) -> FloatArray:
    """The price law of a histogram with one count added to every price.

    m(z) = (count_z + 1) / sum_k (count_k + 1), z = 0..cap

    Args:
        price_count: impressions won at each price, [cap + 1].

    Returns:
        m, [cap + 1].

    Source: Cai et al. and their published code (Laplace smoothing).
    """
    smoothed = price_count.astype(np.float64) + 1.0
    return np.asarray(smoothed / smoothed.sum())


@dataclass(frozen=True)
class ValueFunction:
    """Expected clicks V_n(b) of n auctions bought with budget b, n = 0..N-1 and b = 0..B.

    V_0 = 0, V_n(0) = 0,
    V_n(b) = max_a sum_{z <= a} m(z) (ctr + V_{n-1}(b - z)) + sum_{z > a} m(z) V_{n-1}(b)

    Only every `stride`-th row is kept, [ceil(N / stride), B + 1], stride about sqrt(N): the other
    rows are recomputed, exactly, when an episode reaches them. At N = 1,000 and B = 46,000 that is
    24 MB instead of 370.

    Source: Cai et al., with the mean click probability in place of the integral over click
    probabilities, as their published code solves it.
    """

    market: Market
    auctions: int
    stride: int
    kept_rows: FloatArray

    def descending(self) -> Iterator[FloatArray]:
        """V_{N-1}, V_{N-2}, ..., V_0, each [B + 1]: the order in which an episode meets them."""
        for block in reversed(range(self.kept_rows.shape[0])):
            first = block * self.stride
            count = min(self.stride, self.auctions - first)
            yield from _rows(self.market, self.kept_rows[block], first, count)[::-1]


def solve(market: Market, auctions: int, budget_cpm: int) -> ValueFunction:
    """The value of every (auctions left, budget left) of an episode.

    Args:
        market: the price law and the mean click probability.
        auctions: N, auctions of an episode.
        budget_cpm: B, the largest budget that will be asked about.

    Raises:
        ValueError: when there is no auction or no budget.
    """
    if auctions < 1 or budget_cpm < 1:
        raise ValueError(
            f"auctions is {auctions} and budget_cpm is {budget_cpm}; both must be at least 1"
        )
    stride = isqrt(auctions - 1) + 1
    blocks = -(-auctions // stride)
    kept = np.zeros((blocks, budget_cpm + 1))
    for block in range(1, blocks):
        kept[block] = _rows(market, kept[block - 1], (block - 1) * stride, stride + 1)[-1]
    return ValueFunction(market=market, auctions=auctions, stride=stride, kept_rows=kept)


def _rows(market: Market, first_row: FloatArray, first: int, count: int) -> FloatArray:
    """V_first .. V_{first + count - 1}, [count, B + 1], from V_first."""
    rows = np.empty((count, first_row.size))
    rows[0] = first_row
    _fill_rows(
        rows, first, market.price_pmf[::-1].copy(), market.price_pmf.cumsum(), market.mean_ctr
    )
    return rows


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _fill_rows(
    rows: FloatArray, first: int, pmf_reversed: FloatArray, price_cdf: FloatArray, mean_ctr: float
) -> None:
    """Fill rows 1.. of V from row 0, which is V_first; reassociation lets the sum be vectorised."""
    cap = price_cdf.size - 1
    states = rows.shape[1]
    for row in range(1, rows.shape[0]):
        value, better = rows[row - 1], rows[row]
        limit = (first + row) * mean_ctr * price_cdf[cap]  # no budget binds: every auction is won
        better[0] = 0.0
        cheapest = 0  # the poorest state that is still worth a click more than `value[b]`
        for b in range(1, states):
            while value[cheapest] - value[b] + mean_ctr < 0.0:
                cheapest += 1
            bid = min(b - cheapest, cap)
            after_win = 0.0
            chance, then = pmf_reversed[cap - bid :], value[b - bid : b + 1]
            for z in range(chance.size):
                after_win += chance[z] * then[z]
            better[b] = value[b] + price_cdf[bid] * (mean_ctr - value[b]) + after_win
            if abs(limit - better[b]) < SATURATION_CLICKS:
                better[b + 1 :] = limit
                break
