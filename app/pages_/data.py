"""data."""

from app import layout

layout.require("calibrated", "Data")
