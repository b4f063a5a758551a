"""The historical log of pricing: one row per offer."""

from __future__ import annotations

from envs.core.log import Column, LogSchema

OFFERS = LogSchema(
    name="offer log",
    columns=(
        Column(name="timestamp", kind="timestamp", unit="UTC"),
        Column(name="regular", kind="bool", unit="0 or 1"),
        Column(name="price", kind="number", unit="currency", low=0.0),
        Column(name="bought", kind="bool", unit="0 or 1"),
    ),
)
