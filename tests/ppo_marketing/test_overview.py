"""The overview: its sentence is what the intervals say, its alerts what asks for attention."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppo_marketing.attention import (
    freshness_alerts,
    job_alerts,
    release_alerts,
    retraining_alerts,
)
from ppo_marketing.audit_trail import Action, Entry, Line, chained
from ppo_marketing.evaluation import Estimate, Evidence, Row
from ppo_marketing.freshness import Freshness
from ppo_marketing.jobs.kept_runs import runs_of
from ppo_marketing.jobs.standing_alerts import StandingAlert
from ppo_marketing.overview import challenger, compared, headline

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _row(name: str, kind: str, value: float, low: float = 0.01, high: float = 0.02) -> Row:
    share = Estimate(value, value, value, 60, "of ceiling")
    lift = None if kind == "policy" else Estimate((low + high) / 2, low, high, 60, "of ceiling")
    return Row(
        name=name, kind=kind, value=replace(share, unit="EUR"), share_of_ceiling=share,  # type: ignore[arg-type]
        events=None, kpis={}, chosen={}, policy_lift=lift, probability_of_lift=None,
    )  # fmt: skip


def _evidence(*rows: Row) -> Evidence:
    return Evidence(
        world="w", episodes=60, empty_episodes=0, seed=0, best_rule="LIN", headroom=0.1,
        gap_closed=rows[0].value,
        rows=(
            _row("ceiling", "ceiling", 10.0), _row("PPO", "policy", 9.0), *rows,
            _row("other", "rule", 1.0), _row("nothing", "floor", 0.0),
        ),
    )  # fmt: skip


def _money(amount: float) -> str:
    return f"{amount:.2f} EUR"


LIN = _row("LIN", "rule", 8.0)


@pytest.mark.parametrize(
    ("rows", "supported", "said"),
    [
        (
            (LIN, _row("log", "logging", 7.0)), True,
            "This policy would earn 2.00 EUR more a day than what is done today; the log supports "
            "it.",
        ),
        (
            (LIN, _row("log", "logging", 7.0)), False,
            "This policy would earn 2.00 EUR more a day than what is done today; the log does not "
            "support it yet.",
        ),
        (
            (replace(LIN, policy_lift=Estimate(0.0, -0.1, 0.1, 60, "")), _row("log", "logging", 7)),
            True,
            "This policy would earn 2.00 EUR more a day than what is done today; the log supports "
            "it. The best rule earns as much.",
        ),
        (
            (LIN,), True,
            "This policy would earn 1.00 EUR more a day than what the best rule earns; the log "
            "supports it.",
        ),
        (
            (LIN, _row("log", "logging", 9.5, -0.2, -0.1)), True,
            "This policy would earn 0.50 EUR less a day than what is done today: keep what runs.",
        ),
        (
            (LIN, _row("log", "logging", 8.9, -0.1, 0.2)), True,
            "What this policy would earn cannot be told apart from what is done today: keep what "
            "runs.",
        ),
    ],
)  # fmt: skip
def test_the_headline_says_what_the_intervals_say(
    rows: tuple[Row, ...], supported: bool, said: str
) -> None:
    assert headline(_evidence(*rows), "day", supported).sentence(_money) == said


def test_the_floor_today_the_best_rule_the_policy_and_the_ceiling_are_compared() -> None:
    rows = compared(_evidence(LIN, _row("log", "logging", 7.0)))
    assert [row.name for row in rows] == ["nothing", "log", "LIN", "PPO", "ceiling"]


def test_an_old_log_is_noticed_and_a_generated_one_has_no_age() -> None:
    old = Freshness("log.csv", 10, None, NOW - timedelta(days=20), generated=False)
    (alert,) = freshness_alerts(old, NOW)
    assert "ends 20 days ago" in alert.text
    assert freshness_alerts(replace(old, generated=True), NOW) == ()
    assert freshness_alerts(replace(old, last=NOW - timedelta(days=3)), NOW) == ()
    assert freshness_alerts(replace(old, last=None), NOW) == ()


def _line(action: Action, version: int, expires: str | None = None) -> Line:
    entry = Entry(
        time="2026-11-01T00:00:00+00:00", actor="a", approver="Ada", action=action,
        decision="shelf", to_version=version, reason="a try", verdict="refused", expires=expires,
    )  # fmt: skip
    return chained(entry, None)


def test_an_override_that_ends_soon_or_has_ended_is_noticed() -> None:
    def alerts(expires: str) -> list[str]:
        line = _line(Action.OVERRIDE, 1, expires)
        return [alert.level for alert in release_alerts(line, NOW)]

    assert alerts("2026-11-20") == ["bad"]
    assert alerts("2026-11-25") == ["look"]
    assert alerts("2026-12-25") == []


def test_the_challenger_is_the_last_approval_that_was_not_released_since() -> None:
    first, second = _line(Action.APPROVE, 1), _line(Action.APPROVE, 2)
    assert challenger((first, second), "shelf") == second
    assert challenger((first, second, _line(Action.PROMOTE, 2)), "shelf") is None
    assert challenger((first, _line(Action.PROMOTE, 3)), "shelf") == first
    assert challenger((first,), "another") is None


def test_the_last_job_is_noticed_where_it_failed() -> None:
    def job(state: str) -> SimpleNamespace:
        return SimpleNamespace(state=state, said="no", order=SimpleNamespace(title="Training"))

    assert [alert.text for alert in job_alerts([job("failed"), job("finished")])] == [  # type: ignore[list-item]
        "Training failed: no"
    ]
    assert job_alerts([job("finished"), job("failed")]) == ()  # type: ignore[list-item]


def test_what_retrainings_told_is_said_in_words_with_how_bad_it_is() -> None:
    failed = StandingAlert("nightly", "failed", "exit code 3: no log", NOW, 3)
    waits = StandingAlert("nightly", "waiting", "four eyes", NOW)
    first, second = retraining_alerts([failed, waits])
    assert first.level == "bad"
    assert first.text == (
        "The retraining nightly failed (2026-11-21 12:00 UTC, 3 times by now): exit code 3: no log"
    )
    assert (second.level, second.page) == ("look", "release")
    assert "waits for a person (2026-11-21 12:00 UTC): four eyes" in second.text


def test_folders_that_are_no_runs_are_passed_over(tmp_path: Path) -> None:
    runs = tmp_path / "data" / "runs"
    for name in ("empty", ".hidden", "torn"):
        (runs / name / "calibration").mkdir(parents=True)
    (runs / "torn" / "calibration" / "calibration.json").write_text("{")
    (runs / "torn" / "calibration" / "log.json").write_text("{")
    assert runs_of(tmp_path) == ()
