"""What may leave a run's folder, and what the bundle says of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ppo_marketing.audit_trail import Action, Entry, append
from ppo_marketing.errors import GateNotPassed, IntegrityError, Refused, UserError
from ppo_marketing.export.bundle import load_bundle
from ppo_marketing.gate import GateRules
from ppo_marketing.jobs.exporting import export_bundle, exportable, require_releasable
from ppo_marketing.jobs.release_book import trail_of
from ppo_marketing.jobs.verdicts import keep_verdict, kept_verdict
from tests.support.audits import SOUND
from tests.support.command import run_command
from tests.support.judged_run import copied_run

MADE_AT = "2026-11-21T06:00:00+00:00"


@pytest.fixture(scope="module")
def run(judged_visits: Path) -> Path:
    return judged_visits


@pytest.fixture(scope="module")
def customers(judged_customers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_run(
        judged_customers, tmp_path_factory.mktemp("customers") / "run", choices={"nothing": 0},
        support_margin=0.1, suppressed=["c-1"],
    )  # fmt: skip


def test_a_bundle_holds_everything_and_loads(run: Path, tmp_path: Path) -> None:
    said = export_bundle(run, tmp_path / "bundle", made_at=MADE_AT, dry_run=False)
    bundle = load_bundle(tmp_path / "bundle")
    assert set(said["files"]) == {path.name for path in (tmp_path / "bundle").iterdir()}
    assert "decision-table.csv" in bundle.manifest["left_out"]
    assert bundle.manifest["verdict_sha256"] == kept_verdict(run).sha256
    assert bundle.schema["about"]["labels"]
    live = bundle.schema["about"]["live"]
    assert len(live["fields"]) == bundle.policy.observation_size
    assert live["fields"][-1]["name"] == "slots_left"
    assert [one["action_id"] for one in live["choices"]] == bundle.schema["about"]["labels"]
    card = json.loads(bundle.files["model-card.json"])
    assert card["verdict"]["passed"]
    assert card["data"]["sha256"] == bundle.manifest["data_sha256"]
    page = bundle.files["model-card.md"].decode()
    for heading in ("Data", "Fidelity", "Evidence", "Verdict", "Limits"):
        assert f"\n## {heading}\n" in page
    assert "Not modelled: " in page


def test_a_table_comes_with_it_where_the_decision_has_one(customers: Path, tmp_path: Path) -> None:
    export_bundle(customers, tmp_path / "bundle", made_at=MADE_AT, dry_run=False)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest["left_out"] == {}
    assert bundle.files["decision-table.csv"].startswith(b'"decision_id","weeks_since_purchase"')
    assert bundle.limits is not None
    assert bundle.limits.support is not None
    assert bundle.limits.suppressed == {"c-1"}
    # The card tells readers how many are suppressed, never who.
    assert json.loads(bundle.files["model-card.json"])["limits"]["guardrails"]["suppressed"] == 1
    assert b"c-1" not in bundle.files["model-card.md"] + bundle.files["model-card.json"]


def test_the_same_run_and_time_make_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_bundle(run, tmp_path / name, made_at=MADE_AT, dry_run=False)
    assert load_bundle(tmp_path / "one").files == load_bundle(tmp_path / "two").files


def test_a_dry_run_checks_all_and_writes_nothing(run: Path, tmp_path: Path) -> None:
    said = export_bundle(run, tmp_path / "bundle", made_at=MADE_AT, dry_run=True)
    assert said["files"]["policy.onnx"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_the_gate_refused_does_not_leave(run: Path, tmp_path: Path) -> None:
    copy = copied_run(run, tmp_path / "run")
    kept = kept_verdict(copy)
    doubtful = replace(SOUND, positives=3.0)
    keep_verdict(
        copy, kept.decision, doubtful, GateRules(),
        policy=copy / "policy", data_sha256=kept.data_sha256,
    )  # fmt: skip
    with pytest.raises(GateNotPassed) as refused:
        export_bundle(copy, tmp_path / "bundle", made_at=MADE_AT, dry_run=False)
    assert refused.value.exit_code == 4
    assert not (tmp_path / "bundle").exists()


def test_a_refused_policy_leaves_as_long_as_its_override_is_in_force(
    run: Path, tmp_path: Path
) -> None:
    copy, project = copied_run(run, tmp_path / "run"), tmp_path / "project"
    kept = kept_verdict(copy)
    keep_verdict(
        copy, kept.decision, replace(SOUND, positives=3.0), GateRules(),
        policy=copy / "policy", data_sha256=kept.data_sha256,
    )  # fmt: skip
    (copy / "config.yaml").write_text(f"decision: {kept.decision}\nproject: {project}\n")
    trail_of(project).parent.mkdir(parents=True)
    released = Entry(
        time="2026-11-21T12:00:00+00:00", actor="ada", approver="Ada", action=Action.OVERRIDE,
        decision=kept.decision, to_version=1, policy_sha256=kept.policy_sha256, verdict="refused",
        reason="a trial in one region", expires="2026-12-01",
    )  # fmt: skip
    append(trail_of(project), released)
    in_force = datetime(2026, 12, 1, 23, tzinfo=UTC)
    assert require_releasable(copy, in_force).policy_sha256 == kept.policy_sha256
    with pytest.raises(Refused, match="its override expired on 2026-12-01"):
        require_releasable(copy, in_force + timedelta(hours=2))
    append(trail_of(project), replace(released, policy_sha256="another", to_version=2))
    with pytest.raises(GateNotPassed):
        require_releasable(copy, in_force)


def test_another_policy_or_evidence_than_was_judged_is_refused(run: Path, tmp_path: Path) -> None:
    copy = copied_run(run, tmp_path / "run")
    evidence = json.loads((copy / "evidence.json").read_text())
    (copy / "evidence.json").write_text(json.dumps(evidence | {"data_sha256": "0"}))
    with pytest.raises(IntegrityError, match="another log"):
        exportable(copy)
    tensors = bytearray((copy / "policy" / "policy.safetensors").read_bytes())
    tensors[-1] ^= 1
    (copy / "evidence.json").write_text(json.dumps(evidence))
    (copy / "policy" / "policy.safetensors").write_bytes(tensors)
    with pytest.raises(IntegrityError, match="damaged"):
        exportable(copy)


def test_what_is_no_whole_run_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no verdict\.json"):
        exportable(tmp_path)
    copy = copied_run(run, tmp_path / "run")
    shutil.rmtree(copy / "calibration")
    with pytest.raises(UserError, match="holds no calibration"):
        exportable(copy)


def test_the_command_exits_with_the_documented_codes(run: Path, tmp_path: Path) -> None:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_command("export", *arguments)

    done = call(run, "--output", tmp_path / "bundle", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"] == str(tmp_path / "bundle")
    assert call(tmp_path, "--output", tmp_path / "other").returncode == 3
    copy = copied_run(run, tmp_path / "run")
    policy = copy / "policy" / "policy.json"
    policy.write_bytes(policy.read_bytes() + b" ")
    assert call(copy, "--output", tmp_path / "other").returncode == 6
    assert not (tmp_path / "other").exists()
