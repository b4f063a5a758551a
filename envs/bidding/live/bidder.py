"""A bidder over OpenRTB 2.6: reserved before it is answered, booked when it is won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from envs.bidding.live import openapi, pacing
from envs.bidding.live.campaign import campaign_of
from envs.bidding.live.campaign_day import CampaignDay
from envs.bidding.live.lines import auction_lines, click_line, win_line
from envs.bidding.live.notice import NoNotice, Notice, addresses, price_of, read_notice
from envs.bidding.live.offers import Offer, cpm, offer_of, rounded_down
from envs.bidding.live.permission import refused
from envs.bidding.live.request import BidRequest, Malformed, read_request
from envs.bidding.live.terms import Terms, terms_of
from envs.core.live import Asked, Endpoint, Host, Purse, Reply

Made = tuple[Offer, Notice]


class Bidder:
    """The protocol of one campaign; its state changes with every request and notice."""

    def __init__(self, terms: Terms, host: Host) -> None:
        campaign = terms.campaign
        self._terms, self._host = terms, host
        budget = {"day": terms.plan.budget, "total": campaign.budget_total}
        amounts = {"floor": 0.0, "cap": terms.cap, "nothing": 0.0}
        limits = {"amounts": amounts, "budget": budget}
        self._purse: Purse = host.purse(limits, campaign.expire_seconds)
        self.day = CampaignDay(terms.plan, host, self._purse)
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
        terms = self._terms
        state, shipped = self.day.at(asked.now)
        state.slot_seen += 0 if request.test else len(request.impressions)
        if pacing.stopped(state, terms.plan):
            return self._no_bid("budget")
        offers = {
            self._host.new_id(): offer_of(terms, one, state.log_lambda)
            for one in request.impressions
        }
        made: list[Made] = []
        for own, one in offers.items():
            bid = self._reserved(own, one, request.test, asked.now) if one.wanted else None
            made += [] if bid is None else [bid]
        if self._late(request, asked):
            for _, notice in made:
                self._release(notice)
            return self._no_bid("tmax")
        if not request.test:
            bids = {notice.id: one.price for one, notice in made}
            told = {own: (one, bids.get(own, 0.0)) for own, one in offers.items()}
            self._host.log(list(auction_lines(terms, request.id, told, shipped, asked.now)))
        if not made:
            return self._no_bid("budget" if any(one.wanted for one in offers.values()) else "floor")
        self._host.count("bid", "test" if request.test else "made")
        return Reply(200, self._response(request, made))

    def _reserved(self, own: str, one: Offer, test: bool, now: float) -> Made | None:
        """The offer at the price that the budget leaves; None where that is below its floor."""
        if test:
            return one, Notice(own, -1, one.price, one.signal)
        granted = self._purse.reserve(one.price, now)
        if granted.receipt < 0:
            return None
        lower = replace(one, price=rounded_down(granted.amount))
        notice = Notice(own, granted.receipt, lower.price, one.signal)
        if not lower.wanted:
            self._release(notice)
            return None
        return lower, notice

    def _release(self, notice: Notice) -> None:
        if notice.receipt >= 0:
            self._purse.settle(notice.receipt, 0.0, 0.0)

    def _response(self, request: BidRequest, made: Sequence[Made]) -> dict[str, Any]:
        campaign = self._terms.campaign
        bids = [
            {
                "id": notice.id,
                "impid": one.impression.id,
                "price": cpm(one.price),
                "crid": campaign.creative,
                "adomain": list(campaign.domains),
                "exp": int(campaign.expire_seconds),
                **addresses(campaign.public_url.rstrip("/"), notice, self._host.signed),
            }
            for one, notice in made
        ]
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
            return _no_notice(error)
        if notice.receipt < 0:
            return Reply(204, None, "test")
        price = self._price(notice, asked.query)
        try:
            if not self._purse.settle(notice.receipt, price, notice.bid):
                return Reply(204, None, "known")
            state, _ = self.day.at(asked.now)
            pacing.won(state, price, notice.signal)
            self._host.count("win", "booked")
            self._host.log([win_line(self._terms, notice, price)])
            self.day.note(asked.now)
        except OSError:
            self._host.count("alert", "books")
            return Reply(503, {"error": "the books cannot be kept: send the notice again"}, "books")
        return Reply(204, None, "booked")

    def _price(self, notice: Notice, query: Mapping[str, str]) -> float:
        """What a win cost; the bid, where the notice says nothing that can be."""
        terms = self._terms
        price = price_of(query, terms.currency, terms.campaign.rates or {})
        if not 0 <= price <= notice.bid * (1 + 1e-9):
            # No auction charges more than was bid: this is another unit, or unfilled.
            self._host.count("alert", "win_price")
            return notice.bid
        return min(price, notice.bid)

    def lose(self, asked: Asked) -> Reply:
        """Free what a lost bid had reserved."""
        try:
            self._release(read_notice(asked.query, self._host.signed))
        except NoNotice as error:
            return _no_notice(error)
        except OSError:
            self._host.count("alert", "books")
        return Reply(204, None, "freed")

    def click(self, asked: Asked) -> Reply:
        """Count a click of a won impression."""
        try:
            notice = read_notice(asked.query, self._host.signed)
        except NoNotice as error:
            return _no_notice(error)
        if notice.receipt >= 0:
            state, _ = self.day.at(asked.now)
            state.clicks += 1.0
            self._host.count("click", "counted")
            self._host.log([click_line(notice)])
        return Reply(204, None, "counted")

    def tick(self, now: float) -> None:
        """Close slots that ended and note the state."""
        if self.day.state is not None:
            self.day.at(now)
            self.day.note(now)

    def _no_bid(self, reason: str) -> Reply:
        self._host.count("no_bid", reason)
        return Reply(204, None, reason)


def _no_notice(error: NoNotice) -> Reply:
    return Reply(400, {"error": str(error)}, "notice")


def service(terms: Mapping[str, Any], settings: Mapping[str, Any], host: Host) -> Bidder:
    """The bidder of a bundle's terms for a campaign.

    Raises ValueError that names everything wrong in the settings.
    """
    return Bidder(terms_of(terms, campaign_of(settings)), host)
