"""Fixtures that every test may ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
