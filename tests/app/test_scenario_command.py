"""`scenario`: what it lists, writes, keeps and refuses; its page stands alone."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from envs import load_decision
from ppo_marketing.cli import app
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.kept_runs import runs_folder
from ppo_marketing.report_what_if import csv_of, headline, what_if_page
from ppo_marketing.what_if.answers import Answer, asked
from ppo_marketing.what_if.saved import saved_scenarios
from ppo_marketing.what_if.scenarios import TODAY, Named
from tests.support.app_project import DECISION, RUN
from tests.support.fourth_decision.pricing import DECISION as PRICING
from tests.support.pricing_stage import stage, today


def scenario(*given: object) -> Any:
    return CliRunner().invoke(app, ["scenario", *map(str, given)])


@pytest.fixture
def run(app_project: Path) -> Path:
    return runs_folder(app_project) / RUN


def test_what_can_be_moved_is_listed_without_playing(run: Path) -> None:
    knobs = json.loads(scenario(run, "--knobs", "--json").stdout)
    assert knobs["budget"]["label"] == "Daily budget"
    assert knobs["bid_cap"]["high"] == 1.0
    assert "Competition for the best" in scenario(run, "--knobs").stdout


def test_targets_are_found_on_the_curve_and_refused_out_of_reach(run: Path) -> None:
    found = json.loads(scenario(run, "--roas", 3, "--cpa", 1e-6, "--json").stdout)
    curve, target = found["curves"]["Today"], found["targets"]["Today"]
    assert target["roas"]["reached"] >= 3 - 1e-9
    assert 0 < target["roas"]["spend"] <= curve["spend"][-1]
    assert "best that is reached" in target["cpa"]["refused"]


def test_scenarios_are_kept_and_fetched_and_a_page_is_written(
    app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(app_project / "data", tmp_path / "data")
    here = runs_folder(tmp_path) / RUN
    evidence = here / "evidence.json"
    evidence.write_text(evidence.read_text().replace(str(app_project), str(tmp_path)))
    page = tmp_path / "page.html"
    kept = scenario(here, "-s", "Lean: budget=0.8", "--save", "--html", page)
    assert kept.exit_code == 0, kept.output
    assert [one.name for one in saved_scenarios(tmp_path, load_decision(DECISION))] == ["Lean"]
    assert "Lean" in page.read_text(encoding="utf-8")
    found = json.loads(scenario(here, "--saved", "--json").stdout)
    assert [answer["scenario"] for answer in found["answers"]] == ["Today", "Lean"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("-s", "Lean budget=0.8"), "write a scenario as"),
        (("-s", "Lean: bugdet=0.8"), "did you mean budget"),
        (("-s", "Today: budget=0.8"), "two scenarios are called Today"),
        (("--cpa", "-1"), "must be above 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(run: Path, given: tuple[str, ...], said: str) -> None:
    refused = scenario(run, *given)
    assert isinstance(refused.exception, UserError)
    assert refused.exception.exit_code == 3
    assert said in str(refused.exception)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    refused = scenario(tmp_path)
    assert isinstance(refused.exception, UserError)


@pytest.fixture(scope="module")
def answers() -> tuple[Answer, ...]:
    half = Named("<b>Half</b> & less", {"response": 0.5})
    return asked(stage(), (TODAY, half, Named("+SUM(A1)", {"response": 0.9})))


def test_the_page_stands_alone_and_runs_nothing(answers: tuple[Answer, ...]) -> None:
    page = what_if_page(PRICING, "run <1>", answers, (), made_at="today")
    assert "&lt;b&gt;Half&lt;/b&gt; &amp; less" in page
    assert "<b>Half" not in page
    assert not re.search(r"<script|https?://|src=|@import|url\(", page)
    assert f"{today():,.2f} EUR" in page


def test_a_spreadsheet_gets_every_number_and_runs_no_name(answers: tuple[Answer, ...]) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of(answers).decode())))
    values = {(row["scenario"], row["measure"]): row["value"] for row in rows}
    assert float(values["Today", "kpi margin"]) == pytest.approx(today())
    assert float(values["<b>Half</b> & less", "change of value"]) == pytest.approx(-today() / 2)
    assert {row["scenario"] for row in rows} == {"Today", "<b>Half</b> & less", "'+SUM(A1)"}


def test_the_sentence_tells_the_largest_change_and_whether_it_is_more_than_chance(
    answers: tuple[Answer, ...],
) -> None:
    said = headline(PRICING, answers, lambda amount: f"{amount:.1f} EUR")
    assert said.startswith("“<b>Half</b> & less” would earn 3.0 EUR a day less than “Today”")
    assert said.endswith("more than chance explains.")
    alone = headline(PRICING, answers[:1], lambda amount: f"{amount:.1f} EUR")
    assert alone == "Today, this policy would earn 6.0 EUR a day."
