from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ppo_marketing.errors import AlreadyRunning, IntegrityError, PpoMarketingError, UserError
from ppo_marketing.tracking import ui_command
from ppo_marketing.tracking.store import (
    RETRY_WAITS_S,
    Store,
    check_database,
    explained,
    patiently,
    set_up_alone,
    store_in,
)

LOCKED = sqlite3.OperationalError("database is locked")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An SQLite file with one table of some pages."""
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?)", [("x" * 1000,)] * 100)
        connection.commit()
    return path


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits asked for, none of them spent."""
    waits: list[float] = []
    monkeypatch.setattr("ppo_marketing.tracking.store.time.sleep", waits.append)
    return waits


def test_addresses_are_absolute_also_for_a_relative_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "shop" / "mlruns"
    store = store_in(Path("shop"), {})
    assert store == Store(f"sqlite:///{root}/mlflow.db", root.as_uri(), root / "mlflow.db")


@pytest.mark.parametrize("name", ["100% sure", "why?"])
def test_a_folder_that_no_database_address_can_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="Rename the folder, or set MLFLOW_TRACKING_URI"):
        store_in(tmp_path / name, {})


@pytest.mark.parametrize(
    ("uri", "database", "artifacts_here"),
    [
        ("sqlite:////data/all.db", Path("/data/all.db"), True),
        ("sqlite:////data/two%20words.db", Path("/data/two words.db"), True),
        ("sqlite:///:memory:", None, True),
        ("postgresql://me:secret@db/mlflow", None, True),
        ("http://me:secret@mlflow.example:5000", None, False),
    ],
)
def test_the_environment_names_another_store(
    tmp_path: Path, uri: str, database: Path | None, artifacts_here: bool
) -> None:
    store = store_in(tmp_path, {"MLFLOW_TRACKING_URI": uri})
    assert (store.uri, store.database) == (uri, database)
    assert store.artifact_uri == ((tmp_path / "mlruns").as_uri() if artifacts_here else None)
    assert "secret" not in store.label


def test_the_hint_is_one_line_a_shell_understands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    hint = ui_command(tmp_path / "it's here")
    assert "\n" not in hint
    show = f'mlflow() {{ printf "%s|" "$@"; }}; {hint}'.replace(
        str(Path(sys.executable).with_name("mlflow")), "mlflow"
    )
    shown = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True)
    uri = f"sqlite:///{tmp_path}/it's here/mlruns/mlflow.db"
    assert shown.stdout == f"ui|--backend-store-uri|{uri}|"
    assert hint.startswith("MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false ")


def test_a_sound_database_passes_and_is_not_changed(database: Path) -> None:
    before = database.read_bytes()
    check_database(database, patience_s=1.0)
    assert database.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"these are not runs" * 500)
    with pytest.raises(IntegrityError, match="Restore it from a copy, or move it aside"):
        check_database(path, patience_s=1.0)
    assert path.read_bytes() == b"these are not runs" * 500


def test_a_database_cut_short_is_refused(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2 + 100)
    with pytest.raises(IntegrityError, match="damaged"):
        check_database(database, patience_s=1.0)


def test_a_locked_database_is_reported_after_the_wait(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AlreadyRunning, match="locked by another program"):
            check_database(database, patience_s=0.1)
    check_database(database, patience_s=0.1)


def test_setting_up_is_for_one_at_a_time(tmp_path: Path) -> None:
    database = tmp_path / "new" / "mlflow.db"
    with (
        set_up_alone(database, patience_s=0.1),
        pytest.raises(AlreadyRunning, match="setting up"),
        set_up_alone(database, patience_s=0.1),
    ):
        pytest.fail("two at once")
    with set_up_alone(database, patience_s=0.1):
        pass


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("a file")
    with (
        pytest.raises(UserError, match="Clear its place"),
        set_up_alone(tmp_path / "mlruns" / "mlflow.db", patience_s=0.1),
    ):
        pytest.fail("the folder cannot exist")


@pytest.mark.parametrize(
    ("failure", "kind", "advice"),
    [
        (LOCKED, AlreadyRunning, "try again"),
        (sqlite3.OperationalError("database or disk is full"), PpoMarketingError, "Free some"),
        (ModuleNotFoundError("no driver", name="psycopg"), UserError, "install psycopg2-binary"),
        (OSError(errno.ENOSPC, "No space left on device"), PpoMarketingError, "Free some"),
        (sqlite3.OperationalError("attempt to write a readonly database"), UserError, "right to"),
        (sqlite3.OperationalError("unable to open database file"), UserError, "right to"),
        (OSError(errno.EROFS, "Read-only file system"), UserError, "right to"),
        (sqlite3.DatabaseError("database disk image is malformed"), IntegrityError, "Restore"),
        (RuntimeError("Detected out-of-date database schema"), UserError, "mlflow db upgrade"),
    ],
)
def test_a_failure_says_what_to_do(
    failure: Exception, kind: type[PpoMarketingError], advice: str
) -> None:
    meaning = explained(failure, "runs/mlflow.db")
    assert type(meaning) is kind
    assert "runs/mlflow.db" in str(meaning)
    assert advice in str(meaning)


def test_what_is_not_the_stores_fault_is_left_alone(database: Path) -> None:
    def fail() -> None:
        raise KeyError("our own mistake")

    with pytest.raises(KeyError, match="our own mistake"):
        patiently(Store("sqlite:///x", None, database), fail)


def test_a_lock_is_waited_for_longer_each_time(database: Path, unhurried: list[float]) -> None:
    answers: Iterator[Exception | str] = iter([LOCKED, LOCKED, "done"])

    def try_once() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(Store("sqlite:///x", None, database), try_once) == "done"
    assert unhurried == list(RETRY_WAITS_S[:2])


def test_a_lock_that_stays_is_given_up(database: Path, unhurried: list[float]) -> None:
    def try_once() -> None:
        raise LOCKED

    with pytest.raises(AlreadyRunning, match="try again"):
        patiently(Store("sqlite:///x", None, database), try_once)
    assert unhurried == list(RETRY_WAITS_S)
