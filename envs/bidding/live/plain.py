"""Plain values read strictly into frozen ones: no server may start on a setting it misread."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def read(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """A dataclass of plain fields; raises ValueError that names what is unknown or missing."""
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(map(str, values)) - set(fields))
    if unknown:
        raise ValueError(f"{what}: unknown {', '.join(unknown)}; known: {', '.join(fields)}")
    missing = [
        name
        for name, item in fields.items()
        if name not in values
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{what}: {', '.join(missing)} must be given")
    return kind(**values)
