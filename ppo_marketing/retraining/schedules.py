"""Four ways to call the same command at the same time: systemd, cron, Kubernetes and Airflow.

The command is idempotent and locked, so a schedule that fires twice does no harm.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from ppo_marketing.errors import UserError

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST_HOURS = 12
"""A job that runs longer hangs; it resumes where it was ended."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What is called when: `command` and its arguments, at `time` (UTC, HH:MM), daily or weekly.

    `name` is that of the project, `image` the container that Kubernetes starts.

    Raises UserError that lists what cannot be.
    """

    name: str
    project: Path
    command: tuple[str, ...]
    time: str = "03:00"
    weekday: str | None = None
    image: str = "registry.example/ppo-marketing:latest"

    def __post_init__(self) -> None:
        problems = []
        if not _TIME.fullmatch(self.time):
            problems.append(f"--time is {self.time!r}: write HH:MM, UTC")
        if self.weekday not in (None, *WEEKDAYS):
            problems.append(f"--weekday is {self.weekday!r}: choose one of {', '.join(WEEKDAYS)}")
        if any(character in str(self.project) for character in "\n%"):
            problems.append(f"{self.project}: a line break or % in a path cannot be scheduled")
        if problems:
            raise UserError("this cannot be scheduled:\n  " + "\n  ".join(problems))

    @property
    def unit(self) -> str:
        """What the schedule is called: lower case, digits and dashes, as Kubernetes asks."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"retrain-{plain}"[:52].rstrip("-")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The whole command line."""
        return (*self.command, "retrain", str(self.project))

    @property
    def cron_fields(self) -> str:
        """Minute, hour, day, month and weekday, as cron writes them; Sunday is 0."""
        hour, minute = self.time.split(":")
        day = "*" if self.weekday is None else str((WEEKDAYS.index(self.weekday) + 1) % 7)
        return f"{int(minute)} {int(hour)} * * {day}"


def files(schedule: Schedule) -> dict[str, str]:
    """Every file of a schedule, by name."""
    return {
        f"{schedule.unit}.service": systemd_service(schedule),
        f"{schedule.unit}.timer": systemd_timer(schedule),
        f"{schedule.unit}-heartbeat.service": systemd_heartbeat_service(schedule),
        f"{schedule.unit}-heartbeat.timer": systemd_heartbeat_timer(schedule),
        f"{schedule.unit}.cron": cron(schedule),
        f"{schedule.unit}.cronjob.yaml": kubernetes(schedule),
        f"{schedule.unit.replace('-', '_')}_dag.py": airflow(schedule),
    }


def systemd_service(schedule: Schedule) -> str:
    """The service: one run, which waiting for another (75) and keeping the champion (4) are."""
    return _service("Retrain", schedule, schedule.arguments, f"SuccessExitStatus=4 75\n{_LIMITS}")


def systemd_timer(schedule: Schedule) -> str:
    """The timer: a run that was missed while the machine was off is made up for."""
    day = "" if schedule.weekday is None else f"{schedule.weekday} "
    return _timer(schedule, "Retrain", f"{day}*-*-* {schedule.time}:00 UTC")


def systemd_heartbeat_service(schedule: Schedule) -> str:
    """The service that looks whether a retraining ended well lately."""
    arguments = (*schedule.arguments, "--check-heartbeat")
    return _service("Check the heartbeat of", schedule, arguments, "")


def systemd_heartbeat_timer(schedule: Schedule) -> str:
    """Every hour, by a timer of its own: the one that fails must not be the one that tells."""
    return _timer(schedule, "Check the heartbeat of", "hourly UTC")


_LIMITS = f"""\
TimeoutStartSec={LONGEST_HOURS}h
KillSignal=SIGTERM
TimeoutStopSec=5min
Nice=10
"""


def _service(what: str, schedule: Schedule, arguments: tuple[str, ...], limits: str) -> str:
    return f"""\
[Unit]
Description={what} {schedule.name}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
WorkingDirectory={schedule.project.parent}
ExecStart={" ".join(_systemd_quoted(argument) for argument in arguments)}
{limits}"""


def _timer(schedule: Schedule, what: str, calendar: str) -> str:
    return f"""\
[Unit]
Description={what} {schedule.name}

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec=5min

[Install]
WantedBy=timers.target
"""


def _systemd_quoted(argument: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:=@+-]+", argument):
        return argument
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'


def cron(schedule: Schedule) -> str:
    """Lines for `crontab -e`; what is printed goes to the mail that cron sends."""
    line = shlex.join(schedule.arguments)
    return f"""\
CRON_TZ=UTC
{schedule.cron_fields} {line}
17 * * * * {line} --check-heartbeat
"""


def kubernetes(schedule: Schedule) -> str:
    """A CronJob: one at a time, stopped by SIGTERM with time to save, its volume kept."""
    container = {
        "name": "retrain",
        "image": schedule.image,
        "command": list(schedule.arguments),
        "workingDir": str(schedule.project.parent),
        "resources": {
            "requests": {"cpu": "2", "memory": "4Gi"},
            "limits": {"memory": "8Gi"},
        },
        "volumeMounts": [{"name": "project", "mountPath": str(schedule.project.parent)}],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 300,
        "containers": [container],
        "volumes": [{"name": "project", "persistentVolumeClaim": {"claimName": schedule.unit}}],
    }
    # 4: the champion stays, 75: another job has the lock; to try again at once changes neither.
    codes = {"containerName": "retrain", "operator": "In", "values": [3, 4, 5, 6, 75]}
    job = {
        "backoffLimit": 2,
        "activeDeadlineSeconds": LONGEST_HOURS * 3600,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": codes}]},
        "template": {"spec": pod},
    }
    content = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": schedule.unit},
        "spec": {
            "schedule": schedule.cron_fields,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "jobTemplate": {"spec": job},
        },
    }
    return str(yaml.safe_dump(content, sort_keys=False))


def airflow(schedule: Schedule) -> str:
    """A DAG file: one task, one run at a time; code 4, the champion stays, is shown as skipped."""
    return f'''\
"""Retrain {schedule.name}: calls the same command as every other schedule."""

from datetime import datetime, timedelta, timezone

from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator

with DAG(
    dag_id={schedule.unit!r},
    schedule={schedule.cron_fields!r},
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
) as dag:
    BashOperator(
        task_id="retrain",
        bash_command={shlex.join(schedule.arguments) + " "!r},
        skip_on_exit_code=[4, 75],
        retries=1,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours={LONGEST_HOURS}),
    )
'''
