"""Bidding: how much for an ad impression under a budget.

The card is made when it is asked for: what serves live bids imports this folder and must not wait
for a simulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.bidding.card import DECISION as DECISION


def __getattr__(name: str) -> Any:
    if name == "DECISION":
        from envs.bidding.card import DECISION

        return DECISION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
