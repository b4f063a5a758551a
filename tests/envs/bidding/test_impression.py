"""Bid rules and replay of the impression level: hand-made auctions, bounds, the program itself."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from envs.bidding.impression import (
    BidRule,
    Bought,
    Episodes,
    cut_episodes,
    expected_click_bound,
    linear_rule,
    mcpc_rule,
    replay,
    rlb_rule,
    ss_mdp_rule,
    tune_base_bid,
)
from envs.bidding.impression_value import FloatArray, Market, smoothed_price_pmf, solve

CAP = 20
MEAN_CTR = 0.05


def market() -> Market:
    return Market(smoothed_price_pmf(np.arange(CAP + 1)), MEAN_CTR)


def drawn_episodes(rng: np.random.Generator, auctions: int = 30, rows: int = 250) -> Episodes:
    pctr = np.minimum(rng.lognormal(np.log(MEAN_CTR), 0.8, rows), 1.0)
    return cut_episodes(
        click=(rng.random(rows) < pctr).astype(np.int64),
        price_cpm=rng.integers(0, CAP + 1, rows),
        pctr=pctr,
        auctions=auctions,
    )


def episode_of(price: list[int], pctr: list[float]) -> Episodes:
    return cut_episodes(np.zeros(len(price), int), np.array(price), np.array(pctr), len(price))


def always(bid_cpm: int) -> BidRule:
    return lambda budget_left, pctr: np.minimum(budget_left, bid_cpm)


def play_everyone(episodes: Episodes, budget: int) -> dict[str, Bought]:
    value = solve(market(), episodes.click.shape[0], budget)
    return {
        "SS-MDP": replay(episodes, budget, (ss_mdp_rule(r, market()) for r in value.descending())),
        "MCPC": replay(episodes, budget, repeat(mcpc_rule(150.0, CAP))),
        "LIN": replay(episodes, budget, repeat(linear_rule(8, MEAN_CTR, CAP))),
        "RLB": replay(episodes, budget, (rlb_rule(r, CAP) for r in value.descending())),
    }


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@pytest.mark.parametrize(("budget_left", "bid"), [(7, 7), (CAP, CAP), (500, CAP)])
def test_the_last_auction_is_bid_on_with_all_that_is_left_up_to_the_cap(
    budget_left: int, bid: int
) -> None:
    worthless_afterwards = np.zeros(501)
    rule = rlb_rule(worthless_afterwards, CAP)
    assert rule(np.array([budget_left]), np.array([1e-9])) == [bid]


@given(
    steps=st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.5]), min_size=1, max_size=40),
    pctr=st.sampled_from([0.0, 0.005, 0.015, 0.035, 0.6]),
)
def test_rlb_bids_the_highest_price_that_is_worth_its_money(
    steps: list[float], pctr: float
) -> None:
    value = np.concatenate([[0.0], np.cumsum(steps)])
    by_definition = [
        max(d for d in range(min(b, CAP) + 1) if value[b - d] >= value[b] - pctr)
        for b in range(value.size)
    ]
    bids = rlb_rule(value, CAP)(np.arange(value.size), np.full(value.size, pctr))
    np.testing.assert_array_equal(bids, by_definition)


@given(rng=seeds)
@settings(deadline=None, max_examples=10)
def test_rlb_with_one_click_probability_for_all_is_ss_mdp(rng: np.random.Generator) -> None:
    episodes = drawn_episodes(rng)
    alike = Episodes(
        episodes.click,
        episodes.price_cpm,
        np.full_like(episodes.pctr, MEAN_CTR),
        episodes.open,
    )
    played = play_everyone(alike, 90)
    np.testing.assert_array_equal(played["RLB"].cost_cpm, played["SS-MDP"].cost_cpm)
    np.testing.assert_array_equal(played["RLB"].clicks, played["SS-MDP"].clicks)


def test_ss_mdp_earns_what_the_dynamic_program_says(rng: np.random.Generator) -> None:
    auctions, budget, count = 25, 60, 20_000
    law = market().price_pmf.copy()
    law[0] = 0.0  # a spent budget wins free auctions in a replay, never in the program
    priced = Market(law / law.sum(), MEAN_CTR)
    rows = auctions * count
    episodes = cut_episodes(
        click=np.zeros(rows, dtype=np.int64),
        price_cpm=rng.choice(CAP + 1, size=rows, p=priced.price_pmf),
        pctr=np.full(rows, MEAN_CTR),
        auctions=auctions,
    )
    value = solve(priced, auctions, budget)
    earned = replay(episodes, budget, (ss_mdp_rule(r, priced) for r in value.descending()))
    promised = next(solve(priced, auctions + 1, budget).descending())[budget]
    error = earned.expected_clicks.std() / np.sqrt(count)
    assert abs(earned.expected_clicks.mean() - promised) < 4 * error


@given(rng=seeds, budget=st.integers(1, 400))
@settings(deadline=None, max_examples=25)
def test_no_one_overspends_or_beats_the_bound(rng: np.random.Generator, budget: int) -> None:
    episodes = drawn_episodes(rng)
    bound = expected_click_bound(episodes, budget)
    for name, bought in play_everyone(episodes, budget).items():
        assert (bought.cost_cpm <= budget).all(), name
        assert (bought.expected_clicks <= bound + 1e-12).all(), name
        assert (bought.clicks <= bought.impressions).all(), name


def test_money_without_limit_wins_every_auction_at_the_cap(rng: np.random.Generator) -> None:
    episodes = drawn_episodes(rng, auctions=30, rows=240)
    bought = play_everyone(episodes, 30 * CAP)["RLB"]
    assert bought.impressions.sum() == 240
    np.testing.assert_array_equal(bought.cost_cpm, episodes.price_cpm.sum(axis=0))
    np.testing.assert_allclose(
        bought.expected_clicks, expected_click_bound(episodes, 30 * CAP), rtol=1e-12
    )


def test_a_bid_equal_to_the_price_wins_and_pays_it() -> None:
    episodes = episode_of(price=[6, 7, 8], pctr=[0.1, 0.2, 0.3])
    bought = replay(episodes, 100, repeat(always(7)))
    assert bought.cost_cpm == [6 + 7]
    assert bought.expected_clicks == pytest.approx([0.3])


def test_a_bid_falls_to_the_budget_left_and_free_auctions_are_won_without_any() -> None:
    episodes = episode_of(price=[6, 5, 4, 1, 0], pctr=[0.1] * 5)
    bought = replay(episodes, 10, repeat(always(CAP)))
    assert bought.cost_cpm == [10]  # 6, then 4, then nothing is left
    assert bought.impressions == [3]


def test_every_episode_starts_with_a_purse_of_its_own() -> None:
    episodes = cut_episodes(np.ones(4, int), np.array([5, 5, 5, 5]), np.full(4, 0.1), 2)
    bought = replay(episodes, np.array([[5], [10]]), repeat(always(CAP)))
    np.testing.assert_array_equal(bought.clicks, [[1, 1], [2, 2]])
    np.testing.assert_array_equal(bought.cost_cpm, [[5, 5], [10, 10]])


def test_the_last_shorter_episode_has_a_whole_budget_and_no_auction_beyond_its_end() -> None:
    episodes = cut_episodes(
        click=np.array([1, 0, 0, 1, 1]),
        price_cpm=np.array([3, 3, 3, 4, 0]),
        pctr=np.array([0.1, 0.2, 0.3, 0.4, 0.5]),
        auctions=3,
    )
    bought = replay(episodes, 9, repeat(always(CAP)))
    np.testing.assert_array_equal(bought.impressions, [3, 2])
    np.testing.assert_array_equal(bought.clicks, [1, 2])
    np.testing.assert_array_equal(bought.cost_cpm, [9, 4])
    np.testing.assert_allclose(bought.expected_clicks, [0.6, 0.9])


def test_linear_bids_are_whole_capped_and_proportional() -> None:
    bids = linear_rule(10, 0.004, 300)(
        np.array([1000, 1000, 1000, 5]), np.array([0.004, 0.0059, 0.5, 0.004])
    )
    np.testing.assert_array_equal(bids, [10, 14, 300, 5])


def test_base_bids_played_together_buy_what_each_buys_alone(rng: np.random.Generator) -> None:
    episodes = drawn_episodes(rng)
    bases = np.array([3, 8, 15])
    together = replay(
        episodes, np.full((3, 1), 70), repeat(linear_rule(bases[:, None], MEAN_CTR, CAP))
    )
    for k, base in enumerate(bases):
        alone = replay(episodes, 70, repeat(linear_rule(int(base), MEAN_CTR, CAP)))
        np.testing.assert_array_equal(together.cost_cpm[k], alone.cost_cpm)


def test_mcpc_without_a_budget_wins_wherever_a_click_is_worth_its_price(
    rng: np.random.Generator,
) -> None:
    episodes = drawn_episodes(rng, auctions=25, rows=250)
    worth = np.minimum(np.floor(episodes.pctr * 150.0), CAP)
    bought = replay(episodes, 10**9, repeat(mcpc_rule(150.0, CAP)))
    np.testing.assert_array_equal(bought.impressions, (worth >= episodes.price_cpm).sum(axis=0))


def test_bound_buys_the_cheapest_clicks_and_part_of_the_last() -> None:
    episodes = episode_of(price=[10, 4, 6, 0, 5], pctr=[0.1, 0.2, 0.1, 0.01, 0.0])
    assert expected_click_bound(episodes, 7) == pytest.approx([0.01 + 0.2 + 0.1 * 3 / 6])
    assert expected_click_bound(episodes, 10**6) == pytest.approx([0.41])


@given(rng=seeds, budget=st.integers(1, 200))
@settings(deadline=None, max_examples=15)
def test_bound_is_the_linear_program(rng: np.random.Generator, budget: int) -> None:
    episodes = drawn_episodes(rng, auctions=15, rows=15)
    price: FloatArray = episodes.price_cpm[:, 0].astype(np.float64)
    pctr = episodes.pctr[:, 0]
    program = linprog(-pctr, A_ub=[price], b_ub=[budget], bounds=[(0, 1)] * 15)
    assert program.x is not None, program.message
    assert expected_click_bound(episodes, budget) == pytest.approx([pctr @ program.x])


@pytest.mark.parametrize(
    ("prize_cpm", "tuned"),
    [
        (60, 300),  # 40 to 55 are worse, four in a row: the walk goes on and finds the prizes
        (65, 35),  # 40 to 60 are worse, five in a row: it ends, with the last of the equals 30, 35
    ],
)
def test_tuning_walks_past_four_worse_base_bids_but_not_five(prize_cpm: int, tuned: int) -> None:
    """A base bid of 40 wins a dear auction first and misses the click after it."""
    episodes = cut_episodes(
        click=np.array([0, 1, 1, 0, 1, 0]),
        price_cpm=np.array([40, 30, prize_cpm, 300, prize_cpm, 300]),
        pctr=np.full(6, 0.5),
        auctions=2,
    )
    assert tune_base_bid(episodes, prize_cpm, mean_ctr=0.5, bid_cap_cpm=300) == tuned
