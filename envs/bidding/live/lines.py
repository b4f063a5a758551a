"""What the decision log keeps of a request: a line an auction, in the columns of auction logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from envs.bidding.live.notice import Notice
from envs.bidding.live.offers import Offer
from envs.bidding.live.terms import Terms
from envs.core.live import Shipped


def auction_lines(
    terms: Terms,
    request_id: str,
    offers: Mapping[str, tuple[Offer, float]],
    shipped: Shipped,
    now: float,
) -> Iterator[dict[str, Any]]:
    """One line an auction: `offers` maps each decision's id to the offer and the price bid, or 0.

    Prices are in the unit of the log that was calibrated on.
    """
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    for own, (offer, price) in offers.items():
        yield {
            "kind": "decision",
            "id": own,
            "time": at,
            "policy": shipped.version,
            "action": {"a": float(shipped.action[0])},
            "propensity": shipped.propensity,
            "reasons": list(shipped.reasons),
            "given": f"{request_id}/{offer.impression.id}",
            "row": {
                "timestamp": at,
                "auction_id": own,
                "campaign_id": terms.campaign.campaign_id,
                "bid_cpm": _logged(terms, price),
                "won": 0,
                "price_cpm": None,
                "floor_cpm": _logged(terms, offer.floor) if math.isfinite(offer.floor) else None,
                "pctr": offer.probability,
                "click": 0,
                **offer.impression.context,
            },
        }


def win_line(terms: Terms, notice: Notice, price: float) -> dict[str, Any]:
    """What a win adds to its auction."""
    return _outcome(notice, {"won": 1, "price_cpm": _logged(terms, price)})


def click_line(notice: Notice) -> dict[str, Any]:
    """What a click adds to its auction."""
    return _outcome(notice, {"click": 1})


def _outcome(notice: Notice, columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "outcome", "id": notice.id, "columns": dict(columns)}


def _logged(terms: Terms, price: float) -> float:
    return 1000 * price / terms.log_unit
