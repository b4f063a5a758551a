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
        visit.page.keyboard.press("2")
        visit.sees("1 of ")
        visit.page.keyboard.press("s")
        visit.settled()
        visit.page.keyboard.press("1")
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
