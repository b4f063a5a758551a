"""Runs are recorded by real processes that race, die, and meet full and read-only disks."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest

from ppo_marketing.errors import IntegrityError
from ppo_marketing.tracking import open_tracker
from tests.support.stores import TEMPLATE

JOBS = 4
DEADLINE_S = 120.0

JOB = """
import sys
from pathlib import Path
from mlflow.store.tracking import sqlalchemy_store  # imported first, so that all start together
from ppo_marketing.tracking import open_tracker
print("ready", flush=True)
sys.stdin.readline()
with open_tracker(Path(sys.argv[1])).start("race", sys.argv[2], params={"seed": 1}) as run:
    run.metrics({"value": 1.0}, step=0)
    print(run.id, flush=True)
    sys.stdin.readline()
"""

FULL_DISK = """
import sys
from pathlib import Path
from ppo_marketing.errors import PpoMarketingError, UserError
from ppo_marketing.tracking import open_tracker

folder = Path(sys.argv[1])
filler = folder / "filler"

def refused(call):
    try:
        call()
    except PpoMarketingError as error:
        return error
    raise SystemExit("nothing was refused")

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

tracker = open_tracker(folder)
with tracker.start("full", "one", params={}) as run:
    run.metrics({"before": 1.0}, step=0)
    fill()
    many = {f"m{number}": 1.0 for number in range(500)}
    for error in (refused(lambda: run.metrics(many, 1)), refused(lambda: run.json("j", many))):
        assert "disk is full" in str(error) and error.exit_code == 1, error
    filler.unlink()
    run.metrics({"after": 2.0}, step=2)
record = tracker._client.get_run(run.id)
assert record.info.status == "FINISHED" and record.data.metrics == {"before": 1.0, "after": 2.0}
"""

READ_ONLY_DISK = """
import sys
from pathlib import Path
from ppo_marketing.errors import UserError
from ppo_marketing.tracking import open_tracker
try:
    open_tracker(Path(sys.argv[1]))
except UserError as error:
    assert "mlflow.db cannot be written" in str(error), error
    print("refused")
"""


@pytest.fixture(autouse=True, scope="module")
def _own_store() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, set up once."""
    folder = tmp_path_factory.mktemp("project")
    open_tracker(folder)
    return folder


class Job:
    """A real process that records one run, and goes on when it is told to."""

    def __init__(self, folder: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB, str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        return _pipe(self.process.stdout).readline().strip()

    def go_on(self) -> None:
        _pipe(self.process.stdin).write("\n")
        _pipe(self.process.stdin).flush()

    def end(self) -> str:
        """Let it end well, and return what it printed to the terminal's error stream."""
        self.go_on()
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, errors
        return errors


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[list[Job]]:
    """Jobs that are ready to open the store in `tmp_path` and have not yet."""
    jobs = [Job(tmp_path, f"job {number}") for number in range(JOBS)]
    assert [job.says() for job in jobs] == ["ready"] * JOBS
    yield jobs
    for job in jobs:
        job.process.kill()
        job.process.communicate()


def test_jobs_that_start_at_once_on_a_fresh_store_all_succeed_and_a_killed_one_is_closed(
    tmp_path: Path, jobs: list[Job]
) -> None:
    for job in jobs:
        job.go_on()
    run_ids = [job.says() for job in jobs]
    assert all(run_ids), [job.process.communicate()[1] for job in jobs]

    killed, alive, *others = jobs
    assert [job.end() for job in others] == [""] * len(others), "MLflow's chatter must stay inside"
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()

    client = open_tracker(tmp_path)._client
    orphan = client.get_run(run_ids[0])
    assert orphan.info.status == "KILLED"
    assert orphan.info.end_time is not None
    assert "ended without closing the run" in orphan.data.tags["job.closed_because"]
    assert orphan.data.metrics == {"value": 1.0}
    assert client.get_run(run_ids[1]).info.status == "RUNNING"

    alive.end()
    statuses = {client.get_run(run_id).info.status for run_id in run_ids[1:]}
    assert statuses == {"FINISHED"}
    names = {experiment.name for experiment in client.search_experiments()}
    assert names == {"Default", "race"}


def test_a_job_killed_while_it_sets_the_store_up_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TEMPLATE)  # who comes after must clear up too, in its own way
    job = Job(tmp_path, "first")
    assert job.says() == "ready"
    unfinished = tmp_path / "mlruns" / ".mlflow.db.unfinished"
    job.go_on()
    deadline_s = time.monotonic() + DEADLINE_S
    while not (unfinished.exists() and unfinished.stat().st_size > 0):
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    job.process.kill()
    job.process.communicate()
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    with open_tracker(tmp_path, patience_s=1.0).start("again", "one", params={}) as run:
        run.metrics({"value": 1.0}, step=0)
    assert not unfinished.exists()


def test_a_lock_held_for_a_while_delays_a_run_and_loses_nothing(project: Path) -> None:
    tracker = open_tracker(project)
    database = project / "mlruns" / "mlflow.db"
    with (
        tracker.start("locked", "one", params={}) as run,
        closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as holder,
    ):
        holder.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(1.0, lambda: holder.execute("ROLLBACK"))
        release.start()
        run.metrics({"value": 1.0}, step=0)
        release.join()
    assert tracker._client.get_run(run.id).data.metrics == {"value": 1.0}


def test_a_damaged_store_is_refused_before_mlflow_retries_it(project: Path, tmp_path: Path) -> None:
    sound = (project / "mlruns" / "mlflow.db").read_bytes()
    damaged = tmp_path / "mlruns" / "mlflow.db"
    damaged.parent.mkdir()
    damaged.write_bytes(bytes(4096) + sound[4096:])
    with pytest.raises(IntegrityError, match=r"mlflow\.db is damaged"):
        open_tracker(tmp_path)
    assert damaged.read_bytes() == bytes(4096) + sound[4096:]


def test_a_full_disk_and_a_read_only_one_are_named_and_lose_nothing(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare is missing: it comes with the package util-linux")
    # A disk of its own, in a name space of its own: no privileges are needed, nothing is left.
    own_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=8m tmpfs "$1"'
    both = f'{mount} && "$2" -c "$3" "$1" && mount -o remount,ro "$1" && "$2" -c "$4" "$1"'
    place = str(tmp_path)
    allowed = subprocess.run([*own_disk, mount, "sh", place], capture_output=True, text=True)
    if allowed.returncode != 0:
        pytest.skip(f"a private disk is not allowed on this machine: {allowed.stderr.strip()}")
    jobs = subprocess.run(
        [*own_disk, both, "sh", place, sys.executable, FULL_DISK, READ_ONLY_DISK],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (jobs.returncode, jobs.stdout) == (0, "refused\n"), jobs.stderr


def test_asking_for_the_tracker_does_not_import_mlflow() -> None:
    script = "import sys, ppo_marketing.tracking; print('mlflow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "False\n", answer.stderr
