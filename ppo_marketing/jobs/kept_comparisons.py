"""The comparisons of algorithms that lie in a project, read back as values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ppo_marketing.comparison import Comparison
from ppo_marketing.errors import IntegrityError
from ppo_marketing.files import read_json

FILE = "comparison.json"


@dataclass(frozen=True)
class KeptComparison:
    """A comparison's folder: whose decision, when, and whether its simulator passed its checks."""

    folder: Path
    decision: str
    made: datetime
    fidelity_passed: bool

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.folder.name

    @property
    def sha256(self) -> str:
        """The hash of what was found."""
        return hashlib.sha256((self.folder / FILE).read_bytes()).hexdigest()


def comparisons_folder(project: Path) -> Path:
    """Where a project's comparisons lie."""
    return project / "data" / "comparisons"


def comparisons_of(project: Path, decision: str) -> tuple[KeptComparison, ...]:
    """The finished comparisons of a decision, the newest first."""
    folder = comparisons_folder(project)
    found = [_comparison_in(inside) for inside in folder.iterdir()] if folder.is_dir() else []
    own = [one for one in found if one is not None and one.decision == decision]
    return tuple(sorted(own, key=lambda one: (one.made, one.name), reverse=True))


def _comparison_in(folder: Path) -> KeptComparison | None:
    path = folder / FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return KeptComparison(folder, str(saved["decision"]), made, bool(saved["fidelity_passed"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept_comparison(folder: Path) -> Comparison:
    """What `compare` found, as it wrote it to `folder`.

    Raises:
        UserError: there is no comparison.
        IntegrityError: it is not what this program writes.
    """
    path = folder / FILE
    saved = read_json(path)
    try:
        return TypeAdapter(Comparison).validate_python(
            {
                "competitors": [_with_gaps(one) for one in saved["competitors"]],
                "evidence": saved["evidence"],
                "sweeps": saved["sweeps"],
            }
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise IntegrityError(
            f"{path} is not a comparison as this program writes it ({error}): compare again"
        ) from error


def _with_gaps(one: Mapping[str, Any]) -> dict[str, Any]:
    """A competitor whose curve has NaN where JSON, which knows none, has null."""
    if one["curve"] is None:
        return dict(one)
    curve = {
        name: [math.nan if number is None else number for number in numbers]
        for name, numbers in one["curve"].items()
    }
    return {**one, "curve": curve}
