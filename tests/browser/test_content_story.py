"""Rating by the keyboard, in a browser: what a test without one cannot press."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppo_marketing.content.places import content_folder
from tests.browser.conftest import Visit
from tests.support.content_project import content_copy, content_project
from tests.support.served_app import served

__all__ = ["content_project"]


@pytest.mark.timeout(300)
def test_pairs_are_rated_by_keys_and_every_tab_fits_its_window(
    visit: Visit, content_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = tmp_path / "project"
    content_copy(content_project, project)
    ratings = content_folder(project) / "demo" / "ratings.jsonl"
    with served(project) as (visit.url, _):
        visit.open("/content")
        visit.sees("Which is the better text for")
        _key(visit, "2")
        visit.sees("1 of ")
        _key(visit, "s")
        _key(visit, "1")
        visit.sees("2 of ")
        assert len([json.loads(line) for line in ratings.read_text().splitlines()]) == 2
        visit.picture("content-rate", 390)
        visit.press("Agreement", role="tab")
        visit.sees("agrees with the raters")
        visit.press("Over-optimisation", role="tab")
        visit.sees("What happened to the texts")
        visit.picture("content")
        visit.press("Side by side", role="tab")
        visit.sees("Rule by rule")
        visit.picture("content-side-by-side", 390)
        visit.press("Decide", role="tab")
        visit.sees("may be released")
        visit.went_well()


def _key(visit: Visit, key: str) -> None:
    """Press a key as a person does: once the buttons are there and answer."""
    visit.settled()
    visit.page.get_by_role("button", name="The second is better").wait_for()
    visit.page.wait_for_timeout(1000)
    visit.page.keyboard.press(key)
    visit.page.wait_for_timeout(300)
    visit.settled()
