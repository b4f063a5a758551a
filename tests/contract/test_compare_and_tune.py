"""`compare` and `tune` on a decision that nobody wrote them for: resumed, recorded, refused."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import fourth_decision
from tests.support.fourth_decision import QUICK, command, copied, variables

FEWER = {
    **QUICK,
    "PPO_MARKETING_TRAINING__VALIDATION_EPISODES": "16",
    "PPO_MARKETING_EVALUATION__EPISODES": "40",
    "PPO_MARKETING_EVALUATION__BOOTSTRAP": "100",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application with one decision folder more, and a calibration of it."""
    folder = copied(tmp_path_factory.mktemp("application"), "envs", "ppo_marketing")
    finished = call(folder, "calibrate", "pricing", "-o", folder / "market")
    assert finished.returncode == 0, finished.stderr
    return folder


def call(copy: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return fourth_decision.call(copy, *arguments, settings=FEWER)


def compared(copy: Path, output: Path, *more: str | Path) -> list[str | Path]:
    return [
        "compare", "pricing", "--calibration", copy / "market", "-o", output,
        "--seeds", "2", "--steps", "4096", "--off-policy-steps", "200", *more,
    ]  # fmt: skip


def test_every_algorithm_has_its_row_beside_ceiling_floor_and_rule_and_its_nested_run(
    copy: Path,
) -> None:
    output = copy / "all"
    names = ("--algorithms", "ppo,ppo-sb3,a2c,trpo,vpg,reinforce,dqn,sac,ddpg")
    more = ("--json", "--seeds", "1", "--sweep", "epochs")
    finished = call(copy, *compared(copy, output, *names, *more))
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    rows = {one["label"]: one for one in found["competitors"]}
    everyone = {"ppo", "ppo-sb3", "a2c", "trpo", "vpg", "reinforce", "dqn", "sac", "ddpg"}
    swept = {"ppo epochs=1", "ppo epochs=2", "ppo epochs=8", "ppo epochs=16"}
    assert rows.keys() == everyone | swept
    for row in rows.values():
        assert 0.2 < row["share"]["value"] <= 1.0, row["label"]
        assert row["curve"]["steps"][0] == 0
        assert row["curve"]["steps"][-1] == row["steps"]
        assert row["cpu_seconds"] > 0
    assert {rows[name]["steps"] for name in everyone - {"dqn", "sac", "ddpg"}} == {4096}
    assert [rows[name]["form"] for name in ("ppo", "dqn", "sac")] == ["own", "own", "continuous"]
    assert rows["ppo"]["forbidden_share"] == rows["sac"]["forbidden_share"] == 0.0
    kinds = {row["name"]: row["kind"] for row in found["evidence"]["rows"]}
    assert kinds["ceiling"] == "ceiling"
    assert kinds["one price"] == "rule"
    assert kinds["no offer"] == "floor"
    assert found["sweeps"]["epochs"][2] == [4.0, "ppo"]
    assert finished.stderr.index("trainings, ") < finished.stderr.index("training  ")
    for file in ("comparison.json", "report.md", "comparison.png", "sweep.png", "config.yaml"):
        assert (output / file).stat().st_size > 0
    children = nested(copy, f"compare {output.name}")
    assert {run.data.tags["mlflow.runName"] for run in children} == {
        f"{label.replace(' ', '_').replace('=', '_')}-seed0" for label in rows
    }
    assert all(run.info.status == "FINISHED" for run in children)


def nested(copy: Path, name: str) -> list[Any]:
    """The runs below those of this name."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{copy / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pricing")
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    parents = {r.info.run_id for r in runs if r.info.run_name == name}
    return [r for r in runs if r.data.tags.get("mlflow.parentRunId") in parents]


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.verify)],
)
def test_a_stopped_comparison_keeps_what_was_finished_and_goes_on_from_it(
    copy: Path, sent: signal.Signals, code: int
) -> None:
    output = copy / f"stopped-{code}"
    line = compared(copy, output, "--algorithms", "vpg,ppo-sb3", "--processes", "1", "--json")
    job = subprocess.Popen(
        command("ppo_marketing", *line), cwd=copy, env=variables(copy, FEWER),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((output / "trainings").glob("*.json")):
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline, "no training was ever kept"
        time.sleep(0.02)
    job.send_signal(sent)
    assert job.wait(60) == code
    kept = {path: path.stat().st_mtime_ns for path in (output / "trainings").glob("*.json")}
    assert 1 <= len(kept) < 4
    resumed = call(copy, *line)
    assert resumed.returncode == 0, resumed.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "none was done again"
    assert len(list((output / "trainings").glob("*.json"))) == 4
    labels = [one["label"] for one in json.loads(resumed.stdout)["competitors"]]
    assert sorted(labels) == ["ppo-sb3", "vpg"]


def test_a_refusal_leaves_nothing_behind(copy: Path) -> None:
    output = copy / "refused"
    config = copy / "contradiction.yaml"
    config.write_text("training: {ppo: {minibatch_size: 1000000}}")
    finished = call(copy, *compared(copy, output, "--config", config))
    assert finished.returncode == 3, finished.stderr
    assert "one rollout has only 2048 rows" in finished.stderr
    assert not output.exists(), "nothing was begun"


def test_a_search_goes_on_where_it_was_and_its_settings_can_be_run(copy: Path) -> None:
    output = copy / "tuned"
    line: list[str | Path] = [
        "tune", "pricing", "--calibration", copy / "market", "-o", output, "--steps", "4096",
        "--set", "unit_cost=0.7",
    ]  # fmt: skip
    begun = call(copy, *line, "--trials", "1", "--json")
    assert begun.returncode == 0, begun.stderr
    first = json.loads((output / "tuning.json").read_text())
    gone_on = call(copy, *line, "--trials", "3")
    assert gone_on.returncode == 0, gone_on.stderr
    second = json.loads((output / "tuning.json").read_text())
    assert len(second["trials"]) == 3
    assert second["trials"][:1] == first["trials"], "none was done again"
    assert second["best_score"] >= second["default_score"] == first["default_score"]
    assert len(nested(copy, "tune tuned")) == 1 + 3  # each start records all that it rests on
    assert f"best: {second['best_score']:.4f} of the ceiling" in gone_on.stdout
    trained = call(copy, *command_after(gone_on.stdout), "--steps", "4096")
    assert trained.returncode == 0, trained.stderr
    config = yaml.safe_load((output / "trained" / "config.yaml").read_text())
    assert config["decision"] == "pricing"
    assert config["training"]["ppo"] == second["chosen"]
    settings = json.loads((output / "trained" / "policy" / "settings.json").read_text())
    assert settings["unit_cost"] == 0.7


def test_a_search_on_a_log_leaves_a_file_that_runs_on_that_log(copy: Path) -> None:
    log, output = copy / "log.parquet", copy / "tuned-on-a-log"
    assert call(copy, "generate", "pricing", "-o", log, "--days", "12").returncode == 0
    searched = call(
        copy, "tune", "pricing", "--log", log, "-o", output, "--steps", "4096", "--trials", "1",
        "--set", "unit_cost=0.7",
    )  # fmt: skip
    assert searched.returncode == 0, searched.stderr
    tuned = yaml.safe_load((output / "tuned.yaml").read_text())
    assert tuned.keys() == {"decision", "log", "environment", "training"}
    ran = call(copy, *command_after(searched.stdout), "--steps", "4096", "--json")
    assert ran.returncode == 0, ran.stderr
    config = yaml.safe_load((output / "trained" / "config.yaml").read_text())
    assert (config["decision"], config["log"]["path"]) == ("pricing", str(log))
    assert config["environment"] == {"unit_cost": 0.7}
    assert config["training"]["ppo"] == tuned["training"]["ppo"]


def command_after(said: str) -> list[str]:
    """The arguments of the command that a search ends with."""
    (following,) = [line for line in said.splitlines() if line.startswith("next ")]
    _, program, *arguments = shlex.split(following)
    assert Path(program).name == "ppo-marketing"
    return arguments
