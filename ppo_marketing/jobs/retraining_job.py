"""Who retrains what, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.progress import Reporter
from ppo_marketing.retraining.decisions import Outcome
from ppo_marketing.retraining.project import Project


class Job(NamedTuple):
    """Who retrains what, by which clock (UTC), and whom progress is shown to."""

    project: Project
    actor: str
    clock: Callable[[], datetime]
    reporter: Reporter

    @property
    def desk(self) -> Desk:
        """Where and by whom it is released, now."""
        config = self.project.config
        return Desk(config.project, self.actor, self.clock(), config.release)

    @property
    def runs(self) -> Path:
        """Where its runs are kept."""
        return self.project.folder / "runs"


@dataclass(frozen=True)
class Retrained:
    """How a retraining ended; `new` is False where it had been done before."""

    outcome: Outcome
    reasons: tuple[str, ...]
    key: str
    folder: Path
    ended: str
    new: bool = True

    @classmethod
    def of(cls, record: Record, *, new: bool) -> Self:
        """What the record of a run that ended says."""
        ending = record.ending
        assert ending is not None
        return cls(
            Outcome(ending["outcome"]), tuple(ending["reasons"]), record.key, record.folder,
            ending["time"], new,
        )  # fmt: skip
