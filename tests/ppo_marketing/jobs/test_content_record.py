from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ppo_marketing.cli import app
from ppo_marketing.content.stages.files import write_lines
from ppo_marketing.errors import Refused
from ppo_marketing.jobs.content import numbers, write_braze_catalog
from tests.support.language import tiny_language

RUN = CliRunner()


def test_numbers_of_a_result_are_named_by_their_path() -> None:
    found = numbers(
        {"a": 1, "b": {"c": 0.5, "d": "text", "e": None, "f": True}, "g": [3.0, 2.0], "h": [{}]}
    )
    assert found == {"a": 1.0, "b.c": 0.5, "g": 2.0}


def test_a_braze_catalog_has_an_id_for_every_text_and_refuses_html(tmp_path: Path) -> None:
    rows = [
        {"prompt": "shoes :", "text": "=try our shoes"},
        {"prompt": "shoes :", "text": "meet, our shoes"},
    ]
    path = tmp_path / "catalog.csv"
    write_braze_catalog(rows, path)
    assert path.read_text(encoding="utf-8").splitlines() == [
        '"id","prompt","text"',
        '"shoes-1","shoes :","=try our shoes"',
        '"shoes-2","shoes :","meet, our shoes"',
    ]
    with pytest.raises(Refused, match="HTML"):
        write_braze_catalog([{"prompt": "shoes :", "text": "<b>new</b>"}], tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_stages_by_command_are_recorded_once_with_their_inputs_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    tiny_language().save(tmp_path / "model")
    rows = [{"prompt": "shoes :", "text": "try our shoes ."}, {"prompt": "bags :", "text": "new ."}]
    write_lines(tmp_path / "corpus.jsonl", rows)
    (tmp_path / "reward.yaml").write_text("terms:\n- {kind: tone, lexicon: {warm: 1}, weight: 1}\n")
    (tmp_path / "ppo.yaml").write_text("{texts: 8, minibatch: 8, most_tokens: 4, updates: 2}\n")
    sft = f"sft --model {tmp_path}/model --corpus {tmp_path}/corpus.jsonl -o {tmp_path}/sft --json"
    ppo = (
        f"ppo --model {tmp_path}/sft/model --prompts {tmp_path}/corpus.jsonl --rules "
        f"{tmp_path}/reward.yaml -c {tmp_path}/ppo.yaml -o {tmp_path}/ppo --json"
    )
    runs = []
    for line in (sft, sft, ppo):
        done = RUN.invoke(app, ["content", *line.split()], catch_exceptions=False)
        runs.append(json.loads(done.stdout)["run"])
    assert runs[0] == runs[1] != runs[2]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    fitted, aligned = (client.get_run(one) for one in (runs[0], runs[2]))
    assert fitted.data.params["settings.learning_rate"] == "0.003"
    assert len(fitted.data.params["corpus"]) == 64  # a hash
    assert "loss_nats_a_token" in fitted.data.metrics
    assert aligned.info.status == "FINISHED"
    curve = client.get_metric_history(runs[2], "kl")
    assert [point.step for point in curve] == [1, 2]
    assert curve[0].value == 0.0
