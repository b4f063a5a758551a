"""Which alerts of retrainings stand: failures until one ends well, news for a week."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ppo_marketing.jobs.alerts import ALERTS, beat, tell
from ppo_marketing.jobs.standing_alerts import NEWS, standing_alerts, still_standing
from ppo_marketing.retraining.project import load_project

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def line(kind: str, ago: timedelta, message: str = "m") -> dict[str, Any]:
    time = (NOW - ago).isoformat(timespec="seconds")
    return {"project": "nightly", "kind": kind, "message": message, "time": time}


def ended(outcome: str, ago: timedelta) -> dict[str, Any]:
    return {"outcome": outcome, "time": (NOW - ago).isoformat(timespec="seconds")}


def kinds(lines: list[dict[str, Any]], beat: dict[str, Any] | None) -> list[str]:
    return [alert.kind for alert in still_standing(lines, beat, NOW)]


def test_a_failure_and_a_silence_stand_until_a_retraining_ends_well() -> None:
    lines = [line("failed", 900 * HOUR), line("silent", 3 * HOUR)]
    assert kinds(lines, None) == ["failed", "silent"]
    assert kinds(lines, ended("promoted", 4 * HOUR)) == ["silent"]
    assert kinds(lines, ended("kept", 2 * HOUR)) == []


def test_a_challenger_waits_until_a_retraining_ends_otherwise() -> None:
    lines = [line("waiting", 400 * HOUR), line("kept", 300 * HOUR)]
    assert kinds(lines, ended("waiting", HOUR)) == ["waiting"]
    assert kinds(lines, ended("kept", HOUR)) == ["kept"]
    assert kinds(lines, ended("promoted", HOUR)) == []


def test_news_is_shown_for_a_week_whatever_came_after() -> None:
    lines = [line("shifted", NEWS), line("set aside", NEWS + HOUR)]
    assert kinds(lines, ended("promoted", HOUR)) == ["shifted"]


def test_of_each_kind_the_last_is_shown_with_how_many_stand() -> None:
    lines = [line("failed", 9 * HOUR, "x"), line("failed", 5 * HOUR), line("failed", HOUR, "disk")]
    (alert,) = still_standing(lines, ended("kept", 6 * HOUR), NOW)
    assert (alert.message, alert.times, alert.time) == ("disk", 2, NOW - HOUR)


def test_what_was_told_is_found_by_its_decision_and_torn_lines_are_passed_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "project.yaml").write_text(
        "run: {decision: bidding, project: .}\nretraining: {name: nightly}\n"
    )
    project = load_project(tmp_path / "project.yaml")
    tell(project, "failed", "no log")
    file = project.folder / ALERTS
    with file.open("a") as opened:
        opened.write(json.dumps({"kind": "failed"}) + '\n"a text"\n{"project": "nig')
    now = datetime.now(UTC) + HOUR
    (alert,) = standing_alerts(tmp_path, "bidding", now)
    assert (alert.retraining, alert.message, alert.times) == ("nightly", "no log", 1)
    assert standing_alerts(tmp_path, "another", now) == ()
    beat(project, "kept", "k" * 64, now)
    assert standing_alerts(tmp_path, "bidding", now) == ()
    assert standing_alerts(tmp_path / "nowhere", "bidding", now) == ()
