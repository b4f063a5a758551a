"""Live bids over OpenRTB 2.6: what a server asks for by `service`; numpy and nothing heavier."""

from envs.bidding.live.bidder import service

__all__ = ["service"]
