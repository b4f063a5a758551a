"""How prices are written: tick, ceiling, and the round prices a market returns to."""

from __future__ import annotations

import numpy as np
import pytest

from envs.bidding.auctions import Auctions
from envs.bidding.prices import PriceScale, price_scale


def won_auctions(price: np.ndarray, bid: np.ndarray | float = 1e4) -> Auctions:
    n = len(price)
    return Auctions(
        day=np.zeros(n, np.int16),
        slot=np.zeros(n, np.int8),
        context=np.zeros(n, np.int16),
        bid_cpm=np.broadcast_to(bid, n).astype(np.float32),
        won=np.ones(n, np.bool_),
        price_cpm=price.astype(np.float32),
        probability=np.full(n, 0.01, np.float32),
        click=np.zeros(n, np.bool_),
        dates=np.array(["2024-01-01"], dtype="datetime64[D]"),
        weight=1.0,
    )


@pytest.mark.parametrize(("step", "tick"), [(1.0, 1.0), (0.5, 0.5), (0.01, 0.01), (0.0013, 0.0)])
def test_the_tick_is_the_largest_step_that_all_prices_are_multiples_of(
    step: float, tick: float, rng: np.random.Generator
) -> None:
    price = rng.integers(1, 4_000, 3_000) * step
    assert price_scale(won_auctions(price)).tick == tick


def test_round_prices_stand_out_from_their_neighbours_and_no_others_do(
    rng: np.random.Generator,
) -> None:
    price = np.rint(np.exp(rng.normal(4, 0.9, 50_000)))
    price[:5_000] = 50.0
    scale = price_scale(won_auctions(price))
    assert scale.sticky.tolist() == [50.0]
    smooth = (price[5_000:] == 50.0).sum()
    assert scale.sticky_share[0] == pytest.approx(5_000 / (5_000 + smooth), abs=0.03)


def test_a_ceiling_is_believed_when_no_bid_at_the_largest_bid_ever_lost() -> None:
    price = np.arange(1.0, 301.0).repeat(3)
    assert price_scale(won_auctions(price, 300.0)).ceiling == 300.0
    lost = won_auctions(price, 300.0)
    won = lost.won.copy()
    won[0] = False
    assert price_scale(lost._replace(won=won)).ceiling == np.inf


def scale(**changes: object) -> PriceScale:
    plain = PriceScale(1.0, 1.0, np.inf, -2.0, 400, np.array([20.0, 50.0]), np.array([1.0, 0.5]))
    return plain._replace(**changes)  # type: ignore[arg-type]  # keyword values of several types


def test_the_written_price_is_the_lower_competitor_on_the_tick_and_under_the_ceiling() -> None:
    log_price = np.log([30.2, 30.2, 0.2, 900.0])
    drawn = np.append(log_price, np.inf)
    sticky = np.array([0, 2, 2, 2, 1], np.int8)
    assert scale().written(drawn, sticky).tolist() == [20.0, 30.0, 1.0, 900.0, 50.0]
    capped = scale(ceiling=300.0).written(np.array([7.0, np.inf]), np.array([2, 2], np.int8))
    assert capped.tolist() == [300.0, 300.0]


def test_a_price_that_nothing_is_known_of_stays_infinite() -> None:
    assert np.isinf(scale().written(np.array([np.inf]), np.array([2], np.int8))).all()


def test_a_bid_wins_every_price_up_to_itself_on_the_tick() -> None:
    edge = np.exp(scale().edge(np.array([20.0, 20.99, 0.3])))
    np.testing.assert_allclose(edge, [20.5, 20.5, 0.5])


def test_equal_prices_are_told_apart_at_random_in_the_share_read_off_the_log(
    rng: np.random.Generator,
) -> None:
    drawn = scale().drawn_sticky(np.array([20.0] * 10 + [50.0] * 4_000 + [51.0] * 10), rng)
    assert (drawn[:10] == 0).all()
    assert (drawn[10:-10] == 1).mean() == pytest.approx(0.5, abs=0.03)
    assert (drawn[-10:] == -1).all()
