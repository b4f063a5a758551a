"""The historical log of bidding: one row per auction, and readers of the iPinYou formats."""

from __future__ import annotations

from envs.bidding.ipinyou import READERS
from envs.core.log import Column, LogSchema, RowRule

__all__ = ["AUCTIONS", "READERS"]

_CPM = "account currency per 1000 impressions"

AUCTIONS = LogSchema(
    name="auction log",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="auction_id", kind="id", unit="one per row", required=False, key=True),
        Column(name="campaign_id", kind="category", unit="campaign", required=False),
        Column(name="bid_cpm", kind="number", unit=_CPM, low=0.0, one_unit=True),
        Column(name="won", kind="bool", unit="0 or 1"),
        # What clearing cost; empty when the auction was lost.
        Column(
            name="price_cpm", kind="number", unit=_CPM, low=0.0, may_be_empty=True, one_unit=True
        ),
        Column(
            name="floor_cpm",
            kind="number",
            unit=_CPM,
            required=False,
            low=0.0,
            may_be_empty=True,
            one_unit=True,
        ),
        Column(name="pctr", kind="number", unit="probability", required=False, low=0.0, high=1.0),
        Column(name="click", kind="bool", unit="0 or 1", may_be_empty=True),
        Column(name="conversion", kind="bool", unit="0 or 1", required=False, may_be_empty=True),
        Column(
            name="value",
            kind="number",
            unit="account currency",
            required=False,
            low=0.0,
            may_be_empty=True,
        ),
    ),
    rules=(
        RowRule(
            columns=("price_cpm", "won"),
            broken="won AND price_cpm IS NULL",
            found="a win without a price",
            allowed="the clearing price in every won row",
            action="log what each win cost, or mark the row as lost",
        ),
        RowRule(
            columns=("price_cpm", "won"),
            broken="NOT won AND price_cpm IS NOT NULL",
            found="a price on a lost auction",
            allowed="an empty price in every lost row, 0 included: it was not observed",
            action="empty the price of lost rows, or correct won",
        ),
        RowRule(
            columns=("price_cpm", "bid_cpm", "won"),
            broken="won AND price_cpm > bid_cpm",
            found="a price above the winning bid",
            allowed="price_cpm up to bid_cpm",
            action="check that both are CPM in one currency and that bid_cpm is the bid sent",
        ),
        RowRule(
            columns=("click", "won"),
            broken="won AND click IS NULL",
            found="a win without saying whether it was clicked",
            allowed="0 or 1 in every won row",
            action="join the click log before exporting",
        ),
        RowRule(
            columns=("click", "won"),
            broken="click AND NOT won",
            found="a click on a lost auction",
            allowed="clicks in won rows only",
            action="correct won or the join with the click log",
        ),
        RowRule(
            columns=("conversion", "won"),
            broken="won AND conversion IS NULL",
            found="a win without saying whether it converted",
            allowed="0 or 1 in every won row",
            action="join the conversion log before exporting, or leave the column out",
        ),
        RowRule(
            columns=("conversion", "click"),
            broken="conversion AND NOT coalesce(click, false)",
            found="a conversion without a click",
            allowed="conversions in clicked rows only",
            action="attribute conversions to the click that led to them",
        ),
    ),
    readers=READERS,
)
"""One row per auction that was bid on. Context columns (exchange, region, slot_format, ...) are
whatever else the user maps."""
