"""`overview` and `jobs`: the command line says what the first page shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from app import words
from ppo_marketing.cli import app as command_line
from ppo_marketing.errors import UserError
from ppo_marketing.jobs import background
from ppo_marketing.jobs.background import Order
from ppo_marketing.jobs.folder import write_json
from tests.support.app_project import DECISION, RUN


def test_the_command_and_the_page_show_the_same_numbers(
    shown_project: Path, open_page: Callable[[str], AppTest]
) -> None:
    done = CliRunner().invoke(command_line, ["overview", DECISION, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["run"] == RUN
    shown = {card.label: card.value for card in open_page("overview").metric}
    currency = next(iter(shown.values())).split(" ", 1)[1]
    values = {row["kind"]: row["value"]["value"] for row in told["rows"]}
    named = {"Do nothing": "floor", "This policy": "policy", "Ceiling": "ceiling"}
    for label, kind in named.items():
        assert shown[label] == words.money(values[kind], currency)
    assert told["headline"].startswith(("This policy would earn", "What this policy would earn"))


def test_a_run_that_is_not_there_is_told(shown_project: Path) -> None:
    done = CliRunner().invoke(command_line, ["overview", DECISION, "--run", "smal"])
    assert isinstance(done.exception, UserError)
    assert f"did you mean {RUN}?" in str(done.exception)


def test_jobs_are_listed_and_one_that_ended_cannot_be_stopped(empty_project: Path) -> None:
    folder = background.jobs_folder(empty_project) / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    order = Order(
        title="Training one", decision=DECISION, arguments=("run", "x"),
        output=empty_project / "one", started="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_json(folder / "job.json", {**vars(order), "output": str(order.output)})
    write_json(folder / "ended.json", {"exit_code": 0})
    done = CliRunner().invoke(command_line, ["jobs", "--json"])
    (job,) = json.loads(done.stdout)["jobs"]
    assert (job["id"], job["state"], job["exit_code"]) == (folder.name, "finished", 0)
    done = CliRunner().invoke(command_line, ["jobs", "--stop", folder.name])
    assert "nothing to stop" in str(done.exception)
    with pytest.raises(UserError, match="there is no job"):
        background.job_named(empty_project, "none")
