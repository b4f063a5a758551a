"""A project with one small trained and judged run, made once for all tests of the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppo_marketing.config import load_config
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.jobs.line import run_line
from ppo_marketing.progress import SilentReporter
from tests.support.once import made_once, shared_folder
from tests.support.unpainted import unpainted

DECISION, RUN = "bidding", "small"
DAYS = 8
"""Of its log: what it is fitted to is most of what it costs."""


def small_run(project: Path) -> Path:
    """The folder of a run that went the whole line, on a short log and for a few updates."""
    config = load_config(
        None,
        {
            "decision": DECISION,
            "project": project,
            "output": runs_folder(project) / RUN,
            "log": {"days": DAYS},
            "training": {
                "total_steps": 6144,
                "copies": 32,
                "episodes": 16,
                "validation_episodes": 8,
                "validate_every": 2,
                "checkpoint_every": 2,
            },
            "evaluation": {"episodes": 12, "bootstrap": 200},
            "accept_failed_fidelity": "a short log, for tests",
        },
    )
    run_line(config, SilentReporter())
    return config.output


@pytest.fixture(scope="session")
def app_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, made once for all test processes; not to be changed."""
    with unpainted():
        return made_once(shared_folder(tmp_path_factory) / "app-project", small_run)


@pytest.fixture
def shown_project(app_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, as the one that the app shows; not to be changed."""
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(app_project))
    return app_project


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without anything, as the one that the app shows."""
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    return tmp_path
