"""A project with three logged policies, and runs whose verdicts passed or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ppo_marketing.releases import Override
from ppo_marketing.tracking.registry import model_name
from tests.support.releasing import DECISION, NOON, POOR, copied, judged, logged_policies

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NAME = model_name(DECISION)
PILOT = Override("a pilot in one city", "Ada", (NOON + timedelta(days=10)).date())


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that three policies were logged to; this process's own, for its models are shared."""
    folder = tmp_path_factory.mktemp("shelf")
    logged_policies(folder, 3)
    return folder


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No store but the project's, and an empty folder to run in."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Iterator[Path]:
    """A project of its own, with the template's store."""
    yield copied(template, tmp_path / "project")
    assert not list(Path.cwd().iterdir()), "a file was written into the current folder"


@pytest.fixture
def runs(template: Path, tmp_path: Path) -> list[Path]:
    """Three runs whose verdicts passed."""
    return [judged(tmp_path / f"run {n}", template / "policies" / str(n)) for n in (1, 2, 3)]


@pytest.fixture
def poor(template: Path, tmp_path: Path) -> Path:
    """A run whose verdict did not pass: too few events."""
    return judged(tmp_path / "poor", template / "policies" / "3", POOR)


@pytest.fixture
def client(project: Path) -> MlflowClient:
    """What a user of MLflow sees."""
    from mlflow.tracking import MlflowClient

    address = f"sqlite:///{project}/mlruns/mlflow.db"
    return MlflowClient(tracking_uri=address, registry_uri=address)
