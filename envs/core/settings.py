"""The settings that a calibration or a policy was made with, kept beside it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

FILE = "settings.json"


def load_settings(folder: Path, kind: type[T], **changes: Any) -> T:
    """The settings (a dataclass of type `kind`) kept in `folder`, with `changes`.

    Raises:
        ValueError: the file is missing, damaged or of another kind, or a change is not allowed.
    """
    path = folder / FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}): make the folder again") from error
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # a dataclass
    unknown = sorted((saved.keys() | changes.keys()) - known)
    if unknown:
        raise ValueError(f"unknown settings {unknown} in {path}; known: {sorted(known)}")
    return TypeAdapter(kind).validate_python({**saved, **changes})


def settings_text(settings: Any) -> str:
    """What `load_settings` reads back, as the text of its file."""
    return json.dumps(dataclasses.asdict(settings), indent=1, default=str) + "\n"
