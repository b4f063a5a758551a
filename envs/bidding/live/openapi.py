"""The bidder's paths as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.bidding.live.request import LONGEST_ID, MOST_IMPRESSIONS

_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID}
_MONEY = {"type": "number", "minimum": 0, "maximum": 1e15}
_FLAG = {"type": "integer", "enum": [0, 1]}
_OBJECT: Mapping[str, Any] = {"type": "object"}
_CURRENCY = {"type": "string", "pattern": "^[A-Z]{3}$"}

SCHEMAS: Mapping[str, Any] = {
    "BidRequest": {
        "type": "object",
        "description": "OpenRTB 2.6; unknown attributes are ignored",
        "properties": {
            "id": _TEXT,
            "imp": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_IMPRESSIONS,
                "items": {
                    "type": "object",
                    "properties": {
                        "id": _TEXT,
                        "banner": _OBJECT,
                        "bidfloor": _MONEY,
                        "bidfloorcur": _CURRENCY,
                        "metric": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "type": {"type": "string"},
                                    "value": {"type": "number", "minimum": 0, "maximum": 1},
                                },
                            },
                        },
                        "pmp": _OBJECT,
                    },
                    "required": ["id", "banner"],
                },
            },
            "at": {"type": "integer", "minimum": 0, "maximum": 9999},
            "test": _FLAG,
            "tmax": {"type": "integer", "minimum": 0, "maximum": 60000},
            "cur": {"type": "array", "items": _CURRENCY, "maxItems": 300},
            "regs": {
                "type": "object",
                "properties": {
                    "coppa": _FLAG,
                    "gdpr": _FLAG,
                    "us_privacy": {"type": "string"},
                    "gpp_sid": {"type": "array", "items": {"type": "integer"}},
                },
            },
            "user": {"type": "object", "properties": {"consent": {"type": "string"}}},
            "device": {"type": "object", "properties": {"lmt": _FLAG, "dnt": _FLAG}},
        },
        "required": ["id", "imp"],
    },
    "BidResponse": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "cur": _CURRENCY,
            "seatbid": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "bid": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "properties": {"price": {"type": "number", "exclusiveMinimum": 0}},
                                "required": ["id", "impid", "price"],
                            },
                        }
                    },
                    "required": ["bid"],
                },
            },
        },
        "required": ["id", "seatbid"],
    },
}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


BID: Mapping[str, Any] = {
    "summary": "An OpenRTB 2.6 bid request",
    "requestBody": {"required": True, "content": _json("BidRequest")},
    "responses": {
        "200": {"description": "bids", "content": _json("BidResponse")},
        "204": {"description": "no bid; the header x-reason says why"},
        "400": {"description": "malformed", "content": _json("Problems")},
        "401": {"description": "no token"},
    },
}
NOTICE: Mapping[str, Any] = {
    "summary": "A notice of a bid's fate; its address is the one that came with the bid",
    "responses": {
        "204": {"description": "booked, or known before"},
        "400": {"description": "no notice of a bid made here", "content": _json("Problems")},
        "503": {"description": "the books cannot be kept: send it again"},
    },
}
