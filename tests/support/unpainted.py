"""Runs without pictures: a third of the time of a small one, and they are looked at elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def unpainted() -> Iterator[None]:
    """Figures are written as empty files."""
    from matplotlib.figure import Figure

    def empty(figure: Figure, path: Path | str, **how: Any) -> None:
        Path(path).write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", empty)
        yield
