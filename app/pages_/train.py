"""train."""

from app import layout

layout.require("calibrated", "Train")
