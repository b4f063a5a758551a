"""`experiment design`, `assign` and `read` as they are typed: exit codes, JSON, text."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command import run_command


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_command("experiment", *arguments)


def found(finished: subprocess.CompletedProcess[str]) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_help_names_the_three_steps() -> None:
    finished = call("--help")
    assert finished.returncode == 0
    for word in ("design", "assign", "read"):
        assert word in finished.stdout


def test_a_design_is_printed_for_people_and_for_programs() -> None:
    arguments = ("design", "--base-rate", "0.1", "--lift", "0.2", "--units-a-week", "2000")
    text = call(*arguments)
    assert "7,682: 3,841 champion, 3,841 challenger" in text.stdout
    assert "duration   4 weeks" in text.stdout
    values = found(call(*arguments, "--json"))
    assert (values["units"], values["weeks"], values["effect"]) == (7682, 4, pytest.approx(0.02))


def test_a_test_is_dealt_and_read_out_from_files_alone(tmp_path: Path) -> None:
    units, dealt, results = (tmp_path / name for name in ("units.csv", "dealt.csv", "results.csv"))
    units.write_text("unit_id\n" + "\n".join(f"c{i}" for i in range(4000)) + "\n")
    counts = found(call("assign", units, "--salt", "spring", "-o", dealt, "--json"))
    assert counts["units"] == sum(counts["arms"].values()) == 4000
    rng = np.random.default_rng(0)
    lines = []
    for line in dealt.read_text().splitlines()[1:]:
        unit, arm = (cell.strip('"') for cell in line.split(","))
        lines.append(f"{unit},{arm},{int(rng.random() < (0.2 if arm == 'challenger' else 0.1))}")
    results.write_text("unit_id,arm,outcome\n" + "\n".join(lines) + "\n")
    values = found(call("read", results, "--json"))
    assert values["finding"] == "better"
    assert values["method"] == "Newcombe"
    assert values["difference"] == pytest.approx(0.1, abs=0.04)
    text = call("read", results).stdout
    assert "the challenger is better" in text
    assert "(95 % interval, Newcombe)" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("design", "--effect", "1"), "give --base-rate"),
        (("design", "--base-rate", "0.1", "--sd", "2", "--effect", "1"), "give --base-rate"),
        (("design", "--sd", "2", "--lift", "0.1"), "give --base-mean"),
        (("design", "--base-rate", "10", "--lift", "0.1"), "2 % is .02"),
        (("design", "--base-rate", "0.1", "--lift", "0.1", "--effect", "1"), "give one of them"),
        (("design", "--base-rate", "0.1", "--base-mean", "1", "--effect", "1"), "belongs to --sd"),
        (("design", "--base-rate", "0.1"), "give the effect that matters"),
        (("assign", "absent.csv", "--salt", "s", "-o", "x.csv"), "no such file"),
        (("assign", "absent.csv", "--salt", "s", "-o", "x.csv", "--share", "1"), "--share is 1"),
        (("read", "absent.csv"), "no such file"),
        (("read", "absent.csv", "--level", "95"), "--level is 95"),
    ],
)
def test_what_cannot_be_done_exits_with_3_and_says_what_to_do(
    arguments: tuple[str, ...], message: str
) -> None:
    finished = call(*arguments)
    assert finished.returncode == 3
    assert message in finished.stderr


def test_uneven_arms_exit_with_3(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    rows = [f"{i},{'champion' if i < 900 else 'challenger'},0" for i in range(2000)]
    path.write_text("unit_id,arm,outcome\n" + "\n".join(rows) + "\n")
    finished = call("read", path)
    assert finished.returncode == 3
    assert "900 and 1,100 units" in finished.stderr
    assert found(call("read", path, "--share", "0.55", "--json"))["finding"] == "open"


def test_wrong_usage_exits_with_2() -> None:
    assert call("assign").returncode == 2
    assert call("nonsense").returncode == 2
