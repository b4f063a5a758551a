"""`evaluate --log`: a policy's probabilities against a log alone; no simulator is fitted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.command import run_command

LOG_ROWS = 30_000  # of three generated days


def call(project: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    variables = {
        "PPO_MARKETING_PROJECT": str(project),
        "PPO_MARKETING_EVALUATION__BOOTSTRAP": "300",
    }
    return run_command(*arguments, folder=project, variables=variables)


def evaluate(
    project: Path, log: Path, policy: Path | str, *more: str
) -> subprocess.CompletedProcess[str]:
    return call(
        project, "evaluate", "personalization", "--log", log, "--policy", policy,
        "--output", project / "out", *more,
    )  # fmt: skip


def found(finished: subprocess.CompletedProcess[str]) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def estimate(report: Any, name: str) -> Any:
    return next(row for row in report["estimates"] if row["name"] == name)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    path = folder / "log.parquet"
    assert call(folder, "generate", "personalization", "-o", path, "--days", "3").returncode == 0
    return path


@pytest.fixture
def visits(log: Path) -> pd.DataFrame:
    return pd.read_parquet(log)


def greedy(visits: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    """Nine times in ten one of two items, by the first feature; the rest evenly."""
    items = sorted(visits["action_id"].unique())
    table = pd.DataFrame(0.1 / len(items), index=visits.index, columns=items)
    first = visits["x0"] > 0
    table.loc[first, items[3]] += 0.9
    table.loc[~first, items[5]] += 0.9
    return table.add_prefix(prefix)


def test_the_estimates_are_those_on_paper_and_the_report_is_kept_and_tracked(
    tmp_path: Path, log: Path, visits: pd.DataFrame
) -> None:
    policy = greedy(visits, "p_")
    policy.to_csv(tmp_path / "policy.csv", index=False)
    report = found(evaluate(tmp_path, log, tmp_path / "policy.csv", "--json"))

    chosen = policy.to_numpy()[
        np.arange(LOG_ROWS), [policy.columns.get_loc(f"p_{a}") for a in visits["action_id"]]
    ]
    w, r = chosen / visits["propensity"].to_numpy(), visits["reward"].to_numpy(float)
    assert estimate(report, "IPS")["value"] == pytest.approx((w * r).mean())
    assert estimate(report, "SNIPS")["value"] == pytest.approx((w * r).sum() / w.sum())
    assert report["logging"]["value"] == pytest.approx(r.mean())
    assert report["diagnostics"]["effective_n"] == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert report["diagnostics"]["largest_weight"] == pytest.approx(w.max())
    assert report["diagnostics"]["positives"] == r.sum()
    robust = estimate(report, "DR")
    assert report["lift"]["value"] == pytest.approx(robust["value"] - r.mean())
    assert {row["family"] for row in report["estimates"]} == {
        "importance weighting", "model", "doubly robust",
    }  # fmt: skip
    assert report["propensity"] == "logged"
    assert report["calibration"] is None

    kept = json.loads((tmp_path / "out" / "off_policy.json").read_text())
    assert {name: kept[name] for name in report} == report
    page = (tmp_path / "out" / "off_policy.md").read_text()
    assert "the log's own policy" in page
    assert "must not have learnt from these rows" in page
    assert not (tmp_path / "out" / "calibration").exists()
    _is_tracked(tmp_path, report)


def _is_tracked(project: Path, report: Any) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'mlruns' / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'personalization'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["off_policy.lift"] == pytest.approx(report["lift"]["value"])
    assert run.data.tags["policy.sha256"] == report["policy_sha256"]
    assert run.inputs.dataset_inputs[0].tags[0].value == "evaluation"
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"off_policy.json", "off_policy.md"} <= names


def test_uniform_is_every_action_alike_and_a_log_that_can_say_gives_its_bound(
    tmp_path: Path, log: Path, visits: pd.DataFrame
) -> None:
    shorthand = found(evaluate(tmp_path, log, "uniform", "--json"))
    items = visits["action_id"].unique()
    even = pd.DataFrame(1 / len(items), index=visits.index, columns=items)
    even.to_parquet(tmp_path / "even.parquet")
    written = found(evaluate(tmp_path, log, tmp_path / "even.parquet", "--json"))
    assert written["diagnostics"] == pytest.approx(shorthand["diagnostics"])
    assert written["lift"] == pytest.approx(shorthand["lift"])
    assert shorthand["can_say"]
    assert shorthand["lift"]["low"] < shorthand["lift"]["value"]


def test_by_the_logs_ids_under_the_teams_own_names_no_order_matters(
    tmp_path: Path, visits: pd.DataFrame
) -> None:
    named = visits.rename(columns={"action_id": "banner"}).assign(decision=range(LOG_ROWS))
    named.sample(frac=1, random_state=1).to_csv(tmp_path / "log.csv", index=False)
    policy = greedy(visits, "p_").assign(decision=range(LOG_ROWS))
    policy.sample(frac=1, random_state=2).to_csv(tmp_path / "policy.csv", index=False)
    (tmp_path / "columns.yaml").write_text("action_id: banner\nimpression_id: decision\n")
    report = found(
        evaluate(
            tmp_path, tmp_path / "log.csv", tmp_path / "policy.csv", "--json",
            "--columns", str(tmp_path / "columns.yaml"),
        )
    )  # fmt: skip
    place = [policy.columns.get_loc(f"p_{a}") for a in visits["action_id"]]
    chosen = policy.to_numpy()[np.arange(LOG_ROWS), place]
    expected = (chosen / visits["propensity"] * visits["reward"]).mean()
    assert estimate(report, "IPS")["value"] == pytest.approx(expected)


def test_without_propensities_they_are_estimated_labelled_and_their_calibration_shown(
    tmp_path: Path, visits: pd.DataFrame
) -> None:
    visits.drop(columns="propensity").to_parquet(tmp_path / "log.parquet")
    finished = evaluate(tmp_path, tmp_path / "log.parquet", "uniform")
    assert finished.returncode == 0, finished.stderr
    assert "propensities are estimated" in finished.stdout
    assert "in the wrong place" in finished.stdout
    kept = json.loads((tmp_path / "out" / "off_policy.json").read_text())
    assert kept["propensity"] == "estimated"
    assert len(kept["calibration"]["bins"]) == 10
    assert "## propensities are estimated" in (tmp_path / "out" / "off_policy.md").read_text()


def test_that_the_log_cannot_say_is_an_answer_without_intervals(
    tmp_path: Path, visits: pd.DataFrame
) -> None:
    few = visits[(visits.index < 400) | (visits["reward"] == 1)]
    few.to_parquet(tmp_path / "log.parquet")
    items = sorted(few["action_id"].unique())
    always = pd.DataFrame(0.0, index=few.index, columns=items)
    always[items[0]] = 1.0
    always.to_csv(tmp_path / "policy.csv", index=False)
    finished = evaluate(tmp_path, tmp_path / "log.parquet", tmp_path / "policy.csv")
    assert finished.returncode == 0, finished.stderr
    assert "The log cannot say what this policy is worth" in finished.stdout
    assert "the effective sample size is" in finished.stdout
    kept = json.loads((tmp_path / "out" / "off_policy.json").read_text())
    assert not kept["can_say"]
    assert kept["lift"]["low"] is None
    assert all(row["bootstrap"] is None for row in kept["estimates"])


def test_everything_wrong_with_log_and_policy_is_one_message_and_nothing_is_written(
    tmp_path: Path, visits: pd.DataFrame
) -> None:
    broken = visits.copy()
    broken["reward"] = broken["reward"].astype(float)
    broken.loc[3, "propensity"] = 0.0
    broken.loc[4, "propensity"] = 1.2
    broken.loc[5, "propensity"] = np.nan
    broken.loc[6, "reward"] = np.inf
    broken.to_parquet(tmp_path / "log.parquet")
    policy = greedy(visits)
    policy.iloc[7] *= 0.5
    policy.iloc[8, 0] = -0.1
    policy.iloc[9, 1] = np.nan
    policy.to_csv(tmp_path / "policy.csv", index=False)
    before = {path.name for path in tmp_path.iterdir()}
    finished = evaluate(tmp_path, tmp_path / "log.parquet", tmp_path / "policy.csv", "--json")
    assert finished.returncode == 3
    assert finished.stdout == ""
    for said in (
        "a propensity of 0", "a number above 1", "propensity: no value", "not finite",
        "do not sum to 1, such as 0.5", "a negative number", "(8)", "log.parquet was not read",
        "policy.csv was not read",
    ):  # fmt: skip
        assert said in finished.stderr, said
    assert "Traceback" not in finished.stderr
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_does_not_match_the_log_is_listed_at_once(
    tmp_path: Path, log: Path, visits: pd.DataFrame
) -> None:
    items = sorted(visits["action_id"].unique())
    short = pd.DataFrame(1 / 18, index=range(LOG_ROWS - 1), columns=items[2:])
    short.to_csv(tmp_path / "policy.csv", index=False)
    finished = evaluate(tmp_path, log, tmp_path / "policy.csv")
    assert finished.returncode == 3
    assert f"no column of the actions {items[0]}, {items[1]}" in finished.stderr
    assert "29,999 rows, where the log has 30,000" in finished.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("decision", ["bidding", "sequencing"])
def test_decisions_that_do_not_stand_alone_are_refused_with_what_to_do_instead(
    tmp_path: Path, log: Path, decision: str
) -> None:
    finished = call(tmp_path, "evaluate", decision, "--log", log, "--policy", "uniform")
    assert finished.returncode == 3
    assert f"evaluate {decision} --calibration FOLDER" in finished.stderr


def test_a_log_and_a_calibration_at_once_or_neither_is_wrong_usage(
    tmp_path: Path, log: Path
) -> None:
    neither = call(tmp_path, "evaluate", "personalization", "--policy", "uniform")
    both = evaluate(tmp_path, log, "uniform", "--calibration", str(tmp_path))
    assert neither.returncode == both.returncode == 2
    assert "--calibration FOLDER" in " ".join(neither.stderr.split())
