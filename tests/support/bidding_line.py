"""`ppo-marketing` on nine days of the bidding sample, and one whole run of it for many tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ppo_marketing.config import PROJECT
from tests.support.command import run_command

COMMAND = [sys.executable, "-m", "ppo_marketing"]
QUICK = {
    "PPO_MARKETING_TRAINING__COPIES": "32",
    "PPO_MARKETING_TRAINING__EPISODES": "20",
    "PPO_MARKETING_TRAINING__VALIDATION_EPISODES": "8",
    "PPO_MARKETING_EVALUATION__EPISODES": "10",
    "PPO_MARKETING_LOG__DAYS": "9",
}


def call(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The finished command, quick, beside the repository."""
    return call_in(PROJECT, *arguments, **variables)


def call_in(
    folder: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The finished command, quick, in `folder`."""
    return run_command(*arguments, folder=folder, variables={**QUICK, **variables})


def found(finished: subprocess.CompletedProcess[str]) -> Any:
    """What a command that succeeded printed as JSON."""
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def whole_run(folder: Path) -> None:
    """A whole run on nine sample days in `folder/out`, and what it printed in `folder/printed`."""
    finished = call(
        "run", "--decision", "bidding", "--steps", "8192", "--output", folder / "out", "--json",
        "--accept-failed-fidelity", "nine days are few: this tests the line, not the market",
        PPO_MARKETING_PROJECT=str(folder),
    )  # fmt: skip
    found(finished)
    (folder / "printed").write_text(finished.stdout)


def train_command(calibration: Path, folder: Path, steps: int) -> tuple[list[str], dict[str, str]]:
    """The arguments and variables of a training in `folder/out` that saves at every update."""
    arguments = [
        "train", "bidding", "--calibration", str(calibration), "--steps", str(steps),
        "--output", str(folder / "out"), "--json", "--accept-failed-fidelity", "a test",
    ]  # fmt: skip
    variables = {
        "PPO_MARKETING_PROJECT": str(folder),
        "PPO_MARKETING_TRAINING__CHECKPOINT_EVERY": "1",
    }
    return arguments, variables
