"""Somebody is told: by command, by webhook, of failure and of silence; and no secret is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import envs
from ppo_marketing.errors import AlreadyRunning, UserError
from ppo_marketing.files import made
from ppo_marketing.jobs.alerts import Silence, beat, check_heartbeat, tell, told
from ppo_marketing.retraining.project import Project, load_project
from tests.support.retraining import NOW


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PPO_MARKETING_PROJECT", raising=False)


def project_with(folder: Path, **alerts: Any) -> Project:
    import yaml

    run = {"decision": envs.decision_names()[0], "project": "."}
    (folder / "project.yaml").write_text(yaml.safe_dump({"run": run, "alerts": alerts}))
    return load_project(folder / "project.yaml")


def kept(project: Project) -> list[dict[str, Any]]:
    path = project.folder / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address on this machine, and what was posted to it; it refuses the first time."""
    posted: list[dict[str, Any]] = []
    answers = iter([500, 200, 200, 200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(next(answers))
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/secret-token", posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_command_gets_the_alert_as_json(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    project = project_with(tmp_path, command=["/bin/sh", "-c", f"cat > '{inbox}'"])
    tell(project, "failed", "exit code 3: no log")
    alert = json.loads(inbox.read_text())
    assert (alert["project"], alert["kind"]) == (project.name, "failed")
    assert alert["message"] == "exit code 3: no log"
    assert kept(project) == [{**alert, "failures": []}]


def test_a_webhook_is_tried_again(tmp_path: Path, hook: tuple[str, list[dict[str, Any]]]) -> None:
    address, posted = hook
    project = project_with(tmp_path, webhook=address)
    tell(project, "waiting", "four eyes")
    assert [alert["kind"] for alert in posted] == ["waiting", "waiting"]
    assert kept(project)[0]["failures"] == []


def test_an_alert_that_cannot_be_delivered_is_said_without_its_address_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_with(
        tmp_path, command=["/nowhere/at/all"], webhook="http://127.0.0.1:9/token", retries=0
    )
    tell(project, "failed", "something")
    said = capsys.readouterr().err + json.dumps(kept(project)) + repr(project)
    assert "/nowhere/at/all" in said
    assert "the webhook answered URLError" in said
    assert "127.0.0.1:9" not in said


def test_failures_are_told_and_a_busy_lock_is_none(tmp_path: Path) -> None:
    project = project_with(tmp_path)
    with pytest.raises(UserError), told(project):
        raise UserError("no such column")
    with pytest.raises(AlreadyRunning), told(project):
        raise AlreadyRunning("another job")
    with pytest.raises(ZeroDivisionError), told(project):
        raise ZeroDivisionError("a bug")
    assert [alert["message"] for alert in kept(project)] == [
        "exit code 3: no such column",
        "exit code 1: a bug",
    ]


def test_silence_is_told(tmp_path: Path) -> None:
    project = project_with(tmp_path, heartbeat_hours=26)
    with pytest.raises(Silence, match="has ever ended well") as silent:
        check_heartbeat(project, NOW)
    assert silent.value.exit_code == 1
    made(project.folder)
    beat(project, "kept", "k" * 64, NOW)
    assert check_heartbeat(project, NOW + timedelta(hours=26))["outcome"] == "kept"
    with pytest.raises(Silence, match=r"for 26\.1 hours; one is expected every 26"):
        check_heartbeat(project, NOW + timedelta(hours=26.1))
    assert [alert["kind"] for alert in kept(project)] == ["silent", "silent"]
