"""Fresh stores as copies of one: MLflow's migrations take over a second each time.

The real set-up makes the first, and runs wherever a test starts Python anew (`tests/faults`).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ppo_marketing.tracking import tracker
from ppo_marketing.tracking.store import SQLITE, Store
from tests.support.once import made_once

TEMPLATE = "TESTS_STORE_TEMPLATE"
"""The variable that names the folder of the first, for the processes that tests start too."""
DATABASE = "mlflow.db"

_set_up: Callable[[Store], None] = tracker._create_database


def copy_store(store: Store) -> None:
    """Set a fresh database up, in place of the tracker's own way."""
    assert store.database is not None
    if TEMPLATE not in os.environ:
        return _set_up(store)
    template = made_once(Path(os.environ[TEMPLATE]), _set_up_in) / DATABASE
    unfinished = store.database.with_name(f".{store.database.name}.copied")
    shutil.copyfile(template, unfinished)
    with closing(sqlite3.connect(unfinished)) as database, database:
        place = f"{store.artifact_uri}/0"
        database.execute("UPDATE experiments SET artifact_location = ?", (place,))
    unfinished.replace(store.database)
    return None


def placed_store(project: Path) -> None:
    """Lay a fresh store down for processes that would set one up."""
    (project / "mlruns").mkdir(exist_ok=True)
    database = project / "mlruns" / DATABASE
    copy_store(Store(f"{SQLITE}{database}", (project / "mlruns").as_uri(), database))


def _set_up_in(folder: Path) -> None:
    folder.mkdir()
    _set_up(Store(f"{SQLITE}{folder / DATABASE}", folder.as_uri(), folder / DATABASE))
