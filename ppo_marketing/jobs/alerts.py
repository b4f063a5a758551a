"""Telling somebody: an alert by command and webhook, and a heartbeat that silence is seen by."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ppo_marketing.errors import AlreadyRunning, Interrupted, PpoMarketingError
from ppo_marketing.files import made, read_json
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.retraining.project import AlertsSection, Project

HEARTBEAT, ALERTS = "heartbeat.json", "alerts.jsonl"
COMMAND_S, WEBHOOK_S = 30.0, 10.0
"""A pager or a chat that does not answer must not hold the job."""


@dataclass(frozen=True)
class Alert:
    """What a person should look at: of which project and decision, what, when (UTC)."""

    project: str
    decision: str
    kind: str
    message: str
    time: str


class Silence(PpoMarketingError):
    """No retraining has ended well for too long."""


def tell(project: Project, kind: str, message: str) -> None:
    """Send an alert by every way that the project names, and keep it in alerts.jsonl.

    Never raises: what failed is said beside what is told.
    """
    alert = Alert(
        project=project.name,
        decision=project.config.decision,
        kind=kind,
        message=message,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    failures = _sent(project.alerts, json.dumps(asdict(alert)))
    try:
        with (made(project.folder) / ALERTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(alert), "failures": failures}) + "\n")
    except (OSError, PpoMarketingError) as error:
        failures.append(f"{ALERTS} cannot be written: {error}")
    for failure in failures:
        print(f"ppo-marketing: the alert was not delivered: {failure}", file=sys.stderr)


@contextmanager
def told(project: Project) -> Iterator[None]:
    """Send an alert of whatever ends the block badly; a lock and an interrupt are no failures."""
    try:
        yield
    except (AlreadyRunning, Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        code = error.exit_code if isinstance(error, PpoMarketingError) else 1
        tell(project, "failed", f"exit code {code}: {error}")
        raise


def beat(project: Project, outcome: str, key: str, now: datetime) -> None:
    """Leave a sign that a retraining ended as it should."""
    values = {"time": now.isoformat(timespec="seconds"), "outcome": outcome, "key": key}
    write_json(project.folder / HEARTBEAT, values)


def check_heartbeat(project: Project, now: datetime) -> dict[str, Any]:
    """The last sign, where it is young enough.

    Raises Silence where it is too old or there is none, after an alert of it.
    """
    path = project.folder / HEARTBEAT
    most = project.alerts.heartbeat_hours
    if not path.exists():
        said = f"no retraining of {project.name} has ever ended well: {path} is not there"
    else:
        values = read_json(path)
        hours = (now - datetime.fromisoformat(values["time"])).total_seconds() / 3600
        if hours <= most:
            return {**values, "hours": hours}
        said = (
            f"no retraining of {project.name} has ended well for {hours:,.1f} hours; one is "
            f"expected every {most:g}. Look at the timer and at {project.folder / ALERTS}"
        )
    tell(project, "silent", said)
    raise Silence(said)


def _sent(alerts: AlertsSection, text: str) -> list[str]:
    failures = []
    if alerts.command:
        failures += _tried(alerts.retries, lambda: _run(alerts.command, text))
    if alerts.webhook is not None:
        address = alerts.webhook.get_secret_value()
        failures += _tried(alerts.retries, lambda: _post(address, text))
    return failures


def _tried(retries: int, send: Callable[[], str | None]) -> list[str]:
    failure = send()
    for _ in range(retries):
        if failure is None:
            break
        failure = send()
    return [] if failure is None else [failure]


def _run(command: tuple[str, ...], text: str) -> str | None:
    try:
        done = subprocess.run(
            command, input=text, text=True, capture_output=True, timeout=COMMAND_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return None if done.returncode == 0 else f"{command[0]} ended with {done.returncode}"


def _post(address: str, text: str) -> str | None:
    request = urllib.request.Request(
        address, data=text.encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_S):
            return None
    except (OSError, ValueError) as error:
        # The address may hold a token: what went wrong is said by its kind.
        code = error.code if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        return f"the webhook answered {code}"
