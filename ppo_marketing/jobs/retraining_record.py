"""What a retraining has done so far, on disk: the same command goes on from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ppo_marketing.errors import IntegrityError
from ppo_marketing.files import made, read_json
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.retraining.run_key import SHORT

FILE = "retraining.json"


@dataclass
class Record:
    """One run's record, written after every stage; a stage without its line is done again."""

    folder: Path
    values: dict[str, Any]

    @classmethod
    def opened(cls, runs: Path, key: str, now: datetime) -> Record:
        """The record of a run: as it was left, or new.

        Raises IntegrityError where its folder is of another run.
        """
        folder = runs / key[:SHORT]
        if not (folder / FILE).exists():
            started = now.isoformat(timespec="seconds")
            fresh = cls(folder, {"key": key, "started": started, "stages": {}, "ending": None})
            made(folder)
            fresh._write()
            return fresh
        values = read_json(folder / FILE)
        if values.get("key") != key:
            raise IntegrityError(f"{folder} is of another run: move it away")
        return cls(folder, values)

    @property
    def key(self) -> str:
        """The run key."""
        return str(self.values["key"])

    @property
    def started(self) -> str:
        """When it began, UTC."""
        return str(self.values["started"])

    @property
    def ending(self) -> dict[str, Any] | None:
        """How it ended, with outcome, reasons and time; None where it has not."""
        ending: dict[str, Any] | None = self.values["ending"]
        return ending

    def said(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage left; None where it is not finished."""
        said: dict[str, Any] | None = self.values["stages"].get(stage)
        return said

    def finish(self, stage: str, **said: Any) -> dict[str, Any]:
        """Note that a stage is done, with what later stages need of it."""
        self.values["stages"][stage] = said
        self._write()
        return said

    def end(self, outcome: str, reasons: Iterable[str], now: datetime) -> None:
        """Note how the run ended."""
        self.values["ending"] = {
            "outcome": outcome,
            "reasons": list(reasons),
            "time": now.isoformat(timespec="seconds"),
        }
        self._write()

    def forget(self, kept: Iterable[str]) -> None:
        """Begin anew after the stages `kept`; what the others left on disk goes first."""
        names = set(kept)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        stages = self.values["stages"]
        self.values["stages"] = {name: said for name, said in stages.items() if name in names}
        self.values["ending"] = None
        self._write()

    def _write(self) -> None:
        write_json(self.folder / FILE, self.values)


def prune(runs: Path, keep: int, needed: Iterable[Path]) -> list[Path]:
    """Remove finished runs beyond the `keep` newest, but none of `needed`; return what went.

    The logs that only they had read go from the cache with them, and what a kill left of an earlier
    removal, a folder without a record.
    """
    kept = {path.resolve() for path in needed}
    finished, remains = [], []
    cached: dict[Path, str | None] = {}
    for folder in (path for path in runs.iterdir() if path.is_dir()):
        if not (folder / FILE).exists():
            remains.append(folder)
            continue
        values = read_json(folder / FILE)
        cached[folder] = values["stages"].get("examined", {}).get("cached")
        if values["ending"] is not None:
            finished.append((values["ending"]["time"], folder))
    old = [folder for _, folder in sorted(finished, reverse=True)[keep:]]
    gone = [folder for folder in (*old, *remains) if folder.resolve() not in kept]
    still_used = {log for folder, log in cached.items() if folder not in gone}
    for folder in gone:
        log = cached.get(folder)
        if log is not None and log not in still_used:
            Path(log).unlink(missing_ok=True)
        (folder / FILE).unlink(missing_ok=True)
        shutil.rmtree(folder)
    return gone
