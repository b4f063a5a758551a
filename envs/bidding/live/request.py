"""An OpenRTB 2.6 bid request, as far as a bidder needs it; what the specification demands is held.

Unknown attributes are ignored. Money is CPM in the currency of its own attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_IMPRESSIONS = 64
LONGEST_ID = 256
MEDIA = ("banner", "video", "audio", "native")
PLACES = ("site", "app", "dooh")
CLICK_RATE = "click_through_rate"
"""The type of `imp.metric` that foretells a click, as the specification names it."""


class Malformed(Exception):
    """A request that is none: every problem; the answer is 400."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Impression:
    """One impression on offer."""

    id: str
    floor_cpm: float
    floor_currency: str
    probability: float | None  # of a click, where the request foretells one
    private: bool  # for deals only
    context: Mapping[str, str]


@dataclass(frozen=True)
class BidRequest:
    """One request on offer to this bidder."""

    id: str
    impressions: tuple[Impression, ...]
    auction: int  # 1 first price, 2 second price plus, 3 fixed
    test: bool
    tmax_ms: float | None
    currencies: tuple[str, ...]  # that may be bid in; empty: not said
    regs: Mapping[str, Any]
    user: Mapping[str, Any]
    device: Mapping[str, Any]


def read_request(body: Any) -> BidRequest:
    """The request that a body holds.

    Raises Malformed that lists what is wrong and what is allowed.
    """
    problems: list[str] = []
    if not isinstance(body, dict):
        raise Malformed(["the body must be a BidRequest object"])
    found = BidRequest(
        id=_id(body.get("id"), "id", problems),
        impressions=_impressions(body.get("imp"), problems),
        auction=_whole(body, "at", 2, problems),
        test=_flag(body, "test", problems),
        tmax_ms=_number(body.get("tmax"), "tmax", problems),
        currencies=_currencies(body.get("cur"), problems),
        regs=_object(body, "regs", problems),
        user=_object(body, "user", problems),
        device=_object(body, "device", problems),
    )
    places = [name for name in PLACES if body.get(name) is not None]
    if len(places) > 1:
        problems.append(f"{', '.join(places)}: only one of {', '.join(PLACES)} may be given")
    if problems:
        raise Malformed(problems[:20])
    return found


def _impressions(given: Any, problems: list[str]) -> tuple[Impression, ...]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_IMPRESSIONS:
        problems.append(f"imp must be a list of 1 to {MOST_IMPRESSIONS} impressions")
        return ()
    found = [_impression(one, f"imp[{i}]", problems) for i, one in enumerate(given)]
    ids = [one.id for one in found if one is not None]
    if len(set(ids)) < len(ids):
        problems.append("imp: ids must differ")
    return tuple(one for one in found if one is not None)


def _impression(given: Any, place: str, problems: list[str]) -> Impression | None:
    if not isinstance(given, dict):
        problems.append(f"{place} must be an object")
        return None
    media = [name for name in MEDIA if given.get(name) is not None]
    if not media:
        problems.append(f"{place} must offer one of {', '.join(MEDIA)}")
    for name in media:
        if not isinstance(given[name], dict):
            problems.append(f"{place}.{name} must be an object")
        elif name in ("video", "audio") and not _texts(given[name].get("mimes")):
            problems.append(f"{place}.{name}.mimes must be a list of types")
        elif name == "native" and not isinstance(given[name].get("request"), str):
            problems.append(f"{place}.native.request must be text")
    deals = _object(given, "pmp", problems, place)
    return Impression(
        id=_id(given.get("id"), f"{place}.id", problems),
        floor_cpm=_number(given.get("bidfloor"), f"{place}.bidfloor", problems) or 0.0,
        floor_currency=_currency(given.get("bidfloorcur", "USD"), f"{place}.bidfloorcur", problems),
        probability=_probability(given.get("metric"), place, problems),
        private=deals.get("private_auction") == 1,
        context={"slot_format": media[0]} if media else {},
    )


def _probability(given: Any, place: str, problems: list[str]) -> float | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        problems.append(f"{place}.metric must be a list of objects")
        return None
    for one in given:
        if one.get("type") == CLICK_RATE:
            value = _number(one.get("value"), f"{place}.metric.value", problems)
            if value is not None and value > 1:
                problems.append(f"{place}.metric.value must be a number from 0 to 1")
            return value
    return None


def _id(given: Any, place: str, problems: list[str]) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= LONGEST_ID:
        problems.append(f"{place} must be text of 1 to {LONGEST_ID} characters")
        return ""
    return given


def _number(given: Any, place: str, problems: list[str]) -> float | None:
    if given is None:
        return None
    try:
        number = math.nan if isinstance(given, bool | str) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        problems.append(f"{place} must be a finite number of 0 or more")
        return None
    return number


def _whole(body: Mapping[str, Any], name: str, otherwise: int, problems: list[str]) -> int:
    given = body.get(name, otherwise)
    good = isinstance(given, int | float) and not isinstance(given, bool)
    if not good or not 0 <= given < 10_000 or given != int(given):
        problems.append(f"{name} must be a whole number")
        return otherwise
    return int(given)


def _flag(body: Mapping[str, Any], name: str, problems: list[str]) -> bool:
    given = body.get(name, 0)
    if isinstance(given, bool) or given not in (0, 1):
        problems.append(f"{name} must be 0 or 1")
        return False
    return bool(given)


def _object(
    body: Mapping[str, Any], name: str, problems: list[str], place: str = ""
) -> Mapping[str, Any]:
    given = body.get(name)
    if given is None:
        return {}
    if not isinstance(given, dict):
        problems.append(f"{place}{'.' if place else ''}{name} must be an object")
        return {}
    return given


def _texts(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(t, str) for t in given)


def _currencies(given: Any, problems: list[str]) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > 300:
        problems.append("cur must be a list of ISO-4217 codes")
        return ()
    return tuple(_currency(one, "cur", problems) for one in given)


def _currency(given: Any, place: str, problems: list[str]) -> str:
    if not isinstance(given, str) or len(given) != 3 or not given.isascii() or not given.isalpha():
        problems.append(f"{place} must be an ISO-4217 code, such as USD")
        return ""
    return given.upper()
