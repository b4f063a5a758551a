"""Progress as lines of a file, so that other processes can watch a job and none has to wait."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_marketing.progress import Stage

VARIABLE = "PPO_MARKETING_PROGRESS"
"""The environment variable that names the file a job writes its progress to."""


@dataclass(frozen=True)
class Seen:
    """Where a job stands: the stage it is in, `done` of `total` units, and what it says.

    `stages` are the titles so far with their seconds, None for the one under way; `curves` the
    numbers that stages reported, by name: (done, number) in order.
    """

    stage: str = ""
    done: float = 0.0
    total: float = 1.0
    note: str = ""
    stages: tuple[tuple[str, float | None], ...] = ()
    curves: Mapping[str, tuple[tuple[float, float], ...]] | None = None

    @property
    def share(self) -> float:
        """done / total, in [0, 1]."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 0 else 0.0


class FileReporter:
    """Appends a line for everything that happens; a torn last line is nothing yet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def stage(self, title: str, total: float = 1.0) -> Iterator[Stage]:
        """A stage whose beginning, steps and end are written down."""
        began = time.monotonic()
        self._write({"stage": title, "total": total})
        yield _Lines(self)
        self._write({"ended": title, "seconds": round(time.monotonic() - began, 2)})

    def _write(self, values: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


class _Lines:
    def __init__(self, reporter: FileReporter) -> None:
        self._reporter = reporter

    def reach(
        self, done: float, note: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        finite = {name: x for name, x in (numbers or {}).items() if math.isfinite(x)}
        self._reporter._write({"done": done, "note": note, "numbers": finite})


def begin_again(path: Path) -> None:
    """Mark that a job is resumed: its stages begin anew, its curves go on."""
    if path.exists():
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"resumed": True}) + "\n")


def read_progress(path: Path) -> Seen:
    """What a job has written so far; nothing where it has not begun to.

    What was reported beyond the point that a resumed job went on from is forgotten.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError:
        return Seen()
    stage, note, done, total = "", "", 0.0, 1.0
    stages: dict[str, float | None] = {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        said = _said(line)
        if "resumed" in said:
            stage, note, done, total, stages = "", "", 0.0, 1.0, {}
        elif "stage" in said:
            stage, total, done, note = said["stage"], said["total"], 0.0, ""
            stages[stage] = None
        elif "ended" in said:
            stages[said["ended"]], done = said["seconds"], total
        elif "done" in said:
            done, note = said["done"], said["note"]
            for name, value in said["numbers"].items():
                points = curves.setdefault(name, [])
                while points and points[-1][0] >= done:
                    points.pop()
                points.append((done, value))
    kept = {name: tuple(points) for name, points in curves.items()}
    return Seen(stage, done, total, note, tuple(stages.items()), kept)


def _said(line: str) -> dict[str, Any]:
    """A line's values; a line that is being written, or was cut short by a kill, says nothing."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
