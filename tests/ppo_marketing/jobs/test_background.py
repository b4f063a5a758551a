"""Background jobs: real processes, watched through their files alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ppo_marketing.errors import AlreadyRunning, UserError
from ppo_marketing.jobs import background
from ppo_marketing.jobs.background import Job, Order
from ppo_marketing.jobs.folder import write_json
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.progress_file import FileReporter, begin_again, read_progress
from ppo_marketing.tracking.values import process_tags
from tests.support.app_project import DECISION, RUN, app_project
from tests.support.forked_jobs import Forked

__all__ = ["app_project"]


def _watched(project: Path, job: Job, until: Callable[[Job], bool]) -> Job:
    """The job as soon as it is so; a job that never is runs into the test's own time limit."""
    while not until(job):
        time.sleep(0.1)
        job = background.job_named(project, job.id)
    return job


def _ended(job: Job) -> bool:
    return job.state != "running"


def test_a_training_is_stopped_after_saving_and_resumed_from_there(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppo_marketing.jobs.background.subprocess.Popen", Forked)
    calibration = runs_folder(app_project) / RUN / "calibration"
    # Setting a fresh tracker up takes seconds, and is tested elsewhere.
    (tmp_path / "mlruns").mkdir()
    shutil.copy(app_project / "mlruns" / "mlflow.db", tmp_path / "mlruns")
    job = background.start(
        tmp_path,
        title="Training",
        decision=DECISION,
        command="train",
        positional=(DECISION, "--calibration", str(calibration)),
        config={
            "training": {"total_steps": 50_000_000, "copies": 32, "episodes": 16},
            "accept_failed_fidelity": "a short log, for tests",
        },
        output=runs_folder(tmp_path) / "own",
    )
    with pytest.raises(AlreadyRunning, match="Training is writing to own"):
        background.start(
            tmp_path, title="Another", decision=DECISION, command="run", config={},
            output=runs_folder(tmp_path) / "own",
        )  # fmt: skip
    job = _watched(tmp_path, job, lambda now: bool((now.seen.curves or {}).get("mean_return")))
    background.stop(job)
    job = _watched(tmp_path, job, _ended)
    assert (job.state, job.exit_code) == ("stopped", 143)
    assert (job.order.output / "checkpoint.pt").is_file()
    reached = job.seen.done

    job = background.resume(tmp_path, job)
    job = _watched(tmp_path, job, lambda now: now.seen.total > 1 and now.seen.done > 0)
    assert job.seen.done > reached
    steps = [step for step, _ in (job.seen.curves or {})["entropy"]]
    assert steps == sorted(set(steps))
    assert steps[0] < reached < steps[-1]
    os.kill(int(json.loads((job.folder / "process.json").read_text())["job.pid"]), signal.SIGKILL)
    assert _watched(tmp_path, job, _ended).state == "stopped"


def test_a_job_that_cannot_begin_says_why(tmp_path: Path) -> None:
    job = background.start(
        tmp_path, title="Fitting", decision=DECISION, command="calibrate",
        positional=(DECISION,), config={"log": {"days": -3}}, output=tmp_path / "out",
    )  # fmt: skip
    job = _watched(tmp_path, job, _ended)
    assert (job.state, job.exit_code) == ("failed", 3)
    assert "log.days" in job.said
    with pytest.raises(UserError, match="nothing to stop"):
        background.stop(job)


def _laid_down(project: Path, ended: int | None, pid: int | None) -> Path:
    folder = background.jobs_folder(project) / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    order = Order(
        title="Fitting", decision=DECISION, arguments=("run", "x"), output=project / "out",
        started="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_json(folder / "job.json", {**vars(order), "output": str(order.output)})
    if pid is not None:
        write_json(folder / "process.json", process_tags(pid))
    if ended is not None:
        write_json(folder / "ended.json", {"exit_code": ended})
    return folder


@pytest.mark.parametrize(
    ("exit_code", "state"), [(0, "finished"), (3, "failed"), (75, "failed"), (143, "stopped")]
)
def test_a_job_is_as_its_exit_code_says(tmp_path: Path, exit_code: int, state: str) -> None:
    _laid_down(tmp_path, exit_code, None)
    (job,) = background.jobs_of(tmp_path)
    assert (job.state, job.exit_code) == (state, exit_code)


def test_a_process_that_has_another_jobs_number_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = _laid_down(tmp_path, None, os.getpid())
    assert background.jobs_of(tmp_path)[0].state == "running"
    tags = process_tags() | {"job.process_started": "1.00"}
    write_json(folder / "process.json", tags)
    assert background.jobs_of(tmp_path)[0].state == "stopped"


def test_a_stack_trace_stays_in_the_jobs_log(tmp_path: Path) -> None:
    folder = _laid_down(tmp_path, 1, None)
    (folder / "log.txt").write_text("Traceback (most recent call last):\n  File /secret\nKeyError")
    assert background.jobs_of(tmp_path)[0].said == "it ended unexpectedly; its log has the details"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".hidden", "x" * 61, "a\nb", "x."])
def test_a_runs_name_is_one_plain_folder(name: str) -> None:
    with pytest.raises(UserError, match="cannot be a run's name"):
        background.require_name(name)


def test_progress_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    assert read_progress(path).stage == ""
    reporter = FileReporter(path)
    with reporter.stage("reading"):
        pass
    with reporter.stage("training", 10) as stage:
        stage.reach(5, "fast", {"score": 0.5, "unknown": float("nan")})
        with path.open("a") as file:
            file.write('{"done": 7, "no')  # a line that is being written
        seen = read_progress(path)
    assert (seen.stage, seen.share, seen.note) == ("training", 0.5, "fast")
    assert seen.curves == {"score": ((5, 0.5),)}
    assert dict(seen.stages)["training"] is None


def test_a_resumed_job_goes_on_from_what_was_saved_not_from_what_was_reported(
    tmp_path: Path,
) -> None:
    path = tmp_path / "progress.jsonl"
    reporter = FileReporter(path)
    with reporter.stage("training", 10) as stage:
        for done in (1, 2, 3):
            stage.reach(done, numbers={"score": done / 10})
    begin_again(path)
    assert read_progress(path).stages == ()
    with reporter.stage("training", 10) as stage:
        stage.reach(2, numbers={"score": 0.7})
    assert (read_progress(path).curves or {})["score"] == ((1, 0.1), (2, 0.7))
