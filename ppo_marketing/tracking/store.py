"""Where runs are recorded: its address, its first set-up, and what a failing database means.

The store is `mlruns/mlflow.db` (SQLite) with artifacts beside it, under the project folder that is
handed in; `MLFLOW_TRACKING_URI` is respected before that. MLflow is not imported here: a store that
cannot work is refused beforehand, since MLflow retries a file that it cannot open for 100 s.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shlex
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from ppo_marketing.errors import AlreadyRunning, IntegrityError, PpoMarketingError, UserError

Result = TypeVar("Result")

SQLITE = "sqlite:///"
POLL_S = 0.05
# SQLite's own wait is 20 s; these come after it, since a lock that two writers want to upgrade
# fails at once.
RETRY_WAITS_S = (0.2, 1.0, 3.0)
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Store:
    """One experiment store, by absolute addresses."""

    uri: str
    artifact_uri: str | None
    """Where artifacts of new experiments go; None: the server decides."""
    database: Path | None
    """The SQLite file, or None where the store is something else."""

    @property
    def label(self) -> str:
        """The store as messages name it: without a password."""
        return str(self.database or without_password(self.uri))


def store_in(folder: Path, environment: Mapping[str, str]) -> Store:
    """Return the store of the project in `folder`, or the one `MLFLOW_TRACKING_URI` names.

    Raises:
        UserError: the folder's name holds a character that a database address cannot.
    """
    root = folder.resolve() / "mlruns"
    uri = environment.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        if set("%?") & set(str(root)):
            raise UserError(
                f"runs cannot be recorded under {root}: % and ? mean something else in a database "
                "address. Rename the folder, or set MLFLOW_TRACKING_URI to another store"
            )
        return Store(f"{SQLITE}{root / 'mlflow.db'}", root.as_uri(), root / "mlflow.db")
    if uri.startswith(("http:", "https:", "databricks")):
        return Store(uri, None, None)
    path = unquote(uri.removeprefix(SQLITE).partition("?")[0])
    in_a_file = uri.startswith(SQLITE) and path not in ("", ":memory:")
    return Store(uri, root.as_uri(), Path(path).absolute() if in_a_file else None)


def has_store(folder: Path) -> bool:
    """Whether the project's store is there already, so that who only reads sets none up."""
    database = store_in(folder, os.environ).database
    return database is None or database.exists()


def ui_command(folder: Path) -> str:
    """Return the one shell line that opens the recorded runs in a browser.

    Without its job runner the server is two processes instead of ten.
    """
    store = store_in(folder, os.environ)
    if store.uri.startswith(("http:", "https:")):
        return f"{shlex.quote(sys.executable)} -m webbrowser {shlex.quote(store.label)}"
    mlflow = Path(sys.executable).with_name("mlflow")
    return (
        f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {shlex.quote(str(mlflow))} ui "
        f"--backend-store-uri {shlex.quote(store.uri)}"
    )


def ui_address(folder: Path) -> str:
    """Where the recorded runs are seen: the server that holds them, or where `ui_command` serves.

    `MLFLOW_UI` names another place.
    """
    store = store_in(folder, os.environ)
    served = store.uri if store.uri.startswith(("http:", "https:")) else "http://127.0.0.1:5000"
    return without_password(os.environ.get("MLFLOW_UI", served)).rstrip("/")


@contextmanager
def set_up_alone(database: Path, patience_s: float) -> Iterator[None]:
    """Hold the store's lock file: of several jobs that start at once, one sets the store up.

    The lock belongs to the open file, so a killed process leaves none behind.

    Raises:
        AlreadyRunning: another process held it for `patience_s` seconds.
        PpoMarketingError: the folder cannot be made or written.
    """
    lock_file = database.with_name(f".{database.name}.lock")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        handle = lock_file.open("a")
    except OSError as error:
        raise _refused(error, database) from error
    with handle:
        deadline_s = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline_s:
                    raise AlreadyRunning(
                        f"another job has been setting up {database} for {patience_s:g} s. Wait "
                        f"for it, or end the process that holds {lock_file} open, then try again"
                    ) from error
                time.sleep(POLL_S)
        yield


def check_database(database: Path, patience_s: float) -> None:
    """Refuse an SQLite file that cannot be read, is damaged, or cannot be written.

    Raises:
        AlreadyRunning: it stayed locked for `patience_s` seconds.
        IntegrityError: it is not a database, or a damaged one.
        UserError: it may not be written, or cannot be opened.
    """
    try:
        if not os.access(database.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "the folder may not be written")
        address = f"file:{quote(str(database))}?mode=rw"
        connection = sqlite3.connect(address, uri=True, timeout=patience_s, isolation_level=None)
        with closing(connection):
            connection.execute("SELECT name FROM sqlite_master").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (OSError, sqlite3.Error) as error:
        raise _refused(error, database) from error


def without_password(text: str) -> str:
    """Return text in which addresses have no user name and no password."""
    return re.sub(r"://[^/@\s]*@", "://***@", text)


def is_locked(error: Exception) -> bool:
    """Whether trying again later may succeed."""
    return re.search(r"database( table)? is locked", str(error)) is not None


def explained(error: Exception, store: str) -> PpoMarketingError | None:
    """Return what a failure of the store means and what to do, or None where it is unknown.

    MLflow passes a database's own words on as text and an operating system's as an error number.
    """
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if is_locked(error):
        return AlreadyRunning(
            f"{store} stayed locked by another program. Close what holds it open (a database "
            "browser, a copy in progress), then try again"
        )
    if number in FULL_DISK or re.search(r"disk is full|disk I/O error|No space left", text):
        return PpoMarketingError(
            f"the run could not be written to {store}: the disk is full or failing ({text[:200]}). "
            "Free some space and try again; what was recorded before is kept"
        )
    if isinstance(error, ModuleNotFoundError):
        return UserError(
            f"{store} needs the Python package {error.name}: install it. For PostgreSQL install "
            "psycopg2-binary and write the address as postgresql+psycopg2://..."
        )
    if "not a database" in text or "malformed" in text:
        return IntegrityError(
            f"{store} is damaged or is not an MLflow database. Restore it from a copy, or move it "
            "aside to start an empty one"
        )
    if number in READ_ONLY or re.search(r"readonly database|unable to open database", text):
        return UserError(
            f"{store} cannot be written. Give this user the right to write the file and its "
            "folder, or set MLFLOW_TRACKING_URI to a store that can be written"
        )
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        return UserError(
            f"{store} was written by another version of MLflow. Copy it, then run "
            "`mlflow db upgrade` on it, or install the version that wrote it"
        )
    return None


def _refused(error: Exception, database: Path) -> PpoMarketingError:
    return explained(error, str(database)) or UserError(
        f"{database} cannot be opened ({error}). Clear its place, or set MLFLOW_TRACKING_URI to "
        "another store"
    )


def patiently(store: Store, call: Callable[[], Result]) -> Result:
    """Return what `call` returns, trying again while the database is locked.

    A failed transaction leaves nothing behind, so a second attempt writes nothing twice.

    Raises:
        PpoMarketingError: the store failed; see `tracking.store.explained`.
    """
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            return call()
        except PpoMarketingError:
            raise
        except Exception as error:  # MLflow lets errors of SQLAlchemy and the system through
            if is_locked(error) and wait_s is not None:
                time.sleep(wait_s)
                continue
            meaning = explained(error, store.label)
            if meaning is None and type(error).__module__.startswith("mlflow"):
                reason = without_password(str(error))
                meaning = PpoMarketingError(f"MLflow could not use {store.label}: {reason}")
            if meaning is None:
                raise
            raise meaning from error
    raise AssertionError("the last attempt returns or raises")
