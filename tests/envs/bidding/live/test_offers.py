"""Prices as they are sent and as they are booked."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest

from envs.bidding.live.notice import Notice, addresses, price_of
from envs.bidding.live.offers import CPM_STEP, cpm, rounded_down


def test_every_price_that_can_be_bid_is_the_decimal_that_is_sent_and_no_billionth_more() -> None:
    assert CPM_STEP == 1e-4
    for steps in range(1, 20_000):
        sent = Decimal(steps).scaleb(-4)
        price = rounded_down(steps * 1e-7)
        assert Decimal(repr(price)) == sent / 1000
        assert Decimal(repr(cpm(price))) == sent


@pytest.mark.parametrize("told", ["0.6448", "0.3224", "2.9999", "1e-4"])
def test_a_win_costs_the_decimal_that_the_notice_tells(told: str) -> None:
    notice = Notice("d", 1, 0.003, 0.001)
    address = addresses("http://bidder", notice, lambda text: "s")["nurl"]
    filled = address.replace("${AUCTION_PRICE}", told)
    query = dict(parse_qsl(urlsplit(filled).query))
    assert Decimal(repr(price_of(query, "USD", {}))) == Decimal(told) / 1000
