"""A bidder over OpenRTB 2.6: reserved before it is answered, booked when it is won."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from envs.bidding.live import openapi, pacing
from envs.bidding.live.campaign import Campaign, campaign_of, is_currency
from envs.bidding.live.notice import NoNotice, Notice, addresses, price_of, read_notice
from envs.bidding.live.permission import refused
from envs.bidding.live.plan import ClickValue, Plan, plan_of
from envs.bidding.live.plan import price_of as bid_of
from envs.bidding.live.request import BidRequest, Impression, Malformed, read_request
from envs.core.live import Asked, Endpoint, Host, Purse, Reply, Shipped

CPM_STEP = 1e-4
"""Prices are multiples of it, rounded down: exact in the books' billionths."""
NOTE_SECONDS = 1.0
"""How old the noted state of a day may be; of counts, never of money."""


class Terms(NamedTuple):
    """What a bundle and its owner say, read once."""

    plan: Plan
    value: ClickValue
    campaign: Campaign
    currency: str
    log_unit: float  # currency per unit of the log's prices
    cap: float  # currency per impression
    auctions: tuple[int, ...]


def terms_of(plain: Mapping[str, Any], campaign: Campaign) -> Terms:
    """The terms of a bundle for a campaign; raises ValueError where they do not fit."""
    plan = plan_of(plain["plan"], campaign.budget_day)
    currency = campaign.currency or plain["currency"]
    if not is_currency(currency):
        raise ValueError(
            f"the policy's currency is {plain['currency']!r}: give `currency` as ISO-4217"
        )
    own = 0.0 if campaign.bid_cap_cpm is None else campaign.bid_cap_cpm / 1000
    recalibration = plain["recalibration"]
    return Terms(
        plan=plan,
        value=ClickValue(
            np.array(recalibration["log_probability"]),
            np.array(recalibration["log_ratio"]),
            plan.click_value,
            float(plain["usual_probability"]),
        ),
        campaign=campaign,
        currency=currency,
        log_unit=float(plain["currency_per_price_unit"]),
        cap=min(plan.bid_cap, own) if own else plan.bid_cap,
        auctions=campaign.auctions or ((1,) if plan.first_price else (2,)),
    )


@dataclass(frozen=True)
class _Offer:
    """A bid that would be made for an impression; money in currency per impression."""

    impression: Impression
    probability: float
    signal: float
    price: float
    floor: float


class Bidder:
    """The protocol of one campaign; its state changes with every request and notice."""

    def __init__(self, terms: Terms, host: Host) -> None:
        campaign = terms.campaign
        self._terms, self._host = terms, host
        budget = {"day": terms.plan.budget, "total": campaign.budget_total}
        amounts = {"floor": 0.0, "cap": terms.cap, "nothing": 0.0}
        self._purse: Purse = host.purse(
            {"amounts": amounts, "budget": budget}, campaign.expire_seconds
        )
        self._pacing: pacing.Pacing | None = None
        self._shipped: Shipped | None = None
        self._noted_at = 0.0
        self.endpoints: Sequence[Endpoint] = (
            Endpoint("POST", "/openrtb2/bid", self.bid, openapi.BID),
            *(
                Endpoint(method, path, answer, openapi.NOTICE, open=True)
                for path, answer in (
                    ("/openrtb2/win", self.win),
                    ("/openrtb2/loss", self.lose),
                    ("/openrtb2/click", self.click),
                )
                for method in ("GET", "POST")
            ),
        )
        self.schemas: Mapping[str, Any] = openapi.SCHEMAS

    def bid(self, asked: Asked) -> Reply:
        """A bid response, 204 with the reason why there is none, or 400."""
        try:
            request = read_request(asked.body)
        except Malformed as error:
            return Reply(400, {"error": "no bid request", "problems": error.problems}, "malformed")
        reason = self._refusal(request, asked)
        if reason is not None:
            return self._no_bid(reason)
        try:
            return self._bids(request, asked)
        except OSError:
            self._host.count("alert", "books")
            return self._no_bid("books")

    def _refusal(self, request: BidRequest, asked: Asked) -> str | None:
        terms = self._terms
        if self._late(request, asked):
            return "tmax"
        if terms.currency not in (request.currencies or (terms.currency,)):
            return "currency"
        if request.auction not in terms.auctions:
            return "auction"
        return refused(request, terms.campaign.permission)

    def _late(self, request: BidRequest, asked: Asked) -> bool:
        if not request.tmax_ms:
            return False
        campaign = self._terms.campaign
        used = 1000 * asked.elapsed() + campaign.network_ms
        return used + campaign.own_ms > request.tmax_ms

    def _bids(self, request: BidRequest, asked: Asked) -> Reply:
        state, shipped = self._now(asked.now)
        state.slot_seen += 0 if request.test else len(request.impressions)
        if pacing.stopped(state, self._terms.plan):
            return self._no_bid("budget")
        offers = [self._offer(one, state.log_lambda) for one in request.impressions]
        wanted = [one for one in offers if one.price > 0 and one.floor <= one.price]
        made = [
            bid
            for one in wanted
            if (bid := self._reserved(one, request.test, asked.now)) is not None
        ]
        if self._late(request, asked):
            for _, notice in made:
                self._release(notice)
            return self._no_bid("tmax")
        if not request.test:
            self._log(request, offers, made, shipped, asked.now)
        if not made:
            return self._no_bid("budget" if wanted else "floor")
        self._host.count("bid", "test" if request.test else "made")
        return Reply(200, self._response(request, made))

    def _now(self, now: float) -> tuple[pacing.Pacing, Shipped]:
        """The state of the slot under way, the policy asked at its beginning."""
        plan = self._terms.plan
        day, slot = pacing.slot_of(now, plan)
        state = self._pacing
        if state is None:
            state = pacing.noted(self._purse.noted, day, slot, plan)
            state.decided = -1  # what was decided is asked again: another may be in charge now
        state = self._pacing = pacing.moved_to(state, day, slot, plan)
        shipped = self._shipped
        asked_anew = shipped is None or shipped.version != self._host.version
        if state.decided != slot or shipped is None or asked_anew:
            shipped = self._shipped = self._host.ask(pacing.observed(state, plan), now)
            action = float(shipped.action[0])
            state.log_lambda = pacing.log_lambda_of(state, plan, action)
            state.decided = slot
        return state, shipped

    def _offer(self, one: Impression, log_lambda: float) -> _Offer:
        terms = self._terms
        probability, signal = terms.value.signal(one.probability)
        price = _rounded_down(min(bid_of(terms.plan, signal, log_lambda), terms.cap))
        if one.private:
            price = 0.0  # deals are agreed on beforehand, and none were
        rate = 1.0 if one.floor_currency == terms.currency else self._rate(one.floor_currency)
        floor = one.floor_cpm / 1000 * rate if one.floor_cpm else 0.0
        return _Offer(one, probability, signal, price, floor)

    def _rate(self, currency: str) -> float:
        return (self._terms.campaign.rates or {}).get(currency, math.inf)

    def _reserved(self, one: _Offer, test: bool, now: float) -> tuple[_Offer, Notice] | None:
        """The offer at the price that the budget leaves; None where that is below its floor."""
        own = self._host.new_id()
        if test:
            return one, Notice(own, -1, one.price, one.signal)
        granted = self._purse.reserve(one.price, now)
        if granted.receipt < 0:
            return None
        price = _rounded_down(granted.amount)
        notice = Notice(own, granted.receipt, price, one.signal)
        if price <= 0 or price < one.floor:
            self._release(notice)
            return None
        return replace(one, price=price), notice

    def _release(self, notice: Notice) -> None:
        if notice.receipt >= 0:
            self._purse.settle(notice.receipt, 0.0, 0.0)

    def _response(
        self, request: BidRequest, made: Sequence[tuple[_Offer, Notice]]
    ) -> dict[str, Any]:
        campaign = self._terms.campaign
        bids = []
        for one, notice in made:
            bid: dict[str, Any] = {
                "id": notice.id,
                "impid": one.impression.id,
                "price": _cpm(one.price),
                "crid": campaign.creative,
                "adomain": list(campaign.domains),
                "exp": int(campaign.expire_seconds),
                **addresses(campaign.public_url.rstrip("/"), notice, self._host.signed),
            }
            bids.append(bid)
        return {
            "id": request.id,
            "cur": self._terms.currency,
            "seatbid": [{"seat": campaign.seat, "bid": bids}],
        }

    def win(self, asked: Asked) -> Reply:
        """Book what a bid cost; told twice it is booked once."""
        try:
            notice = read_notice(asked.query, self._host.signed)
        except NoNotice as error:
            return Reply(400, {"error": str(error)}, "notice")
        if notice.receipt < 0:
            return Reply(204, None, "test")
        terms = self._terms
        price = price_of(asked.query, terms.currency, terms.campaign.rates or {})
        if not 0 <= price <= notice.bid * (1 + 1e-9):
            # No auction charges more than was bid: this is another unit, or unfilled.
            self._host.count("alert", "win_price")
            price = notice.bid
        price = min(price, notice.bid)
        try:
            if not self._purse.settle(notice.receipt, price, notice.bid):
                return Reply(204, None, "known")
        except OSError:
            self._host.count("alert", "books")
            return Reply(503, {"error": "the books cannot be kept: send the notice again"}, "books")
        state, _ = self._now(asked.now)
        pacing.won(state, price, notice.signal)
        self._host.count("win", "booked")
        unit = terms.log_unit
        self._host.log([_outcome(notice, {"won": 1, "price_cpm": 1000 * price / unit})])
        self._note(asked.now)
        return Reply(204, None, "booked")

    def lose(self, asked: Asked) -> Reply:
        """Free what a lost bid had reserved."""
        try:
            notice = read_notice(asked.query, self._host.signed)
            self._release(notice)
        except NoNotice as error:
            return Reply(400, {"error": str(error)}, "notice")
        except OSError:
            self._host.count("alert", "books")
        return Reply(204, None, "freed")

    def click(self, asked: Asked) -> Reply:
        """Count a click of a won impression."""
        try:
            notice = read_notice(asked.query, self._host.signed)
        except NoNotice as error:
            return Reply(400, {"error": str(error)}, "notice")
        if notice.receipt >= 0:
            state, _ = self._now(asked.now)
            state.clicks += 1.0
            self._host.count("click", "counted")
            self._host.log([_outcome(notice, {"click": 1})])
        return Reply(204, None, "counted")

    def tick(self, now: float) -> None:
        """Close slots that ended and note the state."""
        if self._pacing is not None:
            self._now(now)
            self._note(now)

    def _note(self, now: float) -> None:
        if self._pacing is None or now - self._noted_at < NOTE_SECONDS:
            return
        self._noted_at = now
        values = self._pacing.as_plain()
        if values != self._purse.noted:
            self._purse.note(values)

    def _no_bid(self, reason: str) -> Reply:
        self._host.count("no_bid", reason)
        return Reply(204, None, reason)

    def _log(
        self,
        request: BidRequest,
        offers: Sequence[_Offer],
        made: Sequence[tuple[_Offer, Notice]],
        shipped: Shipped,
        now: float,
    ) -> None:
        """One line an auction: what was bid, and 0 where nothing was."""
        bids = {one.impression.id: (one, notice) for one, notice in made}
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        lines = []
        for offer in offers:
            one, notice = bids.get(offer.impression.id, (replace(offer, price=0.0), None))
            own = self._host.new_id() if notice is None else notice.id
            unit = self._terms.log_unit
            floor = offer.floor if math.isfinite(offer.floor) else None
            lines.append(
                {
                    "kind": "decision",
                    "id": own,
                    "time": at,
                    "policy": shipped.version,
                    "action": {"a": float(shipped.action[0])},
                    "propensity": shipped.propensity,
                    "reasons": list(shipped.reasons),
                    "given": f"{request.id}/{offer.impression.id}",
                    "row": {
                        "timestamp": at,
                        "auction_id": own,
                        "campaign_id": self._terms.campaign.campaign_id,
                        "bid_cpm": 1000 * one.price / unit,
                        "won": 0,
                        "price_cpm": None,
                        "floor_cpm": None if floor is None else 1000 * floor / unit,
                        "pctr": offer.probability,
                        "click": 0,
                        **offer.impression.context,
                    },
                }
            )
        self._host.log(lines)


def _outcome(notice: Notice, columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "outcome", "id": notice.id, "columns": dict(columns)}


def _rounded_down(price: float) -> float:
    """A price, currency per impression, whose CPM is a multiple of CPM_STEP and not above it."""
    return _cpm(price) / 1000


def _cpm(price: float) -> float:
    # A billionth of slack: 0.0123 * 1000 may come out a rounding below 12.3.
    return round(math.floor(price * 1000 / CPM_STEP + 1e-6) * CPM_STEP, 4)


def service(terms: Mapping[str, Any], settings: Mapping[str, Any], host: Host) -> Bidder:
    """The bidder of a bundle's terms for a campaign.

    Raises ValueError that names everything wrong in the settings.
    """
    return Bidder(terms_of(terms, campaign_of(settings)), host)
