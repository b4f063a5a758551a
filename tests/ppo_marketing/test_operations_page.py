"""What the operations page promises: its commands' exit codes, and that a copy can be put back."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ppo_marketing import errors
from ppo_marketing.errors import IntegrityError
from ppo_marketing.jobs.released import champion_of, verify
from ppo_marketing.jobs.releasing import promote
from tests.support.releasing import DECISION, desk_at, judged, logged_policies

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.fixture(autouse=True)
def _own_store() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def test_the_runbook_has_every_exit_code() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and hasattr(k, "exit_code")]
    codes = {0, 2, *(int(kind.exit_code) for kind in kinds)}
    rows = re.findall(r"^\| ([\d, ]+) \|", PAGE.read_text(), re.MULTILINE)
    told = {int(code) for row in rows for code in row.split(",")}
    assert codes <= told
    assert {130, 143} <= told


def backed_up(project: Path, copy: Path) -> None:
    """What the page says: the database by SQLite's own backup, then artifacts, then the record."""
    (copy / "mlruns").mkdir(parents=True)
    with (
        closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as source,
        closing(sqlite3.connect(copy / "mlruns" / "mlflow.db")) as target,
    ):
        source.backup(target)
    for folder in (project / "mlruns").iterdir():
        if folder.is_dir():
            shutil.copytree(folder, copy / "mlruns" / folder.name)
    shutil.copytree(project / "data" / "releases", copy / "data" / "releases")


def put_back(copy: Path, project: Path, *parts: str) -> None:
    for part in parts:
        # Into the files that are there: this process still has the database open.
        shutil.copytree(copy / part, project / part, dirs_exist_ok=True)


def test_a_copy_put_back_is_whole_and_half_of_one_is_refused(tmp_path: Path) -> None:
    project, copy = tmp_path / "project", tmp_path / "copy"
    runs = [
        judged(tmp_path / f"run {number}", policy)
        for number, policy in enumerate(logged_policies(project, 2), 1)
    ]
    promote(runs[0], desk_at(project), approver="Ada")
    backed_up(project, copy)
    before = verify(desk_at(project)).head
    promote(runs[1], desk_at(project, 0.1), approver="Ada")
    newer = tmp_path / "newer"
    backed_up(project, newer)

    put_back(copy, project, "data/releases")
    with pytest.raises(IntegrityError, match="its end was cut off"):
        champion_of(DECISION, desk_at(project, 0.2))
    put_back(newer, project, "data/releases")
    put_back(copy, project, "mlruns")
    with pytest.raises(IntegrityError, match="restore the store from a copy"):
        champion_of(DECISION, desk_at(project, 0.2))

    put_back(copy, project, "data/releases", "mlruns")
    found = champion_of(DECISION, desk_at(project, 0.3))
    assert found.standing is not None
    assert found.standing.champion.to_version == 1
    assert verify(desk_at(project), before).head == before
    promote(runs[1], desk_at(project, 0.4), approver="Ada")
