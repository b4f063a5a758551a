"""The project file: an example that works, every problem at once, and what is part of the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import envs
from ppo_marketing.errors import UserError
from ppo_marketing.retraining.project import example, load_project


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PPO_MARKETING_PROJECT", raising=False)


def written(folder: Path, content: dict[str, Any] | str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "project.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("decision", envs.decision_names())
def test_the_example_works_as_it_is(decision: str, tmp_path: Path) -> None:
    project = load_project(written(tmp_path, example(decision)))
    assert project.name == project.config.decision == decision
    assert project.folder == tmp_path / "data" / "retraining" / decision
    assert [export.target for export in project.exports] == ["bundle"]


def test_every_problem_of_every_section_is_listed_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "run": {"decision": "biding", "training": {"total_stepps": 5}, "output": "here"},
            "retraining": {"seeds": 0, "least_lfit": 0.1},
            "exports": [{"target": "bundle"}],
            "alerts": {"webhook": "file:///etc/passwd"},
            "shfit": {},
        },
    )
    with pytest.raises(UserError) as refused:
        load_project(path)
    for part in (
        "run.output",
        "total_stepps",
        "retraining.seeds",
        "did you mean least_lift?",
        "exports.0.output: it must be given",
        "alerts.webhook",
        "did you mean shift?",
        "--example",
    ):
        assert part in str(refused.value), part
    assert "/etc/passwd" not in str(refused.value), "an address may hold a secret"


def test_a_contradiction_inside_a_section_is_said(tmp_path: Path) -> None:
    content = {"run": {"decision": envs.decision_names()[0]}, "data": {"volume_change": -1}}
    with pytest.raises(UserError, match="volume_change is -1"):
        load_project(written(tmp_path, content))


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    content = {
        "run": {
            "decision": envs.decision_names()[0],
            "project": "..",
            "log": {"path": "logs/a.csv"},
            "guardrails": {"suppression_list": "stop.txt"},
        },
        "exports": [{"output": "out", "rows": "/abs/rows.csv"}],
    }
    project = load_project(written(tmp_path / "deep", content))
    assert project.config.log.path == tmp_path / "deep" / "logs" / "a.csv"
    assert project.config.project == tmp_path / "deep" / ".."
    assert project.config.guardrails.suppression_list == tmp_path / "deep" / "stop.txt"
    assert project.exports[0].output == tmp_path / "deep" / "out"
    assert project.exports[0].rows == Path("/abs/rows.csv")


def test_what_changes_the_outcome_changes_the_identity_and_nothing_else_does(
    tmp_path: Path,
) -> None:
    plain: dict[str, Any] = {
        "run": {"decision": envs.decision_names()[0], "project": "."},
        "exports": [{"output": "out"}],
    }
    identity = load_project(written(tmp_path / "a", plain)).identity()
    assert load_project(written(tmp_path / "b", plain)).identity() == identity, "a moved project"
    same = {**plain, "alerts": {"heartbeat_hours": 5}, "retraining": {"keep_runs": 9}}
    assert load_project(written(tmp_path / "a", same)).identity() == identity
    for other in (
        {**plain, "retraining": {"seeds": 7}},
        {**plain, "shift": {"alert_stops": False}},
        {**plain, "exports": []},
        {**plain, "run": {**plain["run"], "seed": 1}},
        {**plain, "run": {**plain["run"], "release": {"four_eyes": True}}},
    ):
        assert load_project(written(tmp_path / "a", other)).identity() != identity
