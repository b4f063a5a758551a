"""simulator."""

from app import layout

layout.require("calibrated", "Simulator")
