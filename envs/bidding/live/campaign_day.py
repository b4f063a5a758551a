"""The campaign-day that is played live: its pacing, and what the policy said of this half hour."""

from __future__ import annotations

from envs.bidding.live import pacing
from envs.bidding.live.pacing import Pacing
from envs.bidding.live.plan import Plan
from envs.core.live import Host, Purse, Shipped

NOTE_SECONDS = 1.0
"""How old the noted state of a day may be; of counts, never of money."""


class CampaignDay:
    """The state of the day under way; it goes on where it was noted before a restart."""

    def __init__(self, plan: Plan, host: Host, purse: Purse) -> None:
        self._plan, self._host, self._purse = plan, host, purse
        self.state: Pacing | None = None
        self._shipped: Shipped | None = None
        self._noted_at = 0.0

    def at(self, now: float) -> tuple[Pacing, Shipped]:
        """The state of the slot under way, the policy asked at its beginning.

        Another policy in charge is asked at once.
        """
        plan = self._plan
        day, slot = pacing.slot_of(now, plan)
        if self.state is None:
            self.state = pacing.noted(self._purse.noted, day, slot, plan)
            self.state.decided = -1
        state = self.state = pacing.moved_to(self.state, day, slot, plan)
        shipped = self._shipped
        if shipped is None or state.decided != slot or shipped.version != self._host.version:
            shipped = self._shipped = self._host.ask(pacing.observed(state, plan), now)
            state.log_lambda = pacing.log_lambda_of(state, plan, float(shipped.action[0]))
            state.decided = slot
        return state, shipped

    def note(self, now: float) -> None:
        """Remember the state across a restart, where it changed; raises OSError as a purse does."""
        if self.state is None or now - self._noted_at < NOTE_SECONDS:
            return
        self._noted_at = now
        values = self.state.as_plain()
        if values != self._purse.noted:
            self._purse.note(values)
