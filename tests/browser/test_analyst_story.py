"""The whole story of an analyst in a browser, from a log to a released policy and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Locator, expect

from envs import load_decision
from ppo_marketing.audit_trail import Action, Entry, append, read_trail
from ppo_marketing.jobs.logs import generate
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.jobs.verdicts import kept_verdict
from ppo_marketing.uploads import kept_logs
from tests.browser.conftest import Visit
from tests.support.app_project import DECISION, RUN
from tests.support.comparisons import keep, ppo_and_a2c
from tests.support.released_project import passing_copy
from tests.support.served_app import served

FAILED = "The simulator failed its checks. Why train in it all the same?"
QUICKLY = {
    "PPO_MARKETING_EVALUATION__EPISODES": "12",
    "PPO_MARKETING_EVALUATION__BOOTSTRAP": "200",
    "PPO_MARKETING_TRAINING__EPISODES": "32",
    "PPO_MARKETING_TRAINING__VALIDATION_EPISODES": "8",
}
WIDTHS = (390, 1280, 1920)


@pytest.mark.timeout(900)
def test_from_a_log_to_a_released_policy_and_back(
    visit: Visit, app_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project gets a policy before that, so that there is one to go back to."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project, log = tmp_path / "project", tmp_path / "March.parquet"
    project.mkdir()
    generate(load_decision(DECISION), "default", 8, 0, log)
    with served(project, **QUICKLY) as (visit.url, _):
        visit.open()
        visit.sees("Nothing has been trained here yet")
        visit.picture("overview-empty")
        passing_copy(app_project, project)
        visit.open()
        visit.sees("What is released")
        _hand_in(visit, log)
        assert [one.name for one in kept_logs(project, DECISION)] == [log.name]
        _fit(visit, "spring")
        _train(visit, "spring")
        visit.go("Policy explorer")
        visit.sees("what moves it most")
        _ask_what_if(visit)
        visit.go("Evidence")
        visit.sees("What the gate asked")

        visit.choose("Run", f"{RUN} · judged")
        _release(visit, "the log supports it")
        visit.sees("This policy is the champion, version 1")
        visit.choose("Run", "spring · judged")
        _release(visit, "a pilot in one city", until=date.today() + timedelta(days=9))
        visit.sees("This policy is the champion, version 2")
        _export(visit)
        _roll_back(visit)
        actions = [line.action for line in read_trail(trail_of(project))]
        assert actions == [Action.PROMOTE, Action.OVERRIDE, Action.ROLLBACK]
        visit.went_well()


def _hand_in(visit: Visit, log: Path) -> None:
    visit.go("Data")
    visit.press("Hand in another", role="radio")
    visit.page.locator("input[type=file]").first.set_input_files(log)
    visit.sees("Which column is which?")
    visit.picture("data-mapping")
    visit.press("Check the log")
    visit.sees("is sound and kept")


def _fit(visit: Visit, name: str) -> None:
    visit.sees("Next: fit a simulator to it")
    visit.write("Name of the run", name)
    visit.press("Fit the simulator")
    visit.sees("checks on what was held out of its fit")


def _train(visit: Visit, name: str) -> None:
    visit.go("Train")
    visit.write("Total steps (environment steps)", "15000")
    visit.sees("How PPO learns")
    if visit.page.get_by_text(FAILED).count():
        visit.write(FAILED, "a rehearsal")
    visit.press("Start")
    visit.sees("it goes on")
    visit.sees("entropy of the decisions")
    visit.picture("train-running")
    visit.sees(f"Training {name} (finished")


def _ask_what_if(visit: Visit) -> None:
    """Two scenarios beside today, passed on as a link that shows the same numbers."""
    visit.go("What-if")
    visit.page.get_by_text("Make or change a scenario").first.click()
    visit.write("Name", "Dear")
    visit.write("Prices, x today", "1.1")
    visit.press("Play it")
    visit.sees("Every number")
    # Widgets are drawn anew while the page runs: these assertions wait until it has.
    expect(_cards(visit)).to_have_count(3)
    numbers = _cards(visit).all_inner_texts()
    visit.press("Share", role="radio")
    link = visit.page.get_by_test_id("stCode").first.inner_text().strip()
    visit.open(link.removeprefix(visit.url))
    visit.sees("Every number")
    expect(_cards(visit)).to_have_text(numbers)


def _export(visit: Visit) -> None:
    visit.press("Export", role="tab")
    visit.choose("Where to", "Decision table (CSV)")
    visit.press("Preview")
    visit.sees("What differs from the last export")
    visit.press("Export")
    visit.sees("Written whole and sealed")
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Download", exact=True).click()
    with ZipFile(download.value.path()) as packed:
        assert any(name.endswith("manifest.json") for name in packed.namelist())


def _roll_back(visit: Visit) -> None:
    visit.press("Decide", role="tab")
    visit.sees("Take it back")
    visit.page.locator("input[aria-label='Your name']").last.fill("Grace")
    visit.write("Why", "spend doubled since 09:00")
    visit.press("Roll back")
    visit.sees("rollback by Grace")


def _cards(visit: Visit) -> Locator:
    """The numbers of the cards on the page."""
    return visit.page.get_by_test_id("stMetricValue")


def _release(visit: Visit, why: str, until: date | None = None) -> None:
    """Make the policy that is looked at the champion, with a last day where the gate refused it."""
    visit.go("Release")
    visit.press("Decide", role="tab")
    visit.page.locator("input[aria-label='Your name']").first.fill("Ada")
    visit.page.locator("textarea[aria-label='Comment']").fill(why)
    if until is not None:
        field = visit.page.get_by_test_id("stDateInput").locator("input").first
        field.fill(until.isoformat())
        field.press("Enter")
    visit.press("Record it")


@pytest.fixture(scope="module")
def address(app_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the trained project is served, with a champion and a comparison beside its run."""
    project = tmp_path_factory.mktemp("shown")
    run = passing_copy(app_project, project, passed=False)
    keep(project, DECISION, "ppo-and-a2c", ppo_and_a2c())
    released = Entry(
        time="2026-11-01T00:00:00+00:00", actor="deploy", approver="Ada", action=Action.PROMOTE,
        decision=DECISION, to_version=1, policy_sha256=kept_verdict(run).policy_sha256,
        reason="the log supports it", verdict="passed",
    )  # fmt: skip
    trail_of(project).parent.mkdir(parents=True)
    append(trail_of(project), replace(released, policy_sha256="a" * 64))
    append(trail_of(project), replace(released, action=Action.APPROVE, to_version=2))
    with served(project) as (url, _):
        yield url


@pytest.mark.timeout(900)
def test_every_page_of_a_trained_project_at_every_width(visit: Visit, address: str) -> None:
    visit.url = address
    visit.open()
    titles = visit.page.get_by_test_id("stSidebarNavLink").all_inner_texts()
    for title in [text.split("\n")[-1] for text in titles]:
        visit.go(title)
        for width in WIDTHS:
            visit.picture(title.lower().replace(" ", "-"), width)
    visit.went_well()


def test_a_link_opens_what_was_looked_at(visit: Visit, address: str) -> None:
    visit.url = address
    visit.open()
    visit.go("Simulator")
    link = visit.page.url.removeprefix(address)
    assert f"run={RUN}" in link
    visit.open(link)
    visit.sees("checks on what was held out of its fit")
    visit.went_well()
