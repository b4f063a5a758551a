"""Measurements kept one by one, so that a benchmark that was interrupted goes on where it was.

A cell is a file of its own: several processes may measure different cells at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from ppo_marketing.files import write_atomically

REPOSITORY = RESULTS.parents[1]


class Cells:
    """What one benchmark measured so far, with what code and which settings."""

    def __init__(self, folder: Path, code: str, *, again: bool = False) -> None:
        self._folder, self.code, self._again = folder, code, again

    def kept(self, name: str, settings: Mapping[str, Any]) -> Any:
        """The measurement of that name, None where there is none of this code and settings."""
        path = self._path(name)
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        return found["value"] if found["identity"] == self._identity(settings) else None

    def measured(self, name: str, settings: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """The kept measurement, or the one that `work` does now; plain values as JSON has them."""
        found = None if self._again else self.kept(name, settings)
        if found is None:
            found = json.loads(json.dumps(work()))
            self._folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"identity": self._identity(settings), "value": found}, indent=1)
            write_atomically(self._path(name), text.encode())
        return found

    def _identity(self, settings: Mapping[str, Any]) -> Any:
        return json.loads(json.dumps({"code": self.code, **settings}))

    def _path(self, name: str) -> Path:
        return self._folder / f"{''.join(c if c.isalnum() else '-' for c in name)}.json"


def cells_of(benchmark: str, sources: Sequence[str], *, again: bool = False) -> Cells:
    """The cells of a benchmark whose measurements hold as long as `sources` are what they are.

    `sources` are files and folders of the repository.
    """
    return Cells(RESULTS / "cells" / benchmark, digest_of(REPOSITORY, sources), again=again)


def digest_of(root: Path, sources: Sequence[str]) -> str:
    """The start of a SHA-256 over all Python files there, names included."""
    digest = hashlib.sha256()
    for source in sources:
        place = root / source
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
