"""A retraining that is killed, starved or lied to leaves the champion; the next one goes on."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ppo_marketing.audit_trail import read_trail
from ppo_marketing.errors import AlreadyRunning, IntegrityError, PpoMarketingError, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.jobs import concluding, releasing
from ppo_marketing.jobs.release_book import Desk
from ppo_marketing.jobs.releasing import approve
from ppo_marketing.jobs.retraining import retrain
from ppo_marketing.jobs.retraining_job import Retrained
from ppo_marketing.jobs.retraining_record import Record
from ppo_marketing.retraining.decisions import Outcome
from ppo_marketing.tracking import open_tracker
from ppo_marketing.tracking.registry import CHAMPION
from tests.support.command import PROCESSES
from tests.support.retraining import (
    LATER,
    TRAINING,
    alerts,
    champion_number,
    job_of,
    onward,
    project_in,
    supported,
)
from tests.support.tiny_decision import NAME

DEADLINE_S = 120.0
ONE_SEED = {"seeds": 1}
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def _supported() -> Iterator[None]:
    with supported():
        yield


@pytest.fixture(scope="module")
def whole(champion_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """The retraining that nobody disturbs: what the others must come to as well."""
    file = onward(
        champion_project, tmp_path_factory.mktemp("whole") / "project", retraining=ONE_SEED
    )
    return retrain(job_of(file, LATER))


def policy_of(done: Retrained) -> bytes:
    return (done.folder / "policy" / "policy.json").read_bytes()


STAGES = ("examined", "champion", "calibrated", "seed 0", "chosen", "judged", "end")


def _killed_before_the_line_of(file: Path, stage: str) -> None:
    finish = Record.finish

    def killed(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def killing(record: Record, name: str, **said: Any) -> dict[str, Any]:
        if name == stage:
            killed()
        return finish(record, name, **said)

    with supported(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "finish", killing)
        if stage == "end":
            patch.setattr(Record, "end", killed)
        retrain(job_of(file, LATER))


@pytest.mark.parametrize("stage", STAGES)
def test_a_retraining_killed_before_the_line_of_any_stage_goes_on_to_the_same_policy(
    champion_project: Path, whole: Retrained, tmp_path: Path, stage: str
) -> None:
    file = onward(champion_project, tmp_path / "project", retraining=ONE_SEED)
    job = PROCESSES.Process(target=_killed_before_the_line_of, args=(file, stage))
    job.start()
    job.join()
    assert job.exitcode == -signal.SIGKILL
    assert champion_number(file.parent) == (2 if stage == "end" else 1)

    done = retrain(job_of(file, LATER))
    assert done.outcome is Outcome.PROMOTED
    assert done.key == whole.key
    assert policy_of(done) == policy_of(whole)
    assert champion_number(file.parent) == 2
    actions = [str(line.action) for line in read_trail(Desk(file.parent, "deploy", LATER).trail)]
    assert actions == ["promote", "promote"], "released once"


def _stopping_at_its_first_checkpoint(file: Path, saved: Any, never: Any) -> None:
    from ppo_marketing.ppo import train
    from ppo_marketing.ppo.checkpoint import save_checkpoint

    def saving(*arguments: Any) -> None:
        save_checkpoint(*arguments)
        saved.set()
        never.wait()

    with supported(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "save_checkpoint", saving)
        retrain(job_of(file, LATER))


def test_kill_9_in_training_holds_no_lock_leaves_no_orphan_and_is_resumed_exactly(
    champion_project: Path, whole: Retrained, tmp_path: Path
) -> None:
    """How often it is saved is no part of what is learned: the policy is the undisturbed one's."""
    sections = {"run": {"training": {**TRAINING, "checkpoint_every": 1}}, "retraining": ONE_SEED}
    file = onward(champion_project, tmp_path / "project", **sections)
    saved, never = PROCESSES.Event(), PROCESSES.Event()
    first = PROCESSES.Process(target=_stopping_at_its_first_checkpoint, args=(file, saved, never))
    first.start()
    assert saved.wait(DEADLINE_S)
    with pytest.raises(AlreadyRunning) as second:
        retrain(job_of(file, LATER))
    assert second.value.exit_code == 75
    first.kill()
    first.join()
    assert first.exitcode == -signal.SIGKILL
    assert list(file.parent.rglob("checkpoint.pt"))
    assert champion_number(file.parent) == 1

    done = retrain(job_of(file, LATER))
    assert done.outcome is Outcome.PROMOTED
    assert policy_of(done) == policy_of(whole)
    client = open_tracker(file.parent)._client
    found = client.search_runs([client.get_experiment_by_name(NAME).experiment_id])
    statuses = [run.info.status for run in found]
    assert statuses.count("KILLED") == 2, "the killed job's run and its seed's"
    assert "RUNNING" not in statuses


JOB = """
import sys
from pathlib import Path
from ppo_marketing.jobs.retraining import retrain
from tests.support.retraining import LATER, job_of, supported

with supported():
    try:
        retrain(job_of(Path(sys.argv[1]), LATER))
    except Exception as error:
        print(error, file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))
"""


def test_a_read_only_registry_is_named_and_nothing_is_released(
    champion_project: Path, tmp_path: Path
) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare is missing: it comes with the package util-linux")
    file = onward(champion_project, tmp_path / "project", retraining=ONE_SEED)
    store = str(file.parent / "mlruns")
    own = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    allowed = subprocess.run([*own, mount, store], capture_output=True, text=True)
    if allowed.returncode != 0:
        pytest.skip(f"a private mount is not allowed on this machine: {allowed.stderr.strip()}")
    job = subprocess.run(
        [*own, f'{mount} && exec "$@"', store, sys.executable, "-c", JOB, str(file)],
        capture_output=True, text=True, timeout=DEADLINE_S, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert job.returncode == 3, job.stderr
    assert "mlflow.db cannot be written" in job.stderr
    assert champion_number(file.parent) == 1
    assert alerts(file.parent) == ["failed"]


def test_a_full_disk_keeps_the_champion_and_the_same_command_goes_on(
    champion_project: Path, whole: Retrained, tmp_path: Path
) -> None:
    file = onward(champion_project, tmp_path / "project", retraining=ONE_SEED)
    size = (file.parent / "mlruns" / "mlflow.db").stat().st_size
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        with pytest.raises(PpoMarketingError, match="disk is full or failing") as refused:
            retrain(job_of(file, LATER))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert refused.value.exit_code == 1
    assert champion_number(file.parent) == 1
    assert alerts(file.parent) == ["failed"]
    assert policy_of(retrain(job_of(file, LATER))) == policy_of(whole)


def test_a_locked_database_is_another_job_and_nothing_is_lost(
    champion_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = onward(champion_project, tmp_path / "project", retraining=ONE_SEED)
    monkeypatch.setattr(open_tracker, "__kwdefaults__", {"patience_s": 0.1})
    database = file.parent / "mlruns" / "mlflow.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AlreadyRunning, match="stayed locked"):
            retrain(job_of(file, LATER))
    assert champion_number(file.parent) == 1
    assert alerts(file.parent) == []


def _damage_the_champion(folder: Path) -> None:
    [path] = folder.glob("data/retraining/*/runs/*/policy/policy.safetensors")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _delete_the_alias(folder: Path) -> None:
    registry = open_tracker(folder).registry
    registry._client.delete_registered_model_alias(f"ppo-marketing-{NAME}", CHAMPION)


def _cut_the_log(folder: Path) -> None:
    path = folder / "log.parquet"
    path.write_bytes(path.read_bytes()[:-1000])


def _cut_the_memory_of_the_last_log(folder: Path) -> None:
    [path] = folder.glob("data/retraining/*/runs/*/log-profile.npz")
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("harm", "kind", "said"),
    [
        (_damage_the_champion, IntegrityError, "policy.safetensors is not the file"),
        (_delete_the_alias, IntegrityError, "names nothing.*--restore"),
        (_cut_the_log, UserError, r"log\.parquet"),
        (_cut_the_memory_of_the_last_log, IntegrityError, "Delete .*latest"),
    ],
)
def test_what_is_damaged_is_named_told_and_releases_nothing(
    champion_project: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    kind: type[UserError],
    said: str,
) -> None:
    file = onward(champion_project, tmp_path / "project", retraining=ONE_SEED)
    project_in(file.parent, retraining={**ONE_SEED, "champion": "."})
    harm(file.parent)
    with pytest.raises(kind, match=said) as refused:
        retrain(job_of(file, LATER))
    assert refused.value.exit_code == kind.exit_code
    assert alerts(file.parent) == ["failed"]
    trail = read_trail(Desk(file.parent, "deploy", LATER).trail)
    assert [str(line.action) for line in trail] == ["promote"]


def test_of_two_promotions_at_once_the_second_ends_and_trains_nothing_again(
    champion_project: Path, whole: Retrained, tmp_path: Path
) -> None:
    file = onward(champion_project, tmp_path / "project", retraining=ONE_SEED)
    job = job_of(file, LATER)

    def promote(*arguments: Any, **named: Any) -> Any:
        with held_alone(job.desk.trail.parent):
            return releasing.promote(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concluding, "promote", promote)
        with pytest.raises(AlreadyRunning) as refused:
            retrain(job)
    assert refused.value.exit_code == 75
    assert champion_number(file.parent) == 1
    began = time.time()
    done = retrain(job)
    assert done.outcome is Outcome.PROMOTED
    assert (done.folder / "evidence.json").stat().st_mtime < began, "judged before"
    assert policy_of(done) == policy_of(whole)


def test_an_approval_that_is_too_old_leaves_the_challenger_waiting(
    champion_project: Path, tmp_path: Path
) -> None:
    sections = {
        "run": {"release": {"four_eyes": True}},
        "data": {"most_hours_old": None},
        "retraining": ONE_SEED,
    }
    file = onward(champion_project, tmp_path / "project", **sections)
    done = retrain(job_of(file, LATER))
    approve(done.folder, Desk(file.parent, "grace", LATER), approver="Grace")
    late = retrain(job_of(file, LATER + timedelta(days=8)))
    assert late.outcome is Outcome.WAITING
    assert champion_number(file.parent) == 1
    assert retrain(job_of(file, LATER + timedelta(days=6))).outcome is Outcome.PROMOTED
