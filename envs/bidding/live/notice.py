"""Notices of a bid's fate: addresses that only this bidder can have made, and what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from envs.bidding.live.offers import per_impression

Signer = Callable[[str], str]

PATHS = ("/openrtb2/win", "/openrtb2/loss", "/openrtb2/click")
TEST = "t"


class NoNotice(Exception):
    """What came is no notice of a bid of ours; the answer is 400."""


@dataclass(frozen=True)
class Notice:
    """The bid that a notice speaks of: all that is needed to book it, in its own address."""

    id: str  # of the decision, as the log has it
    receipt: int  # -1: a test, which never spends
    bid: float  # currency per impression: the most that it can cost
    signal: float  # what it was bid for, currency


def addresses(base: str, notice: Notice, sign: Signer) -> dict[str, str]:
    """`nurl` and `lurl` of a bid; the exchange fills in what it cost."""
    said = {
        "i": notice.id,
        "r": str(notice.receipt),
        "b": repr(notice.bid),
        "v": repr(notice.signal),
    }
    signed = urlencode({**said, "s": sign(_text(said))})
    price = "&p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}"
    return {
        "nurl": f"{base}/openrtb2/win?{signed}{price}",
        "lurl": f"{base}/openrtb2/loss?{signed}&l=${{AUCTION_LOSS}}",
    }


def read_notice(query: Mapping[str, str], sign: Signer) -> Notice:
    """The bid that an address speaks of; raises NoNotice where it was not made here."""
    said = {name: query.get(name, "") for name in ("i", "r", "b", "v")}
    signature = query.get("s", "")
    expected = sign(_text(said))
    if len(signature) != len(expected) or not _equal(signature, expected):
        raise NoNotice("this is no notice of a bid of ours")
    return Notice(said["i"], int(said["r"]), float(said["b"]), float(said["v"]))


def price_of(query: Mapping[str, str], currency: str, rates: Mapping[str, float]) -> float:
    """What the win cost, currency per impression; NaN where the notice does not say it readably."""
    unfilled = query.get("c", "").startswith("${")
    given = currency if unfilled else (query.get("c", "").upper() or currency)
    rate = 1.0 if given == currency else rates.get(given, math.nan)
    try:
        return per_impression(float(query.get("p", "")) * rate)
    except ValueError:
        return math.nan


def _text(said: Mapping[str, str]) -> str:
    return "\n".join(said.values())


def _equal(a: str, b: str) -> bool:
    difference = 0
    for one, other in zip(a.encode("utf-8", "replace"), b.encode(), strict=False):
        difference |= one ^ other
    return difference == 0
