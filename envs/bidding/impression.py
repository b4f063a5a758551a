"""The impression level: one bid per auction, a fixed number of auctions, a fixed budget.

An episode is N second-price auctions bought with a budget B. With n auctions left and b left to
spend, what the rest of the episode is worth is a table solved exactly (`impression_value`). The
setting is kept beside the slot-level environment because its answers are published: SS-MDP, MCPC,
LIN and RLB of Cai et al., "Real-Time Bidding by Reinforcement Learning in Display Advertising"
(WSDM 2017).

Money is whole units of price per thousand impressions (CPM) as logged, summed over impressions:
divide by 1,000 for currency. A bid wins when it is at least the price, pays the price, and never
exceeds the budget left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from envs.bidding.impression_value import FloatArray, IntArray, Market

BoolArray = NDArray[np.bool_]

# (budget left [..., E], predicted click probability [E]) -> bid [..., E]
BidRule = Callable[[IntArray, FloatArray], IntArray]

# --- bid rules -----------------------------------------------------------------------------------


def rlb_rule(value_row: FloatArray, bid_cap_cpm: int) -> BidRule:
    """RLB: the highest bid at which a win is still worth what it costs the rest of the episode.

    bid = max {d <= min(b, cap): pctr + V_{n-1}(b - d) - V_{n-1}(b) >= 0}

    Args:
        value_row: V_{n-1}, non-decreasing in b, [B + 1]; n auctions left, this one included.
        bid_cap_cpm: highest bid.

    Source: Cai et al., the optimal bid given the value of the rest of the episode.
    """

    def bid(budget_left: IntArray, pctr: FloatArray) -> IntArray:
        keep = value_row[budget_left] - pctr
        poorest = np.searchsorted(value_row, keep, side="left")
        return np.asarray(np.minimum(budget_left - poorest, bid_cap_cpm))

    return bid


def ss_mdp_rule(value_row: FloatArray, market: Market) -> BidRule:
    """SS-MDP: RLB that gives every impression the mean click probability.

    Args:
        value_row: V_{n-1}, [B + 1].
        market: its mean click probability and bid cap.

    Source: Cai et al., baseline of the same name.
    """
    rule = rlb_rule(value_row, market.bid_cap_cpm)
    return lambda budget_left, pctr: rule(budget_left, np.full_like(pctr, market.mean_ctr))


def mcpc_rule(cost_per_click_cpm: float, bid_cap_cpm: int) -> BidRule:
    """MCPC: what a click has cost so far, times how likely this click is.

    bid = min(floor(pctr * cost per click), cap, b)

    Args:
        cost_per_click_cpm: training cost / training clicks, in summed CPM units.
        bid_cap_cpm: highest bid.

    Source: Cai et al., baseline of the same name.
    """
    return lambda budget_left, pctr: np.minimum(
        _whole(pctr * cost_per_click_cpm, bid_cap_cpm), budget_left
    )


def linear_rule(base_bid_cpm: int | IntArray, mean_ctr: float, bid_cap_cpm: int) -> BidRule:
    """LIN: a base bid, scaled by how much likelier than the mean this click is.

    bid = min(floor(pctr * base / ctr), cap, b)

    Args:
        base_bid_cpm: bid for an impression of mean click probability; an array [K, 1] plays K
            base bids at once.
        mean_ctr: training clicks / training impressions.
        bid_cap_cpm: highest bid.

    Source: Perlich et al. (KDD 2012).
    """
    return lambda budget_left, pctr: np.minimum(
        _whole(pctr * base_bid_cpm / mean_ctr, bid_cap_cpm), budget_left
    )


def _whole(bid: FloatArray, cap: int) -> IntArray:
    return np.asarray(np.minimum(np.floor(bid), cap), dtype=np.int64)


# --- playing episodes ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Episodes:
    """E episodes of N auctions, time-major; the last may be shorter.

    Attributes:
        click: 1 where the impression would be clicked, [N, E].
        price_cpm: market price, [N, E].
        pctr: predicted click probability, [N, E].
        open: False where the last episode has no auction any more, [N, E].
    """

    click: IntArray
    price_cpm: IntArray
    pctr: FloatArray
    open: BoolArray


def cut_episodes(click: IntArray, price_cpm: IntArray, pctr: FloatArray, auctions: int) -> Episodes:
    """Rows in order, cut into blocks of N; what is left over is a last, shorter episode.

    The shorter episode starts, like every other, with N auctions ahead and the whole budget: the
    end of the file is not known to the bidder (Cai et al.'s published counts include it).

    Args:
        click: [M].
        price_cpm: [M].
        pctr: [M].
        auctions: N.
    """
    count = -(-click.size // auctions)

    def time_major(column: NDArray) -> NDArray:
        padded = np.zeros(count * auctions, dtype=column.dtype)
        padded[: column.size] = column
        return np.ascontiguousarray(padded.reshape(count, auctions).T)

    return Episodes(
        click=time_major(click),
        price_cpm=time_major(price_cpm),
        pctr=time_major(pctr),
        open=time_major(np.ones(click.size, dtype=np.bool_)),
    )


@dataclass(frozen=True)
class Bought:
    """What each episode bought, every array [..., E].

    Attributes:
        clicks: realised clicks.
        impressions: auctions won.
        cost_cpm: sum of the prices paid.
        expected_clicks: sum of the predicted click probabilities won.
    """

    clicks: IntArray
    impressions: IntArray
    cost_cpm: IntArray
    expected_clicks: FloatArray


def replay(episodes: Episodes, budget_cpm: int | IntArray, rules: Iterable[BidRule]) -> Bought:
    """Bid through every episode, each with its own purse, all in step.

    win iff bid >= price and the auction exists; b <- b - price on a win

    Args:
        episodes: E episodes of N auctions.
        budget_cpm: what each episode starts with; leading axes play several purses or rules at
            once: [..., 1] or [..., E].
        rules: one bid rule per auction in the order played, so for RLB the rows of V descending;
            `itertools.repeat(rule)` for a rule that never changes.
    """
    auctions, count = episodes.click.shape
    lanes = np.broadcast_shapes(np.shape(budget_cpm), (count,))
    left = np.broadcast_to(np.asarray(budget_cpm, dtype=np.int64), lanes).copy()
    start = left.copy()
    clicks = np.zeros(lanes, dtype=np.int64)
    impressions = np.zeros(lanes, dtype=np.int64)
    expected = np.zeros(lanes)
    for t, rule in zip(range(auctions), rules, strict=False):
        won = (rule(left, episodes.pctr[t]) >= episodes.price_cpm[t]) & episodes.open[t]
        left -= won * episodes.price_cpm[t]
        clicks += won * episodes.click[t]
        impressions += won
        expected += won * episodes.pctr[t]
    assert (left >= 0).all(), "a bid rule bid more than the budget left"
    return Bought(clicks, impressions, start - left, expected)


def expected_click_bound(episodes: Episodes, budget_cpm: int) -> FloatArray:
    """The most expected clicks that any bidding could buy in each episode, [E].

    max_x sum_i pctr_i x_i  subject to  sum_i price_i x_i <= B, 0 <= x_i <= 1

    The linear relaxation of the knapsack: buy by price per expected click until the budget ends,
    the last impression in part.

    Source: Dantzig (1957).
    """
    price = episodes.price_cpm.astype(np.float64)
    worthless = np.full_like(price, np.inf)
    order = np.argsort(
        np.divide(price, episodes.pctr, out=worthless, where=episodes.pctr > 0), axis=0
    )
    price = np.take_along_axis(price, order, axis=0)
    pctr = np.take_along_axis(episodes.pctr, order, axis=0)
    left = budget_cpm - (np.cumsum(price, axis=0) - price)
    share = np.ones_like(price)
    np.divide(left, price, out=share, where=price > 0)
    return np.asarray((pctr * np.clip(share, 0.0, 1.0)).sum(axis=0))


# The authors' tuned base bids are multiples of 5; their walk stops after five worse candidates in
# a row.
BASE_BID_GRID_CPM = np.arange(5, 301, 5)
BASE_BID_PATIENCE = 5


def tune_base_bid(episodes: Episodes, budget_cpm: int, mean_ctr: float, bid_cap_cpm: int) -> int:
    """The base bid of LIN that buys the most clicks of these episodes.

    Candidates 5, 10, ..., 300 in order; the last of equals is kept, and the walk ends after five
    worse candidates in a row.

    Source: the tuning of Cai et al.'s published code, there on the whole training log.
    """
    rule = linear_rule(BASE_BID_GRID_CPM[:, None], mean_ctr, bid_cap_cpm)
    purses = np.full((BASE_BID_GRID_CPM.size, 1), budget_cpm)
    clicks = replay(episodes, purses, repeat(rule)).clicks.sum(axis=-1)
    best = 0
    for candidate in range(clicks.size):
        if clicks[candidate] >= clicks[best]:
            best = candidate
        elif candidate - best >= BASE_BID_PATIENCE:
            break
    return int(BASE_BID_GRID_CPM[best])
