"""The decision log: JSON lines that the next calibration reads once outcomes are joined.

The file that is written to ends in `.partial`; a finished one is renamed to `.jsonl` and never
touched again, so that whoever watches the folder meets whole files only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppo_marketing.errors import UserError
from ppo_marketing.files import made
from ppo_marketing.serve.settings import LogSettings

DAY = 86_400


class DecisionLog:
    """The log of one server, in a folder of its own; what a killed one left is finished first."""

    def __init__(self, folder: Path, settings: LogSettings, now: float) -> None:
        self._folder, self._settings = made(folder), settings
        for left in folder.glob("*.partial"):
            _finish(left)
        self._serial = 0
        self._open(now)

    def write(self, lines: Sequence[Mapping[str, Any]], now: float) -> None:
        """Append lines; raises OSError where they cannot be kept."""
        if self._size >= self._settings.bytes or now // DAY != self._day:
            self.rotate(now)
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        self._size += os.write(self._descriptor, text)

    def rotate(self, now: float) -> None:
        """Finish the file and begin the next; the oldest goes where only so many are kept."""
        self.close()
        self._open(now)
        if self._settings.files:
            for old in sorted(self._folder.glob("*.jsonl"))[: -self._settings.files]:
                old.unlink()

    def close(self) -> None:
        """Finish the file."""
        os.close(self._descriptor)
        _finish(self._path)

    def _open(self, now: float) -> None:
        self._serial += 1
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S")
        name = f"decisions-{stamp}-{os.getpid()}-{self._serial:06d}.jsonl"
        self._path = self._folder / f"{name}.partial"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size, self._day = 0, now // DAY


def _finish(path: Path) -> None:
    if path.stat().st_size:
        path.rename(path.with_suffix(""))
    else:
        path.unlink()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a finished file; a last one that a kill cut off is left out.

    Raises:
        UserError: another line is not one, with its number.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = json.loads(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return
                raise UserError(f"{path}, line {number}: not a line of a decision log") from error
            if not isinstance(found, dict):
                raise UserError(f"{path}, line {number}: not a line of a decision log")
            yield found
