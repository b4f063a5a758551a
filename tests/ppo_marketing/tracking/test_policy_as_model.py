from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ppo_marketing.errors import IntegrityError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import save_policy
from ppo_marketing.tracking import Tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@pytest.fixture
def observation(rng: np.random.Generator) -> Any:
    return rng.normal(size=(4, 5)).astype(np.float32)


@pytest.fixture
def address(
    tracker: Tracker, agent: Agent, observation: Any, rng: np.random.Generator, tmp_path: Path
) -> str:
    """Where the policy of `agent` was recorded."""
    save_policy(agent, tmp_path)
    action = agent.act(observation, rng, deterministic=True)
    with tracker.start("models", "one", params={}) as run:
        return run.policy(tmp_path, observation_example=observation, action_example=action)


@pytest.fixture
def stored(address: str, client: MlflowClient, project: Path) -> Path:
    """The folder of the recorded model."""
    folder = project / "mlruns" / "models" / address.removeprefix("models:/") / "artifacts"
    location = client.get_logged_model(address.removeprefix("models:/")).artifact_location
    assert location == folder.as_uri()
    return folder


def test_it_loads_with_pickle_forbidden_and_answers_the_same_actions(
    address: str,
    agent: Agent,
    rng: np.random.Generator,
    store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    monkeypatch.setattr(sys, "path", list(sys.path))
    loaded = mlflow.pyfunc.load_model(address)
    fresh = rng.normal(size=(100, 5)).astype(np.float32)
    expected = agent.act(fresh, rng, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(fresh), expected)
    assert np.ptp(expected) > 0.0, "the policy must depend on what it observes"
    with pytest.raises(mlflow.MlflowException, match="schema"):
        loaded.predict(fresh[:, :4])
    with pytest.raises(mlflow.MlflowException, match="schema"):
        loaded.predict(fresh.astype(np.float64))


def test_it_loads_in_another_process_by_the_code_stored_with_it(
    address: str,
    stored: Path,
    agent: Agent,
    observation: Any,
    rng: np.random.Generator,
    store_uri: str,
) -> None:
    script = """
import json, sys
import mlflow, numpy
observation = numpy.array(json.loads(sys.argv[2]), numpy.float32)
actions = mlflow.pyfunc.load_model(sys.argv[1]).predict(observation)
import ppo_marketing
print(json.dumps([ppo_marketing.__file__, actions.tolist()]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", script, address, json.dumps(observation.tolist())],
        env={**os.environ, "MLFLOW_TRACKING_URI": store_uri},
        capture_output=True,
        text=True,
        check=True,
    )
    code, actions = json.loads(answer.stdout)
    assert Path(code) == stored / "code" / "ppo_marketing" / "__init__.py"
    np.testing.assert_allclose(actions, agent.act(observation, rng, deterministic=True), rtol=1e-6)
    assert answer.stderr == ""


def test_it_is_signed_and_shows_an_example(stored: Path, observation: Any) -> None:
    from mlflow.models import Model

    model = Model.load(stored)
    inputs, outputs = model.signature.inputs.inputs[0], model.signature.outputs.inputs[0]
    assert (inputs.type, inputs.shape) == (np.dtype(np.float32), (-1, 5))
    assert outputs.shape == (-1, 2)
    example = np.array(json.loads((stored / "input_example.json").read_text()))
    np.testing.assert_allclose(example, observation, rtol=1e-6)


def test_no_file_of_it_is_a_pickle(stored: Path) -> None:
    files = [path for path in stored.rglob("*") if path.is_file()]
    assert {"policy.safetensors", "policy.json", "policy_model.py"} <= {f.name for f in files}
    for path in files:
        assert path.suffix in {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}, path
        # Every pickle since protocol 2 begins so, and torch's own files are zip archives.
        assert not path.read_bytes().startswith((b"\x80", b"PK")), path


def test_its_requirements_pin_everything_the_stored_code_imports(stored: Path) -> None:
    lines = (stored / "requirements.txt").read_text().splitlines()
    required = {line.partition("==")[0] for line in lines}
    assert all(line.partition("==")[2] and "+" not in line for line in lines)
    imported = set()
    for script in stored.rglob("*.py"):
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported - set(sys.stdlib_module_names) - {"ppo_marketing"} == required


def test_the_run_and_the_model_know_each_other(
    address: str, client: MlflowClient, stored: Path
) -> None:
    model = client.get_logged_model(address.removeprefix("models:/"))
    assert model.status == "READY"
    outputs = client.get_run(model.source_run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [model.model_id]
    description = json.loads((stored / "artifacts" / "policy" / "policy.json").read_text())
    assert model.tags["policy.sha256"] == description["sha256"]


def test_recording_leaves_the_import_path_alone(
    tracker: Tracker, agent: Agent, observation: Any, rng: np.random.Generator, tmp_path: Path
) -> None:
    save_policy(agent, tmp_path)
    action = agent.act(observation, rng, deterministic=True)
    before = list(sys.path)
    with tracker.start("models", "path", params={}) as run:
        run.policy(tmp_path, observation_example=observation, action_example=action)
    assert sys.path == before


def test_a_policy_that_is_not_the_one_judged_is_not_recorded(
    tracker: Tracker,
    client: MlflowClient,
    agent: Agent,
    observation: Any,
    rng: np.random.Generator,
    tmp_path: Path,
) -> None:
    save_policy(agent, tmp_path)
    other = agent.act(observation, rng, deterministic=True) + 0.01
    with (
        pytest.raises(IntegrityError, match="does not answer the example"),
        tracker.start("models", "other", params={}) as run,
    ):
        run.policy(tmp_path, observation_example=observation, action_example=other)
    experiment = client.get_experiment_by_name("models")
    assert experiment is not None
    models = client.search_logged_models([experiment.experiment_id])
    mine = [model.status for model in models if model.source_run_id == run.id]
    assert mine == ["FAILED"]


def test_a_damaged_policy_is_not_recorded(
    tracker: Tracker, agent: Agent, observation: Any, rng: np.random.Generator, tmp_path: Path
) -> None:
    save_policy(agent, tmp_path)
    tensors = tmp_path / "policy.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    action = agent.act(observation, rng, deterministic=True)
    with (
        pytest.raises(IntegrityError, match="damaged"),
        tracker.start("models", "damaged", params={}) as run,
    ):
        run.policy(tmp_path, observation_example=observation, action_example=action)
