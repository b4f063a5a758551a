"""docs/experiments.md: its commands print what it says they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ppo_marketing.config import PROJECT
from ppo_marketing.experiment.design import Plan, design_effect, units_for
from ppo_marketing.experiment.outcomes import Mean
from tests.support.command import run_command

PAGE = (PROJECT / "docs" / "experiments.md").read_text(encoding="utf-8")


def test_the_worked_example_comes_out_as_printed(tmp_path: Path) -> None:
    units = "\n".join(f"c{number:05d}" for number in range(1, 8801))
    (tmp_path / "units.csv").write_text(f"unit_id\n{units}\n", encoding="utf-8")
    blocks = re.findall(r"```(console|python)\n(.*?)```", PAGE, re.DOTALL)
    assert [kind for kind, _ in blocks].count("console") == 5
    for kind, text in blocks:
        if kind == "python":
            subprocess.run(
                [sys.executable, "-c", text],
                check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )  # fmt: skip
            continue
        command, _, printed = text.partition("\n")
        program, *arguments = shlex.split(command.removeprefix("$ "))
        assert program == "ppo-marketing"
        finished = run_command(*arguments, folder=tmp_path)
        assert (finished.returncode, finished.stdout) == (0, printed), finished.stderr


def test_what_the_page_says_of_unequal_arms_and_clusters_is_so() -> None:
    even, uneven = (units_for(Plan(outcome=Mean(1.0), share=s), 0.1) for s in (0.5, 0.1))
    assert uneven / even == pytest.approx(2.8, abs=0.05)
    assert design_effect(20, 0.05) == pytest.approx(1.95)
