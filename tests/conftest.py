"""Fixtures that every test may ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.retraining import first_champion

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new for every test."""
    return np.random.default_rng(20_240_601)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real development logs; the test is skipped, saying so, where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(
            f"real development logs are absent: expected them in {SHARED_DATA.name}/ beside "
            "the repository, in a folder named shared"
        )
    return SHARED_DATA


@pytest.fixture(scope="session")
def champion_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the tiny decision with its first champion; copy it to go on from there."""
    return first_champion(tmp_path_factory.mktemp("champion") / "project")
