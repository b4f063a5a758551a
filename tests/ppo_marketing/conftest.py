"""One whole run of the command line for the tests that read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.bidding_line import whole_run
from tests.support.once import made_once, shared_folder


@pytest.fixture(scope="session")
def whole_line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A whole run on nine sample days, not to be changed: its folder and what it printed."""
    folder = made_once(shared_folder(tmp_path_factory) / "whole-line", whole_run)
    return folder, json.loads((folder / "printed").read_text())
