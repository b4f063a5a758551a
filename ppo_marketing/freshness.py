"""The log that a run learned from, and how old it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ppo_marketing.errors import UserError
from ppo_marketing.files import read_json
from ppo_marketing.jobs.kept_runs import KeptEvidence, KeptRun

OLD_AFTER = timedelta(days=14)
"""Half of a usual four-week log: prices and tastes of before that are no longer today's."""


@dataclass(frozen=True)
class Freshness:
    """The log that a run learned from: where it came from, its rows, and how old it is."""

    source: str
    rows: int
    first: datetime | None
    last: datetime | None
    generated: bool

    def age(self, now: datetime) -> timedelta | None:
        """How long ago its last row was; None where that was not kept."""
        return None if self.last is None else now - self.last


def freshness_of(run: KeptRun, evidence: KeptEvidence | None) -> Freshness | None:
    """The log that a run's simulator was fitted to; None where the run does not keep it."""
    try:
        about = read_json(run.calibration / "log.json")
    except UserError:
        return None
    first, last = (
        datetime.fromisoformat(about[end]) if about.get(end) else None for end in ("first", "last")
    )
    generated = evidence is not None and evidence.config["log"]["path"] is None
    return Freshness(about["source"], int(about["rows"]), first, last, generated)
