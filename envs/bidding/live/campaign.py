"""What a campaign's owner tells a live bidder: the section `live` of the settings of serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.bidding.live.permission import Permission
from envs.bidding.live.plain import read

CAREFUL = Permission()


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Money in currency; a policy's own daily budget and bid cap where none are given.

    | setting | meaning |
    |---|---|
    | seat, creative, domains | what the exchange knows us by: `seat`, `crid`, `adomain` |
    | public_url | where the exchange reaches this server with its notices |
    | currency | ISO-4217; the calibration's where that is one |
    | rates | other currency -> what 1 of it is worth in ours; others are not bid on |
    | budget_day, budget_total | hard walls; reserved as bid, freed as lost |
    | bid_cap_cpm | no bid is above it, nor above the policy's own cap |
    | auctions | `at` that is bid on: what the policy was trained in, where not given |
    | expire_seconds | a bid nobody told of by then counts as lost |
    | network_ms, own_ms | of `tmax`, what the way takes and what a bid takes |
    """

    campaign_id: str = "campaign"
    seat: str = "1"
    creative: str = "1"
    domains: tuple[str, ...] = ()
    public_url: str = "http://127.0.0.1:8080"
    currency: str | None = None
    rates: Mapping[str, float] | None = None
    budget_day: float | None = None
    budget_total: float | None = None
    bid_cap_cpm: float | None = None
    auctions: tuple[int, ...] | None = None
    expire_seconds: float = 60.0
    network_ms: float = 20.0
    own_ms: float = 5.0
    permission: Permission = CAREFUL

    def __post_init__(self) -> None:
        numbers: dict[str, Any] = {
            "budget_day": self.budget_day,
            "budget_total": self.budget_total,
            "bid_cap_cpm": self.bid_cap_cpm,
            "expire_seconds": self.expire_seconds,
            "network_ms": self.network_ms,
            "own_ms": self.own_ms,
            **{f"rates.{name}": rate for name, rate in (self.rates or {}).items()},
        }
        problems = [
            f"{name} is {value!r}: it must be a number above 0"
            for name, value in numbers.items()
            if value is not None
            and (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 < value < 1e15
            )
        ]
        if self.currency is not None and not is_currency(self.currency):
            problems.append(f"currency is {self.currency!r}: it must be an ISO-4217 code")
        if not str(self.public_url).startswith(("http://", "https://")):
            problems.append(f"public_url is {self.public_url!r}: it must begin with http(s)://")
        if problems:
            raise ValueError("; ".join(problems))


def is_currency(text: Any) -> bool:
    """Whether a text has the form of an ISO-4217 code."""
    return isinstance(text, str) and len(text) == 3 and text.isascii() and text.isupper()


def campaign_of(values: Mapping[str, Any]) -> Campaign:
    """A campaign of plain values; raises ValueError that names everything wrong."""
    permission = values.get("permission") or {}
    if not isinstance(permission, Mapping):
        raise ValueError("permission must be `name: value` pairs")
    return read(
        Campaign,
        {**values, "permission": read(Permission, permission, "permission")},
        "a live campaign",
    )
