"""`gate` and `promote`: exit codes of a verdict, and what a refused run takes to be released."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.bidding_line import call, found


def test_a_refused_run_is_released_by_a_named_override_alone_and_on_the_record(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, printed = whole_line
    assert not printed["verdict"]["passed"], "nine days are too few"
    (tmp_path / "mlruns").mkdir()
    shutil.copy(folder / "mlruns" / "mlflow.db", tmp_path / "mlruns")

    def released(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return call(*arguments, PPO_MARKETING_PROJECT=str(tmp_path))

    refused = released("promote", folder / "out", "--approver", "Ada")
    assert refused.returncode == 4
    assert "too few events" in refused.stderr
    nameless = released("promote", folder / "out", "--override", "a pilot")
    assert nameless.returncode == 3
    assert "--approver NAME is missing" in nameless.stderr
    assert "--expires YYYY-MM-DD is missing" in nameless.stderr
    assert found(released("champion", "bidding", "--json"))["champion"] is None

    last = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    by_name = ("--override", "a pilot", "--approver", "Ada", "--expires", last)
    done = found(released("promote", folder / "out", *by_name, "--json"))
    assert (done["action"], done["approver"], done["expires"]) == ("override", "Ada", last)
    now = released("champion", "bidding")
    assert f"in force by override until {last}, given by Ada: a pilot" in now.stdout
    assert done["head"] in now.stdout
    verified = found(released("audit", "verify", "--head", done["head"], "--json"))
    assert (verified["lines"], verified["heads_compared"]) == (1, 2)
    first = released("rollback", "bidding", "--approver", "Ada", "--reason", "spend doubled")
    assert first.returncode == 5
    assert "is the first champion" in first.stderr

    trail = tmp_path / "data" / "releases" / "audit.jsonl"
    trail.write_bytes(trail.read_bytes().replace(b"a pilot", b"a plot!"))
    changed = released("audit", "verify")
    assert changed.returncode == 6
    assert "line 1 was changed" in changed.stderr


def test_the_gate_exits_with_its_verdict_and_takes_stricter_rules_only(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, printed = whole_line
    judged = call("gate", folder / "out", "--json")
    verdict = json.loads(judged.stdout)
    assert verdict == printed["verdict"]
    assert judged.returncode == (0 if verdict["passed"] else 4)
    strict, lax = tmp_path / "strict.yaml", tmp_path / "lax.yaml"
    strict.write_text("decision: bidding\ngate: {least_positives: 1000000}\n")
    lax.write_text("decision: bidding\ngate: {least_positives: 1}\n")
    harder = call("gate", folder / "out", "--config", strict)
    assert harder.returncode == 4
    assert "too few events" in harder.stderr
    refused = call("gate", folder / "out", "--config", lax)
    assert refused.returncode == 3
    assert "stricter, not laxer" in refused.stderr


def test_a_changed_verdict_or_another_policy_exits_with_6(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, _ = whole_line
    kept = json.loads((folder / "out" / "verdict.json").read_text())
    kept["audit"]["positives"] = 1e6
    (tmp_path / "verdict.json").write_text(json.dumps(kept))
    changed = call("gate", tmp_path)
    assert changed.returncode == 6
    assert "is not what was written" in changed.stderr
    assert call("gate", tmp_path / "nowhere").returncode == 3
