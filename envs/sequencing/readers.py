"""Readers of customer logs in known formats: two joined tables, and public research data."""

from __future__ import annotations

from collections.abc import Mapping

from envs.core.log import Reader
from envs.sequencing.public_logs import (
    open_cdnow,
    open_complete_journey,
    open_detailing,
    open_starbucks,
)
from envs.sequencing.two_tables import open_tables

READERS: Mapping[str, Reader] = {
    "tables": Reader(
        summary="a folder with events.csv and customers.csv (or .csv.gz, .parquet), joined",
        open=open_tables,
    ),
    "complete_journey": Reader(
        summary="the Complete Journey folder: mailings, coupon redemptions, baskets",
        open=open_complete_journey,
    ),
    "detailing": Reader(
        summary="the bayesm detailing panel: monthly sales calls and prescriptions",
        open=open_detailing,
    ),
    "cdnow": Reader(summary="CDNOW_master.txt: purchases without marketing", open=open_cdnow),
    "starbucks": Reader(
        summary="the simulated Starbucks folder: offers, views, transactions", open=open_starbucks
    ),
}
