"""Runs, releases and a restored copy on a real PostgreSQL server that the test starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gymnasium import spaces
from numpy.random import default_rng

from ppo_marketing.audit_trail import read_trail
from ppo_marketing.jobs.released import champion_of, verify
from ppo_marketing.jobs.releasing import promote, rollback
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import save_policy
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.tracking import has_store, open_tracker, ui_command
from tests.support.releasing import DECISION, desk_at, judged, log_policy

DEADLINE_S = 60


def _binaries() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [] if found is None else [Path(found).parent]
    return next((place for place in places if (place / "initdb").exists()), None)


class Server:
    """A server of its own, reached by a socket in its own folder: no port, no password."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder = binaries, folder
        # PostgreSQL refuses to run as root.
        self.owner = "postgres" if os.geteuid() == 0 else None
        if self.owner is not None:
            shutil.chown(folder, self.owner, self.owner)

    def call(self, program: str, *arguments: str, text: str | None = None) -> str:
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            capture_output=True, text=True, input=text, timeout=DEADLINE_S, cwd=self.folder,
            env={"LC_ALL": "C", "HOME": str(self.folder)}, user=self.owner,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> None:
        data = str(self.folder / "data")
        self.call("initdb", "-D", data, "-U", "mlflow", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        log = str(self.folder / "server.log")
        self.call("pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        self.call("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def psql(self, database: str, *arguments: str, text: str | None = None) -> str:
        place = ("-h", str(self.folder), "-U", "mlflow", "-d", database)
        return self.call("psql", *place, "-v", "ON_ERROR_STOP=1", *arguments, text=text)

    def uri(self, database: str) -> str:
        return f"postgresql+psycopg2://mlflow@/{database}?host={self.folder}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is missing: it comes with the package postgresql")
    pytest.importorskip("psycopg2", reason="psycopg2 is missing: pip install psycopg2-binary")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Server(binaries, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def policy(project: Path, seed: int) -> Path:
    observed, actions = spaces.Box(-5.0, 5.0, (3,)), spaces.Box(-1.0, 1.0, (1,))
    config = PPOConfig(start="random", hidden=(4,))
    folder = project / "policies" / str(seed)
    save_policy(Agent.create(observed, actions, config, default_rng(seed)), folder)
    log_policy(project, folder)
    return folder


def test_tracked_released_rolled_back_and_restored_from_a_dump(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.psql("postgres", "-c", "CREATE DATABASE mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri("mlflow"))
    project = tmp_path / "project"
    with open_tracker(project).start("other", "one", params={"seed": 1}) as run:
        run.metrics({"value": 1.5}, step=3)
    stored = open_tracker(project)._client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"value": 1.5})
    assert has_store(project)
    assert not (project / "mlruns" / "mlflow.db").exists()
    assert "postgresql+psycopg2://" in ui_command(project)

    for seed in (1, 2):
        folder = judged(tmp_path / f"run {seed}", policy(project, seed))
        promote(folder, desk_at(project, seed / 10), approver="Ada")
    done = rollback(DECISION, desk_at(project, 0.3), approver="Ada", reason="spend doubled")
    assert done.line.to_version == 1

    dump = server.call("pg_dump", "-h", str(server.folder), "-U", "mlflow", "mlflow")
    server.psql("postgres", "-c", "CREATE DATABASE restored")
    server.psql("restored", "-q", text=dump)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri("restored"))
    found = champion_of(DECISION, desk_at(project, 0.4))
    assert found.standing is not None
    assert found.standing.champion.to_version == 1
    assert verify(desk_at(project, 0.4)).lines == read_trail(desk_at(project).trail)
    registry = open_tracker(project).registry
    registry.require_untouched(registry.version(DECISION, 1))
