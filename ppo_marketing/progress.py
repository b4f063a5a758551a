"""What a person sees while waiting: the stage, how far, how fast, how long still; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


class Stage(Protocol):
    """One stage under way."""

    def reach(
        self, done: float, note: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        """Say how far the stage is, out of its total, and what was measured there, by name."""


class Reporter(Protocol):
    """Opens stages."""

    @contextmanager
    def stage(self, title: str, total: float = 1.0) -> Iterator[Stage]:
        """A stage of `total` units."""
        ...


class _Silent:
    def reach(
        self, done: float, note: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        pass


class SilentReporter:
    """Says nothing."""

    @contextmanager
    def stage(self, title: str, total: float = 1.0) -> Iterator[Stage]:
        """A stage that nobody watches."""
        yield _Silent()


class _LastNote:
    """Keeps the last note, for the one line that a stage leaves where there are no bars."""

    def __init__(self) -> None:
        self.note = ""

    def reach(
        self, done: float, note: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        self.note = note


class _Bar:
    """One task of a rich progress bar."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def reach(
        self, done: float, note: str = "", numbers: Mapping[str, float] | None = None
    ) -> None:
        self._bars.update(self._task, completed=done, note=note)


class TerminalReporter:
    """Progress bars on a terminal, one line a stage elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextmanager
    def stage(self, title: str, total: float = 1.0) -> Iterator[Stage]:
        """A stage with a bar, closed by a line that says how long it took."""
        began = time.monotonic()
        if not sys.stderr.isatty():
            last = _LastNote()
            yield last
            self._console.print(
                f"{title:<42}{time.monotonic() - began:6.1f} s  {last.note}", highlight=False
            )
            return
        with Progress(
            TextColumn("{task.description:<42}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self._console,
        ) as bars:
            task = bars.add_task(title, total=total, note="")
            yield _Bar(bars, task)
            bars.update(task, completed=total, note=f"{time.monotonic() - began:.1f} s")
