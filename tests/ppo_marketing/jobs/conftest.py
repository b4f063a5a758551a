"""Judged runs that several tests read: calibrating one takes ten seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.judged_run import judged_run
from tests.support.once import made_once, shared_folder


@pytest.fixture(scope="session")
def judged_visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that chooses items for visitors; not to be changed."""
    folder = shared_folder(tmp_path_factory) / "judged-visits"
    made_once(folder, lambda place: judged_run(place, "personalization", days=8))
    return folder / "run"
