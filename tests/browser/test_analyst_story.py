"""The whole story of an analyst in a browser, from a log to a released policy and back."""

from __future__ import annotations

from pathlib import Path

from envs import load_decision
from ppo_marketing import jobs
from ppo_marketing.uploads import kept_logs
from tests.browser.conftest import Visit, served
from tests.support.app_project import DECISION, RUN

FAILED = "The simulator failed its checks. Why train in it all the same?"
WIDTHS = (390, 1280, 1920)


def test_from_a_log_to_a_judged_policy(visit: Visit, tmp_path: Path) -> None:
    project, log = tmp_path / "project", tmp_path / "March.parquet"
    project.mkdir()
    jobs.generate(load_decision(DECISION), "default", 8, 0, log)
    with served(project) as visit.url:
        visit.open()
        visit.sees("Nothing has been trained here yet")
        visit.picture("overview-empty")

        visit.go("Data")
        visit.page.locator("input[type=file]").set_input_files(log)
        visit.sees("Which column is which?")
        visit.picture("data-mapping")
        visit.press("Check the log")
        visit.sees("March.parquet is sound")
        assert len(kept_logs(project, DECISION)) == 1

        visit.press("Look at it")
        visit.sees("Next: fit a simulator to it")
        visit.picture("data")
        visit.write("Name of the run", "spring")
        visit.press("Fit the simulator")
        visit.sees("checks on what was held out of its fit")
        visit.picture("simulator")

        visit.go("Train")
        if visit.page.get_by_text(FAILED).count():
            visit.write(FAILED, "a rehearsal")
        visit.write("Total steps (environment steps)", "40000")
        visit.page.get_by_role("button", name="Start", exact=True).click()
        visit.sees("it goes on")
        visit.picture("train-running")
        visit.go("Overview")
        visit.sees("What is released")
        visit.picture("overview")
        visit.went_well()


def test_every_page_of_a_trained_project_at_every_width(visit: Visit, app_project: Path) -> None:
    with served(app_project) as visit.url:
        visit.open()
        titles = visit.page.get_by_test_id("stSidebarNavLink").all_inner_texts()
        for title in [text.split("\n")[-1] for text in titles]:
            visit.go(title)
            for width in WIDTHS:
                visit.picture(title.lower().replace(" ", "-"), width)
        visit.went_well()


def test_a_link_opens_what_was_looked_at(visit: Visit, app_project: Path) -> None:
    with served(app_project) as visit.url:
        visit.open()
        visit.go("Simulator")
        address = visit.page.url.removeprefix(visit.url)
        assert f"run={RUN}" in address
        visit.open(address)
        visit.sees("checks on what was held out of its fit")
        visit.went_well()
