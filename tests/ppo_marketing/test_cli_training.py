"""`train`: one job a folder, stopped and resumed to the bit, refused where the simulator fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envs.bidding.fit import BiddingCalibration
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.folder import forget_finished
from tests.support.bidding_line import COMMAND, QUICK, call, found, train_command
from tests.support.once import made_once, shared_folder

STEPS = 32_768
"""Long enough to be stopped before its end."""


def test_a_second_job_in_the_same_folder_exits_with_75(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    arguments, variables = train_command(whole_line[0] / "out" / "calibration", tmp_path, 2048)
    with held_alone(tmp_path / "out"):
        finished = call(*arguments, **variables)
    assert finished.returncode == 75
    assert "another job" in finished.stderr
    assert not list((tmp_path / "out").iterdir())
    assert found(call(*arguments, **variables))["steps"] >= 2048


def test_a_finished_demonstration_is_made_anew_and_an_unfinished_one_resumed(
    tmp_path: Path,
) -> None:
    for name in ("checkpoint.pt", "checkpoint.json"):
        (tmp_path / name).write_text("kept")
    forget_finished(tmp_path)
    assert (tmp_path / "checkpoint.pt").exists()
    (tmp_path / "evidence.json").write_text("{}")
    forget_finished(tmp_path)
    assert not list(tmp_path.iterdir())


def _spoil_fidelity(calibration: Path) -> None:
    """Turn one check of a saved report into a failure, as a miscalibrated log would."""
    kept = BiddingCalibration.load(calibration)
    first, *others = kept.fidelity.checks
    wrong = replace(kept.fidelity, checks=(replace(first, value=99.0), *others))
    for name in ("settings.json", "log.json"):
        shutil.copy(calibration / name, calibration.parent / name)
    replace(kept, fidelity=wrong).save(calibration)
    for name in ("settings.json", "log.json"):
        shutil.copy(calibration.parent / name, calibration / name)


def test_training_on_a_failed_simulator_is_refused_unless_accepted_by_name(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, _ = whole_line
    calibration = tmp_path / "calibration"
    shutil.copytree(folder / "out" / "calibration", calibration)
    _spoil_fidelity(calibration)
    arguments = (
        "train", "bidding", "--calibration", calibration, "--steps", "2048",
        "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    refused = call(*arguments, PPO_MARKETING_PROJECT=str(tmp_path))
    assert refused.returncode == 3
    assert "--accept-failed-fidelity" in refused.stderr
    assert not (tmp_path / "out").exists()
    accepted = call(
        *arguments, "--accept-failed-fidelity", "a test", PPO_MARKETING_PROJECT=str(tmp_path)
    )
    assert found(accepted)["steps"] >= 2048


@pytest.fixture(scope="session")
def never_stopped(whole_line: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a training that nobody stopped."""

    def train(folder: Path) -> None:
        arguments, variables = train_command(whole_line[0] / "out" / "calibration", folder, STEPS)
        found(call(*arguments, **variables))

    folder = made_once(shared_folder(tmp_path_factory) / "never-stopped", train)
    return (folder / "out" / "policy" / "policy.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_stopped_training_resumes_to_the_very_same_policy(
    whole_line: tuple[Path, Any],
    never_stopped: bytes,
    tmp_path: Path,
    sent: signal.Signals,
    code: int,
) -> None:
    arguments, variables = train_command(whole_line[0] / "out" / "calibration", tmp_path, STEPS)
    job = subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, **QUICK, **variables},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    checkpoint = tmp_path / "out" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline, "training never saved"
        time.sleep(0.02)
    job.send_signal(sent)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == code, errors.decode()
    assert not (tmp_path / "out" / "policy").exists()
    assert found(call(*arguments, **variables))["steps"] >= STEPS
    weights = (tmp_path / "out" / "policy" / "policy.safetensors").read_bytes()
    assert weights == never_stopped


def test_another_training_in_the_same_folder_is_refused_and_nothing_is_lost(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    calibration = whole_line[0] / "out" / "calibration"
    arguments, variables = train_command(calibration, tmp_path, 2048)
    found(call(*arguments, **variables))
    kept = (tmp_path / "out" / "checkpoint.pt").read_bytes()
    longer, _ = train_command(calibration, tmp_path, 4096)
    refused = call(*longer, **variables)
    assert refused.returncode == 3
    assert "differs in training" in refused.stderr
    assert (tmp_path / "out" / "checkpoint.pt").read_bytes() == kept
