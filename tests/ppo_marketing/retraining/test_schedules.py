"""Schedules that their own systems can read, and that all call the same command."""

from __future__ import annotations

import ast
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ppo_marketing.errors import UserError
from ppo_marketing.retraining.schedules import WEEKDAYS, Schedule, cron, files

PLAIN = Schedule(
    name="Spring_Sale",
    project=Path("/srv/spring sale/project.yaml"),
    command=("/bin/echo", "-m", "ppo_marketing"),
    time="03:45",
    weekday="Sun",
)
COMMAND = ["/bin/echo", "-m", "ppo_marketing", "retrain", "/srv/spring sale/project.yaml"]


def ending(suffix: str, schedule: Schedule = PLAIN) -> str:
    [text] = [text for name, text in files(schedule).items() if name.endswith(suffix)]
    return text


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: it comes with the package systemd")
    units = {n: t for n, t in files(PLAIN).items() if n.endswith((".service", ".timer"))}
    (tmp_path / "spring sale").mkdir()
    for name, text in units.items():
        (tmp_path / name).write_text(text.replace("/srv/spring sale", f"{tmp_path}/spring sale"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
    )
    ours = [line for line in checked.stderr.splitlines() if "retrain-spring-sale" in line]
    assert ours == []
    assert checked.returncode == 0, checked.stderr
    calendar = ending("sale.timer").partition("OnCalendar=")[2].splitlines()[0]
    read = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True)
    assert "Sun *-*-* 03:45:00 UTC" in read.stdout


def test_a_unit_calls_the_command_and_a_kept_champion_is_no_failure() -> None:
    service = ending("sale.service")
    assert 'ExecStart=/bin/echo -m ppo_marketing retrain "/srv/spring sale/project.yaml"' in service
    assert "SuccessExitStatus=4 75" in service
    assert "--check-heartbeat" in ending("heartbeat.service")
    assert "SuccessExitStatus" not in ending("heartbeat.service")


def test_cron_calls_the_same_command_at_the_same_time() -> None:
    zone, job, heartbeat = ending(".cron").splitlines()
    assert zone == "CRON_TZ=UTC"
    assert job.split()[:5] == ["45", "3", "*", "*", "0"], "Sunday is 0"
    assert shlex.split(job)[5:] == COMMAND
    assert shlex.split(heartbeat)[5:] == [*COMMAND, "--check-heartbeat"]
    days = [cron(replace(PLAIN, weekday=day)).splitlines()[1].split()[4] for day in WEEKDAYS]
    assert days == ["1", "2", "3", "4", "5", "6", "0"]


def test_kubernetes_starts_one_at_a_time_and_repeats_only_what_may_pass() -> None:
    job = yaml.safe_load(ending(".cronjob.yaml"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert spec["schedule"] == "45 3 * * 0"
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]
    [container] = pod["template"]["spec"]["containers"]
    assert container["command"] == COMMAND
    [rule] = pod["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [3, 4, 5, 6, 75]
    assert pod["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy asks for it"
    name = job["metadata"]["name"]
    assert name == "retrain-spring-sale"
    assert len(name) <= 52


def test_the_dag_compiles_and_calls_the_same_command() -> None:
    tree = ast.parse(ending("_dag.py"))
    compile(tree, "dag", "exec")
    values = {
        keyword.arg: ast.literal_eval(keyword.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg in ("bash_command", "schedule", "skip_on_exit_code", "max_active_runs")
    }
    assert shlex.split(values["bash_command"]) == COMMAND
    assert values["schedule"] == "45 3 * * 0"
    assert values["max_active_runs"] == 1
    assert values["skip_on_exit_code"] == [4, 75]
    # A command that ends in .sh or .bash is taken for a template without the space.
    assert values["bash_command"].endswith(" ")


def test_what_cannot_be_scheduled_is_refused_at_once() -> None:
    with pytest.raises(UserError, match=r"(?s)25:00.*Someday.*%"):
        replace(PLAIN, time="25:00", weekday="Someday", project=Path("/srv/100%/p.yaml"))
