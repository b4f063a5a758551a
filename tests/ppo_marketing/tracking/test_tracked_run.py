from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.figure import Figure

from ppo_marketing.errors import PpoMarketingError, UserError
from ppo_marketing.tracking import Run, Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.tracking import MlflowClient


@pytest.fixture
def run(tracker: Tracker) -> Iterator[Run]:
    with tracker.start("runs", "one", params={}) as run:
        yield run


@pytest.fixture
def artifacts(project: Path, run: Run) -> Path:
    return project / "mlruns" / run.id / "artifacts"


def test_metrics_come_back_with_their_steps(run: Run, client: MlflowClient) -> None:
    run.metrics({"return": 1.5, "kl": 0.01}, step=0)
    run.metrics({"return": 2.5, "kl": 0.02}, step=4096)
    history = [(m.step, m.value) for m in client.get_metric_history(run.id, "return")]
    assert history == [(0, 1.5), (4096, 2.5)]
    assert client.get_run(run.id).data.metrics == {"return": 2.5, "kl": 0.02}


def test_a_step_with_a_value_that_is_not_finite_is_refused_whole(
    run: Run, client: MlflowClient
) -> None:
    with pytest.raises(PpoMarketingError, match=r"step 7.*loss is nan; kl is inf") as refused:
        run.metrics({"loss": math.nan, "fine": 1.0, "kl": math.inf}, step=7)
    assert "fine" not in str(refused.value)
    assert client.get_run(run.id).data.metrics == {}


def test_a_dataset_is_known_by_its_whole_hash(run: Run, client: MlflowClient) -> None:
    digest = "0123456789abcdef" * 4
    run.dataset("auction log", digest, rows=1000, source="logs/june.csv")
    run.dataset("held-out days", "f" * 64, rows=10, source="logs/july.csv", context="evaluation")
    record = client.get_run(run.id)
    inputs = {item.dataset.name: item for item in record.inputs.dataset_inputs}
    used = inputs["auction log"]
    assert digest.startswith(used.dataset.digest)
    assert json.loads(used.dataset.profile) == {"num_rows": 1000, "sha256": digest}
    assert "logs/june.csv" in used.dataset.source
    contexts = {name: item.tags[0].value for name, item in inputs.items()}
    assert contexts == {"auction log": "training", "held-out days": "evaluation"}
    assert record.data.tags["data.sha256"] == digest


def test_reports_figures_and_files_are_kept(run: Run, artifacts: Path, tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    table = tmp_path / "table.csv"
    table.write_text("rule,value\n")
    run.json("fidelity/report", {"ks": 0.02})
    run.figure("fidelity/price", figure)
    run.figure("learning.png", figure)
    run.file(table)
    assert json.loads((artifacts / "fidelity" / "report.json").read_text()) == {"ks": 0.02}
    assert (artifacts / "fidelity" / "price.png").read_bytes().startswith(b"\x89PNG")
    assert (artifacts / "learning.png").exists()
    assert (artifacts / "table.csv").read_text() == "rule,value\n"


def test_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.csv"):
        run.file(tmp_path / "nowhere.csv")
    example = np.zeros((1, 1), np.float32)
    with pytest.raises(UserError, match=r"policy\.safetensors.*policy\.json"):
        run.policy(tmp_path, observation_example=example, action_example=example)
