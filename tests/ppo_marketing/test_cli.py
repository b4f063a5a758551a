"""The command line: exact exit codes, one JSON object on stdout, nothing half-written."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ppo_marketing.cli.search import use_of
from ppo_marketing.config import load_config
from tests.support.bidding_line import call, call_in, found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "log.parquet"
    assert found(call("generate", "bidding", "-o", path, "--days", "9", "--json"))["rows"] > 1000
    return path


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


def test_the_command_after_a_search_is_quoted_and_carries_the_reason_it_needed() -> None:
    reason = "a pilot on ten customers"
    config = load_config(None, {"decision": "bidding", "accept_failed_fidelity": reason})
    line = shlex.split(use_of(Path("my runs/tuned.yaml"), config, Path("market")))
    assert line[1:] == [
        "train", "bidding", "--calibration", "market", "--config", "my runs/tuned.yaml",
        "--output", "my runs/trained", "--accept-failed-fidelity", reason,
    ]  # fmt: skip
