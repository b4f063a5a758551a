"""One store for all tests of this folder: setting a database up takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gymnasium import spaces

from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.tracking import Tracker, open_tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a project #1 ")


@pytest.fixture(scope="session")
def tracker(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield open_tracker(project)
        assert not list(Path.cwd().iterdir()), "a file was written into the current folder"


@pytest.fixture(scope="session")
def store_uri(project: Path) -> str:
    return f"sqlite:///{project}/mlruns/mlflow.db"


@pytest.fixture(scope="session")
def client(tracker: Tracker, store_uri: str) -> MlflowClient:
    """What a user of MLflow sees; `tracker` has set the store up before."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store_uri, registry_uri=store_uri)


@pytest.fixture
def agent() -> Agent:
    """An untrained policy with random weights: five observed numbers, two actions in [-1, 1]."""
    observed, actions = spaces.Box(-5.0, 5.0, (5,)), spaces.Box(-1.0, 1.0, (2,))
    config = PPOConfig(start="random", hidden=(8,))
    return Agent.create(observed, actions, config, np.random.default_rng(7))
