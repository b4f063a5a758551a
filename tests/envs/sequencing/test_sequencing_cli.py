"""The command line on a broken customer log: everything listed, exit code 3, nothing written."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import run_command

BROKEN = """timestamp,customer_id,event,channel,value,cost,propensity,consent_email
2024-05-01T08:00:00Z,ann,signup,,,,,
2024-05-06T09:00:00Z,ann,contact,email,,.01,.5,
2024-05-06T09:00:00Z,ann,contact,email,,-1,.5,
2024-05-06T09:00:00Z,ann,contact,email,,.01,0,
2024-05-06T09:00:00Z,ann,contact,email,,.01,1.5,
2024-05-06T09:00:00Z,ann,contact,pigeon,,.01,.5,
2024-04-30T09:00:00Z,ann,none,,,,.5,
"""


def test_every_problem_is_listed_with_exit_code_3_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(BROKEN)
    done = run_command("validate", "sequencing", path)
    assert done.returncode == 3, done.stderr
    for part in (
        "6 problems. Nothing was written",
        "consent missing",
        "a propensity of 0",
        "a number above 1",
        "unknown channel",
        "a negative number",
        "before the customer's sign-up",
    ):
        assert part in done.stderr, (part, done.stderr)
    assert sorted(tmp_path.iterdir()) == [path]
