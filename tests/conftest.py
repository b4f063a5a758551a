"""Fixtures that every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ppo_marketing.tracking import tracker
from tests.support.judged_run import judged_run
from tests.support.once import made_once, shared_folder
from tests.support.retraining import first_champion
from tests.support.stores import TEMPLATE, copy_store

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put all that need the app's project first: one process makes it, and none waits for it."""
    items.sort(key=lambda item: "app_project" not in getattr(item, "fixturenames", ()))


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


@pytest.fixture(scope="session", autouse=True)
def _copied_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every fresh store is a copy of one that was set up once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TEMPLATE, str(shared_folder(tmp_path_factory) / "store-template"))
        patch.setattr(tracker, "_create_database", copy_store)
        yield


@pytest.fixture(scope="session")
def champion_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the tiny decision with its first champion; copy it to go on from there."""
    folder = shared_folder(tmp_path_factory) / "champion"
    made_once(folder, lambda place: first_champion(place / "project"))
    return folder / "project"


@pytest.fixture(scope="session")
def judged_customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that contacts customers; not to be changed."""
    folder = shared_folder(tmp_path_factory) / "judged-customers"
    made_once(folder, lambda place: judged_run(place, "sequencing", days=26))
    return folder / "run"
