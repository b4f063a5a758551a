"""A decision type that the repository does not have, to prove that one folder is all it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.command import run_command

ROOT = Path(__file__).resolve().parents[3]
NEW = Path(__file__).resolve().parent / "pricing"
QUICK = {
    "PPO_MARKETING_TRAINING__EPISODES": "64",
    "PPO_MARKETING_TRAINING__VALIDATION_EPISODES": "32",
    "PPO_MARKETING_LOG__DAYS": "12",
}


def copied(folder: Path, *parts: str) -> Path:
    """`folder` with these parts of the repository, and one decision folder more.

    What was compiled comes along: numba would take a quarter of a minute to do it again.
    """
    being_written = shutil.ignore_patterns("*.tmp.*", "*.pyc.*")
    for part in parts:
        shutil.copytree(ROOT / part, folder / part, ignore=being_written)
    shutil.copytree(NEW, folder / "envs" / NEW.name, ignore=being_written)
    return folder


def command(*arguments: str | Path) -> list[str]:
    """A module and its arguments, run by this interpreter."""
    return [sys.executable, "-m", *map(str, arguments)]


def variables(copy: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the copy is what is imported."""
    return {**os.environ, **settings, "PYTHONPATH": str(copy)}


def call(
    copy: Path, *arguments: str | Path, settings: Mapping[str, str] = QUICK
) -> subprocess.CompletedProcess[str]:
    """The copy's `ppo-marketing`, called in it."""
    return run_command(*arguments, folder=copy, variables=variables(copy, settings), code=copy)
