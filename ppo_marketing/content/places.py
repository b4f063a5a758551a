"""What a project holds of content: pairs to rate, reward models, alignments, judged models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppo_marketing.content.judged import FILE as JUDGED
from ppo_marketing.content.stages.folder import RECORD, RESULT
from ppo_marketing.errors import UserError
from ppo_marketing.files import read_json

PAIRS, RATINGS = "pairs.jsonl", "ratings.jsonl"
HISTORY = "history.json"
DEEPEST = 3
"""Folders below a project's content: brand / attempt / stage."""


@dataclass(frozen=True)
class Place:
    """A folder of one kind, by its name below the project's content."""

    name: str
    folder: Path
    made: datetime


@dataclass(frozen=True)
class Found:
    """What there is, the newest first."""

    tasks: tuple[Place, ...]  # with pairs to rate
    rewards: tuple[Place, ...]  # finished `content reward`
    alignments: tuple[Place, ...]  # finished `content ppo`
    judged: tuple[Place, ...]  # `content gate --output`

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return not (self.tasks or self.rewards or self.alignments or self.judged)


def content_folder(project: Path) -> Path:
    """Where a project keeps what the commands of content write."""
    return project / "data" / "content"


def found_in(project: Path) -> Found:
    """Look through a project's content. Stages that are not finished are left out.

    Folders that cannot be read as what they say they are, are left out too.
    """
    root = content_folder(project)
    kinds: dict[str, list[Place]] = {"tasks": [], "reward": [], "ppo": [], "judged": []}
    for folder in _folders(root, DEEPEST):
        for kind, file in _kinds(folder):
            made = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            kinds[kind].append(Place(str(folder.relative_to(root)), folder, made))
    for places in kinds.values():
        places.sort(key=lambda place: (place.made, place.name), reverse=True)
    return Found(
        tuple(kinds["tasks"]), tuple(kinds["reward"]), tuple(kinds["ppo"]), tuple(kinds["judged"])
    )


def stage_result(place: Place) -> Mapping[str, Any]:
    """Return what a finished stage gave.

    Raises UserError where it cannot be read.
    """
    return read_json(place.folder / RESULT)


def _kinds(folder: Path) -> Iterator[tuple[str, Path]]:
    if (folder / PAIRS).is_file():
        yield "tasks", folder / PAIRS
    if (folder / JUDGED).is_file():
        yield "judged", folder / JUDGED
    if (folder / RECORD).is_file() and (folder / RESULT).is_file():
        try:
            stage = read_json(folder / RECORD).get("stage")
        except UserError:
            return
        if stage in ("reward", "ppo"):
            yield str(stage), folder / RESULT


def _folders(root: Path, depth: int) -> Iterator[Path]:
    if not root.is_dir():
        return
    yield root
    if depth:
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            yield from _folders(folder, depth - 1)
