"""`allocate` and the page share one budget over several runs, with the same numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from app import words
from ppo_marketing.cli import app
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.kept_runs import runs_folder
from tests.support.app_project import RUN

Open = Callable[[str], AppTest]


@pytest.fixture(scope="module")
def two_runs(app_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the run lies twice."""
    project = tmp_path_factory.mktemp("two")
    for name in (RUN, "other"):
        here = runs_folder(project) / name
        shutil.copytree(runs_folder(app_project) / RUN, here)
        evidence = here / "evidence.json"
        evidence.write_text(evidence.read_text().replace(str(app_project), str(project)))
    return project


def allocated(*given: object) -> Any:
    return CliRunner().invoke(app, ["allocate", *map(str, given)])


@pytest.fixture(scope="module")
def found(two_runs: Path) -> dict[str, Any]:
    runs = [runs_folder(two_runs) / name for name in (RUN, "other")]
    done = allocated(*runs, "-t", "other: least=0.5, most=2", "-t", f"{RUN}: locked", "--json")
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_locked_run_keeps_its_money_and_the_rest_goes_to_the_other(found: dict[str, Any]) -> None:
    locked, free = found["shares"]
    assert (locked["name"], free["name"]) == (RUN, "other")
    assert locked["spend"] == locked["now"]
    assert free["spend"] + locked["spend"] + found["left"] == pytest.approx(found["total"])
    assert found["gain"] >= -1e-9
    assert "the same log" in found["doubts"][0], "one campaign counted twice is said"


def test_the_page_shows_what_the_command_says(
    two_runs: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open, found: dict[str, Any]
) -> None:
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(two_runs))
    page = open_page("overview")
    page.query_params["campaign"] = [RUN, "other"]
    page = page.switch_page("pages_/what_if.py").run()
    page.session_state["what_if_view"] = "Money"
    page.run()
    assert not page.exception
    assert page.query_params["campaign"] == [RUN, "other"]
    assert any("the same log" in warning.value for warning in page.warning)
    next(button for button in page.button if button.label == "Share it out").click()
    page.run()
    assert not page.error
    shares = next(table.value for table in page.table if "value then" in table.value.columns)
    now = words.money(found["shares"][0]["now"], found["currency"])
    assert list(shares["now"]) == [now, now]


def test_what_cannot_share_a_budget_is_refused(two_runs: Path) -> None:
    run = runs_folder(two_runs) / RUN
    for given, said in (
        ((run, run), "named twice"),
        ((run, "-t", "elsewhere: locked"), "none of the runs"),
        ((run, "--total", "-1"), "total is -1"),
    ):
        refused = allocated(*given)
        assert isinstance(refused.exception, UserError), refused.output
        assert said in str(refused.exception)


def test_one_run_alone_asks_for_another(shown_project: Path, open_page: Open) -> None:
    page = open_page("what_if")
    page.session_state["what_if_view"] = "Money"
    page.session_state["what_if_campaigns"] = "several runs"
    page.run()
    assert not page.exception
    assert any("choose two runs or more" in error.value for error in page.error)
