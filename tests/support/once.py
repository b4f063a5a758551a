"""What is dear to make, made once for all test processes of a run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def shared_folder(folders: pytest.TempPathFactory) -> Path:
    """The folder that all processes of this test run have in common."""
    here = folders.getbasetemp()
    # Workers of one test run have neighbouring folders; alone, the folder above is of all runs.
    return here.parent if "PYTEST_XDIST_WORKER" in os.environ else here


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder as `make` left it: whoever comes first makes it, and others wait."""
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder
