"""The whole line on the command line: what it leaves, judged again, and what was tampered with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from envs import decision_names
from tests.support.bidding_line import call, found


def test_the_whole_line_leaves_policy_evidence_and_report(whole_line: tuple[Path, Any]) -> None:
    folder, printed = whole_line
    evidence = printed["later"]
    kinds = {row["kind"] for row in evidence["rows"]}
    assert kinds == {"ceiling", "policy", "untrained", "rule", "logging", "floor"}
    saved = json.loads((folder / "out" / "evidence.json").read_text())
    assert {name: saved[name] for name in printed} == printed
    assert set(printed) == {"later", "logged", "earlier", "optimism_gap", "limit", "verdict"}
    assert saved["config"]["accept_failed_fidelity"].startswith("nine days")
    for name in ("report.md", "fidelity.png", "calibration/fidelity.png", "config.yaml"):
        assert (folder / "out" / name).stat().st_size > 0, name
    report = (folder / "out" / "report.md").read_text()
    assert "nine days are few" in report or saved["fidelity_passed"]


def test_the_run_is_tracked_with_data_policy_and_acceptance(whole_line: tuple[Path, Any]) -> None:
    from mlflow.tracking import MlflowClient

    folder, _ = whole_line
    client = MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'bidding'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["fidelity.accepted_because"].startswith("nine days")
    assert run.data.params["training.total_steps"] == "8192"
    assert {"evidence.share_of_ceiling", "kl", "clip_fraction"} <= set(run.data.metrics)
    assert run.inputs.dataset_inputs[0].dataset.digest
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"evidence.json", "fidelity.json", "evidence.png"} <= names


def test_a_saved_policy_is_judged_alike_again(whole_line: tuple[Path, Any], tmp_path: Path) -> None:
    folder, printed = whole_line
    again = found(
        call(
            # A run's own folder will do for both.
            "evaluate", "bidding", "--calibration", folder / "out",
            "--policy", folder / "out", "--output", tmp_path / "again", "--json",
            PPO_MARKETING_PROJECT=str(tmp_path),
        )
    )  # fmt: skip
    assert again == printed


def test_a_flipped_byte_in_the_policy_exits_with_6(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, _ = whole_line
    damaged = tmp_path / "damaged"
    shutil.copytree(folder / "out" / "policy", damaged)
    weights = damaged / "policy.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(bytes(content))
    finished = call(
        "evaluate", "bidding", "--calibration", folder / "out" / "calibration",
        "--policy", damaged, "--output", tmp_path / "none", PPO_MARKETING_PROJECT=str(tmp_path),
    )  # fmt: skip
    assert finished.returncode == 6, finished.stderr


def test_a_changed_record_of_a_calibration_exits_with_6(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    calibration = tmp_path / "calibration"
    shutil.copytree(whole_line[0] / "out" / "calibration", calibration)
    record = json.loads((calibration / "calibration.json").read_text())
    record["fidelity"]["checks"][0]["value"] = 0.0
    (calibration / "calibration.json").write_text(json.dumps(record))
    finished = call("train", "bidding", "--calibration", calibration, "-o", tmp_path / "out")
    assert finished.returncode == 6, finished.stderr
    assert not (tmp_path / "out").exists()


def test_a_policy_is_not_judged_on_days_that_it_was_trained_on(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    out = whole_line[0] / "out"
    policy = tmp_path / "policy"
    shutil.copytree(out / "policy", policy)
    seen = json.loads((policy / "trained-on.json").read_text())
    (policy / "trained-on.json").write_text(json.dumps({**seen, "before": "2999-01-01"}))
    finished = call(
        "evaluate", "bidding", "--calibration", out / "calibration", "--policy", policy,
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert finished.returncode == 3
    assert "the policy has seen them" in finished.stderr


def test_another_decisions_calibration_is_refused_by_name(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    other = next(name for name in decision_names() if name != "bidding")
    calibration = whole_line[0] / "out" / "calibration"
    finished = call("train", other, "--calibration", calibration, "-o", tmp_path / "out")
    assert finished.returncode == 3
    assert f"a calibration of bidding, not of {other}" in finished.stderr


def test_against_itself_a_champion_changes_nothing(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, _ = whole_line
    out = folder / "out"
    finished = call(
        "evaluate", "bidding", "--calibration", out, "--policy", out, "--champion", out,
        "--output", tmp_path / "judged", "--json", PPO_MARKETING_PROJECT=str(tmp_path),
    )  # fmt: skip
    drift = found(finished)["drift"]
    assert drift["within_bounds"]
    assert drift["overall"]["mean_kl"] == drift["overall"]["changed"] == 0.0
    assert drift["overall"]["money_moved"] == 0.0
    assert drift["overall"]["money"] > 0
    page = (tmp_path / "judged" / "report.md").read_text()
    assert "## What would change, against the champion" in page
    assert "* nothing changes" in page
    assert "| drift | it stays close to the policy that runs today |" in page


def test_a_guarded_policy_is_judged_behind_its_guardrails(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, printed = whole_line
    config = tmp_path / "guarded.yaml"
    config.write_text("decision: bidding\nguardrails: {amounts: {floor: -0.001, cap: 0.001}}\n")
    finished = call(
        "evaluate", "bidding", "--calibration", folder / "out", "--policy", folder / "out",
        "--config", config, "--output", tmp_path / "judged", "--json",
        PPO_MARKETING_PROJECT=str(tmp_path),
    )  # fmt: skip
    judged = found(finished)
    rows = {row["kind"]: row["value"]["value"] for row in judged["later"]["rows"]}
    assert rows["policy"] == pytest.approx(rows["untrained"], rel=1e-3), "it may hardly leave it"
    free = {row["kind"]: row["value"]["value"] for row in printed["later"]["rows"]}
    assert free["policy"] != pytest.approx(free["untrained"], rel=1e-3)
    assert judged["guardrails"]["changed"] > 0
    assert "## Guardrails, " in (tmp_path / "judged" / "report.md").read_text()
