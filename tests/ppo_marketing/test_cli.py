"""The command line: exact exit codes, one JSON object on stdout, nothing half-written."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from envs import decision_names
from envs.bidding.fit import BiddingCalibration
from ppo_marketing.cli.search import use_of
from ppo_marketing.config import PROJECT, load_config
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.folder import forget_finished
from tests.support.command import run_command

COMMAND = [sys.executable, "-m", "ppo_marketing"]
QUICK = {
    "PPO_MARKETING_TRAINING__COPIES": "32",
    "PPO_MARKETING_TRAINING__EPISODES": "20",
    "PPO_MARKETING_TRAINING__VALIDATION_EPISODES": "8",
    "PPO_MARKETING_EVALUATION__EPISODES": "10",
    "PPO_MARKETING_LOG__DAYS": "9",
}


def call(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return call_in(PROJECT, *arguments, **variables)


def call_in(
    folder: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, folder=folder, variables={**QUICK, **variables})


def found(finished: subprocess.CompletedProcess[str]) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "log.parquet"
    assert found(call("generate", "bidding", "-o", path, "--days", "9", "--json"))["rows"] > 1000
    return path


@pytest.fixture(scope="module")
def whole_line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One whole run on nine sample days; its folder and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    finished = call(
        "run", "--decision", "bidding", "--steps", "8192", "--output", folder / "out", "--json",
        "--accept-failed-fidelity", "nine days are few: this tests the line, not the market",
        PPO_MARKETING_PROJECT=str(folder),
    )  # fmt: skip
    return folder, found(finished)


def test_help_lists_every_command_and_the_exit_codes() -> None:
    finished = call("--help")
    assert finished.returncode == 0
    for word in ("demo", "generate", "validate", "calibrate", "train", "evaluate", "run", "75"):
        assert word in finished.stdout


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, ppo_marketing.cli; "
        "print([m for m in ('torch', 'mlflow', 'numba', 'sklearn', 'duckdb') if m in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [("nonsense",), ("train", "bidding"), ("demo", "--wrong")])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).returncode == 2


def test_an_unknown_decision_exits_with_3_and_names_those_there_are() -> None:
    finished = call("generate", "biding", "-o", "x.parquet")
    assert finished.returncode == 3
    assert "choose one of" in finished.stderr


def test_validate_prints_what_the_log_holds(sample: Path) -> None:
    report = found(call("validate", "bidding", sample, "--json"))
    assert report["days"] == 9
    assert report["rows"] == pq.read_metadata(sample).num_rows


@pytest.mark.parametrize(
    "command", [("calibrate", "bidding"), ("run", "--decision", "bidding", "--log")]
)
def test_a_broken_log_exits_with_3_listing_every_problem_and_writes_nothing(
    sample: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    table = pq.read_table(sample).to_pandas()
    table.loc[3, "pctr"] = 1.7
    table.loc[5, "bid_cpm"] = -2.0
    broken = tmp_path / "broken.parquet"
    table.to_parquet(broken)
    out = tmp_path / "out"
    project = tmp_path / "project"
    project.mkdir()
    finished = call(*command, broken, "--output", out, PPO_MARKETING_PROJECT=str(project))
    assert finished.returncode == 3
    assert "pctr" in finished.stderr
    assert "bid_cpm" in finished.stderr
    assert not out.exists()
    assert not list(project.iterdir())


LOG = "sample.parquet"


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (("validate", "bidding", LOG, "--reader-option", "day=abc"), {}, "reader_options.day"),
        (("calibrate", "bidding", LOG, "--set", "tightness=[1"), {}, "the value is not YAML"),
        (("calibrate", "bidding", LOG, "--set", "tightness"), {}, "write NAME=VALUE"),
        (("calibrate", "bidding", LOG, "--set", "gian=2"), {}, "did you mean gain?"),
        (("run", "--decision", "bidding"), {"PPO_MARKETING_TRAINING": "abc"}, "JSON object"),
        (("generate", "bidding", "-o", "sample.parquet/below.parquet"), {}, "cannot write"),
        (("generate", "bidding", "-o", "x.parquet", "--preset", "calm"), {}, "choose one of"),
        (("generate", "bidding", "-o", "x.csv"), {}, "name a file x.parquet"),
        (("generate", "bidding", "-o", LOG, "--days", "1"), {}, "exists already"),
        (("calibrate", "bidding", LOG, "--set", "tightness=0.1"), {}, "write a list in brackets"),
        (("train", "bidding", "--calibration", "nowhere"), {}, "no readable calibration.json"),
    ],
)
def test_every_wrong_request_exits_with_3_and_a_sentence(
    sample: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    message: str,
) -> None:
    shutil.copy(sample, tmp_path / LOG)
    finished = call_in(
        tmp_path, *arguments, PPO_MARKETING_OUTPUT=str(tmp_path / "out"), **variables
    )
    assert finished.returncode == 3, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOG]


def test_a_folder_of_somebody_elses_files_is_never_replaced(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "calibration").mkdir(parents=True)
    (tmp_path / "out" / "calibration" / "cat.jpg").write_text("meow")
    finished = call("calibrate", "bidding", sample, "--output", tmp_path / "out")
    assert finished.returncode == 3
    assert "not a calibration" in finished.stderr
    assert (tmp_path / "out" / "calibration" / "cat.jpg").read_text() == "meow"


def test_a_log_of_one_day_is_too_short_to_calibrate(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    found(call("generate", "bidding", "-o", path, "--days", "1", "--json"))
    finished = call("calibrate", "bidding", path, "--output", tmp_path / "out")
    assert finished.returncode == 3
    assert "day" in finished.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_configuration_exits_with_3_and_says_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "decision: bidding\ntraining: {ppo: {trust_region: {kind: clip, low: 3}, epocs: 2}}\n"
    )
    finished = call("run", path)
    assert finished.returncode == 3
    assert "did you mean epochs?" in finished.stderr
    assert "low is 3.0" in finished.stderr


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


def test_a_saved_policy_is_judged_alike_again(whole_line: tuple[Path, Any]) -> None:
    folder, printed = whole_line
    again = found(
        call(
            # A run's own folder will do for both.
            "evaluate", "bidding", "--calibration", folder / "out",
            "--policy", folder / "out", "--output", folder / "again", "--json",
            PPO_MARKETING_PROJECT=str(folder),
        )
    )  # fmt: skip
    assert again == printed


def test_a_flipped_byte_in_the_policy_exits_with_6(whole_line: tuple[Path, Any]) -> None:
    folder, _ = whole_line
    damaged = folder / "damaged"
    shutil.copytree(folder / "out" / "policy", damaged)
    weights = damaged / "policy.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(bytes(content))
    finished = call(
        "evaluate", "bidding", "--calibration", folder / "out" / "calibration",
        "--policy", damaged, "--output", folder / "none", PPO_MARKETING_PROJECT=str(folder),
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


def test_a_second_job_in_the_same_folder_exits_with_75(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    arguments, variables = _train(whole_line[0] / "out" / "calibration", tmp_path, 2048)
    with held_alone(tmp_path / "out"):
        finished = call(*arguments, **variables)
    assert finished.returncode == 75
    assert "another job" in finished.stderr
    assert not list((tmp_path / "out").iterdir())
    assert found(call(*arguments, **variables))["steps"] >= 2048


def test_a_finished_demonstration_is_made_anew_and_an_unfinished_one_resumed(
    tmp_path: Path,
) -> None:
    for name in ("checkpoint.pt", "checkpoint.json"):
        (tmp_path / name).write_text("kept")
    forget_finished(tmp_path)
    assert (tmp_path / "checkpoint.pt").exists()
    (tmp_path / "evidence.json").write_text("{}")
    forget_finished(tmp_path)
    assert not list(tmp_path.iterdir())


def _spoil_fidelity(calibration: Path) -> None:
    """Turn one check of a saved report into a failure, as a miscalibrated log would."""
    kept = BiddingCalibration.load(calibration)
    first, *others = kept.fidelity.checks
    wrong = replace(kept.fidelity, checks=(replace(first, value=99.0), *others))
    for name in ("settings.json", "log.json"):
        shutil.copy(calibration / name, calibration.parent / name)
    replace(kept, fidelity=wrong).save(calibration)
    for name in ("settings.json", "log.json"):
        shutil.copy(calibration.parent / name, calibration / name)


def test_training_on_a_failed_simulator_is_refused_unless_accepted_by_name(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, _ = whole_line
    calibration = tmp_path / "calibration"
    shutil.copytree(folder / "out" / "calibration", calibration)
    _spoil_fidelity(calibration)
    arguments = (
        "train", "bidding", "--calibration", calibration, "--steps", "2048",
        "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    refused = call(*arguments, PPO_MARKETING_PROJECT=str(tmp_path))
    assert refused.returncode == 3
    assert "--accept-failed-fidelity" in refused.stderr
    assert not (tmp_path / "out").exists()
    accepted = call(
        *arguments, "--accept-failed-fidelity", "a test", PPO_MARKETING_PROJECT=str(tmp_path)
    )
    assert found(accepted)["steps"] >= 2048


def _train(calibration: Path, folder: Path, steps: int) -> tuple[list[str], dict[str, str]]:
    arguments = [
        "train", "bidding", "--calibration", str(calibration), "--steps", str(steps),
        "--output", str(folder / "out"), "--json", "--accept-failed-fidelity", "a test",
    ]  # fmt: skip
    variables = {
        "PPO_MARKETING_PROJECT": str(folder),
        "PPO_MARKETING_TRAINING__CHECKPOINT_EVERY": "1",
    }
    return arguments, variables


@pytest.fixture(scope="module")
def never_stopped(whole_line: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a training that nobody stopped."""
    folder = tmp_path_factory.mktemp("straight")
    arguments, variables = _train(whole_line[0] / "out" / "calibration", folder, 60_000)
    found(call(*arguments, **variables))
    return (folder / "out" / "policy" / "policy.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_stopped_training_resumes_to_the_very_same_policy(
    whole_line: tuple[Path, Any],
    never_stopped: bytes,
    tmp_path: Path,
    sent: signal.Signals,
    code: int,
) -> None:
    arguments, variables = _train(whole_line[0] / "out" / "calibration", tmp_path, 60_000)
    job = subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, **QUICK, **variables},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    checkpoint = tmp_path / "out" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline, "training never saved"
        time.sleep(0.02)
    job.send_signal(sent)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == code, errors.decode()
    assert not (tmp_path / "out" / "policy").exists()
    assert found(call(*arguments, **variables))["steps"] >= 60_000
    weights = (tmp_path / "out" / "policy" / "policy.safetensors").read_bytes()
    assert weights == never_stopped


def test_another_training_in_the_same_folder_is_refused_and_nothing_is_lost(
    whole_line: tuple[Path, Any], tmp_path: Path
) -> None:
    calibration = whole_line[0] / "out" / "calibration"
    arguments, variables = _train(calibration, tmp_path, 2048)
    found(call(*arguments, **variables))
    kept = (tmp_path / "out" / "checkpoint.pt").read_bytes()
    longer, _ = _train(calibration, tmp_path, 4096)
    refused = call(*longer, **variables)
    assert refused.returncode == 3
    assert "differs in training" in refused.stderr
    assert (tmp_path / "out" / "checkpoint.pt").read_bytes() == kept


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


def test_the_command_after_a_search_is_quoted_and_carries_the_reason_it_needed() -> None:
    reason = "a pilot on ten customers"
    config = load_config(None, {"decision": "bidding", "accept_failed_fidelity": reason})
    line = shlex.split(use_of(Path("my runs/tuned.yaml"), config, Path("market")))
    assert line[1:] == [
        "train", "bidding", "--calibration", "market", "--config", "my runs/tuned.yaml",
        "--output", "my runs/trained", "--accept-failed-fidelity", reason,
    ]  # fmt: skip


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
