"""A new decision type is one new folder: nothing else changes, and everything works with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.fourth_decision import QUICK, ROOT, call, command, copied, variables


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application as it is, and one folder more."""
    folder = copied(tmp_path_factory.mktemp("application"), "envs", "ppo_marketing", "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_whole_line_runs_on_it_step_by_step(copy: Path) -> None:
    log, out = copy / "log.parquet", copy / "out"
    calibration, policy = out / "calibration", out / "policy"
    for step in (
        ("generate", "pricing", "-o", log, "--days", "12"),
        ("validate", "pricing", log),
        ("calibrate", "pricing", log, "-o", out),
        ("train", "pricing", "--calibration", calibration, "-o", out),
    ):
        finished = call(copy, *step)
        assert finished.returncode == 0, finished.stderr
    finished = call(
        copy, "evaluate", "pricing", "--calibration", calibration,
        "--policy", policy, "-o", out, "--json",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    rows = {row["name"]: row for row in json.loads(finished.stdout)["later"]["rows"]}
    # Two kinds of customer want two prices, which one price cannot give and the agent learns.
    assert rows["one price"]["policy_lift"]["low"] > 0
    assert rows["PPO"]["share_of_ceiling"]["value"] > 0.97


def test_the_demonstration_takes_it_and_bad_data_are_refused(copy: Path) -> None:
    finished = call(copy, "demo", "pricing")
    assert finished.returncode == 0, finished.stderr
    assert "margin per day, EUR" in finished.stdout
    (copy / "bad.csv").write_text("timestamp,regular,price,bought\n2024-01-01,1,-3,2\n")
    refused = call(copy, "validate", "pricing", copy / "bad.csv")
    assert refused.returncode == 3
    assert "price" in refused.stderr
    assert "bought" in refused.stderr


def test_the_contract_suite_holds_for_it(copy: Path) -> None:
    names = (
        "every_decision", "every_export", "every_card_in_words", "every_what_if", "layering",
    )  # fmt: skip
    suites = tuple(f"tests/contract/test_{name}.py" for name in names)
    finished = subprocess.run(
        command("pytest", *suites, "-k", "pricing", "-p", "no:cacheprovider"), cwd=copy,
        env=variables(copy, QUICK), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout
