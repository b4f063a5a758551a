"""Trainings in real processes, killed and started again."""

from __future__ import annotations

import os
import resource
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from ppo_marketing.ppo.checkpoint import load_checkpoint
from tests.support import interruptible_training
from tests.support.command import PROCESSES


@pytest.fixture(scope="module")
def never_killed() -> str:
    return interruptible_training.run(checkpoint=None)


class Training:
    """The training of one folder, to be started as often as it takes."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = folder / "run.ckpt"
        self.output = folder / "digest.txt"

    def start(self) -> ForkServerProcess:
        arguments = (str(self.checkpoint), str(self.output))
        process = PROCESSES.Process(target=interruptible_training.main, args=arguments)
        process.start()
        return process

    def update(self) -> int:
        if not self.checkpoint.exists():
            return 0
        return int(load_checkpoint(self.checkpoint)["counters"]["update"])

    def digest_of_last_and_best(self) -> str:
        return self.output.read_text()


def wait_for(update: int, training: Training, process: ForkServerProcess) -> None:
    while training.update() < update:
        assert process.is_alive(), f"training ended early with {process.exitcode}"
        time.sleep(0.01)


@pytest.mark.parametrize("repetition", range(3))
def test_killed_at_random_moments_it_ends_bit_by_bit_as_if_never_killed(
    repetition: int, tmp_path: Path, never_killed: str
) -> None:
    rng = np.random.default_rng(repetition)
    training = Training(tmp_path)
    kills = 0
    for _ in range(3):
        process = training.start()
        wait_for(training.update() + int(rng.integers(1, 10)), training, process)
        time.sleep(float(rng.uniform(0.0, 0.02)))  # anywhere within an update or a write
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 3
    assert 3 <= training.update() < interruptible_training.UPDATES
    last = training.start()
    last.join()
    assert last.exitcode == 0
    assert training.digest_of_last_and_best() == never_killed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_exits_with_its_code(
    number: signal.Signals, code: int, tmp_path: Path, never_killed: str
) -> None:
    training = Training(tmp_path)
    process = training.start()
    wait_for(2, training, process)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == code
    assert not training.output.exists()
    assert 2 <= training.update() < interruptible_training.UPDATES
    again = training.start()
    again.join()
    assert again.exitcode == 0
    assert training.digest_of_last_and_best() == never_killed


def test_a_full_disk_stops_training_and_leaves_a_checkpoint_to_resume(
    tmp_path: Path, never_killed: str
) -> None:
    """Writes fail with the system's own error once a file passes the process's size limit."""
    training = Training(tmp_path)
    process = PROCESSES.Process(
        target=_limited_main, args=(str(training.checkpoint), str(training.output))
    )
    process.start()
    process.join()
    assert process.exitcode == 1
    assert 1 <= training.update() < interruptible_training.UPDATES
    assert [file.name for file in tmp_path.iterdir()] == ["run.ckpt"]
    again = training.start()
    again.join()
    assert training.digest_of_last_and_best() == never_killed


def _limited_main(checkpoint: str, output: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that write() fails instead of killing
    limit = 22_000  # bytes: the growing history makes the checkpoint pass it halfway
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    interruptible_training.main(checkpoint, output)
