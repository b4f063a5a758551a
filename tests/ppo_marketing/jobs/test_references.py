"""`training.anchor_to`: whom a run is held to, what that changes, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from envs.core.settings import load_settings
from ppo_marketing.config import load_config
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.calibration import load_calibration
from ppo_marketing.jobs.comparing import market_of
from ppo_marketing.jobs.incumbents import incumbent
from ppo_marketing.jobs.lessons import mean_kl
from ppo_marketing.jobs.line import run_line
from ppo_marketing.jobs.logs import decision_named
from ppo_marketing.jobs.release_book import standing_champion
from ppo_marketing.policy import PolicyActor
from ppo_marketing.ppo.checkpoint import load_checkpoint, load_policy
from ppo_marketing.progress import SilentReporter
from ppo_marketing.reference_states import reference_states
from ppo_marketing.retraining.project import load_project
from tests.support.retraining import TRAINING, project_in, supported
from tests.support.tiny_decision import NAME

HELD = {"anchor": {"coefficient": 100.0}}


@pytest.fixture(autouse=True, scope="module")
def _supported() -> Iterator[None]:
    with supported():
        yield


def run_in(project: Path, name: str, *, seed: int = 0, **sections: Any) -> tuple[Path, str]:
    """A whole run in a project: its folder and its name in the tracker."""
    training = {**TRAINING, **sections.pop("training", {})}
    content = {
        "decision": NAME, "project": str(project), "log": {"path": str(project / "log.parquet")},
        "seed": seed, "training": training, "output": str(project / "data" / "runs" / name),
        **sections,
    }  # fmt: skip
    file = project / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content))
    done = run_line(load_config(file, {}), SilentReporter())
    return done.output, done.run_id


@pytest.fixture(scope="module")
def project(champion_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion; the stored models are shared."""
    folder = tmp_path_factory.mktemp("held") / "project"
    shutil.copytree(champion_project, folder)
    return folder


def champion_of(project: Path) -> Path:
    """The folder of the released policy."""
    line = standing_champion(project, NAME)
    assert line is not None
    runs = project / "data" / "retraining" / NAME / "runs"
    return incumbent(decision_named(NAME), line, project, None, runs).folder


def distance(run: Path, project: Path) -> float:
    """Mean KL(policy, champion) in nats over states of the champion's own play."""
    card, champion = decision_named(NAME), load_policy(champion_of(project))
    calibration, _ = load_calibration(card, run / "calibration")
    settings: Any = load_settings(run / "policy", card.settings_type)
    actor = PolicyActor("champion", champion)
    states = reference_states(calibration.history_world(settings), actor, seed=0)
    return mean_kl(load_policy(run / "policy"), champion, states)


def test_a_run_that_is_held_to_the_champion_ends_nearer_to_it(project: Path) -> None:
    training = {"ppo": HELD, "anchor_to": "champion"}
    held, run_id = run_in(project, "near", seed=1, training=training)
    free, _ = run_in(project, "free", seed=1)
    assert distance(held, project) < 0.2 * distance(free, project)
    own, theirs = held / "policy" / "settings.json", champion_of(project) / "settings.json"
    assert own.read_text() == theirs.read_text()
    assert yaml.safe_load((held / "config.yaml").read_text())["training"]["anchor_to"] == "champion"
    store = MlflowClient(f"sqlite:///{project / 'mlruns' / 'mlflow.db'}")
    tags = store.get_run(run_id).data.tags
    sha256 = load_policy(champion_of(project)).sha256()
    trained = load_checkpoint(held / "checkpoint.pt")["identity"]
    assert tags["training.reference"] == trained["reference"] == sha256


def test_nobody_to_hold_to_is_refused_before_any_work(tmp_path: Path) -> None:
    empty = project_in(tmp_path / "project").parent
    with pytest.raises(UserError, match=r"nothing of pricing was released.*promote a policy first"):
        run_in(empty, "first", training={"ppo": HELD, "anchor_to": "champion"})
    assert not (empty / "data").exists()


def test_a_log_that_does_not_tell_its_policy_is_refused_before_any_work(tmp_path: Path) -> None:
    silent = project_in(tmp_path / "project").parent
    with pytest.raises(UserError, match=r"the log of pricing does not tell.*: champion, or start"):
        run_in(silent, "first", training={"ppo": HELD, "anchor_to": "logging"})
    assert not (silent / "data").exists()


def test_a_reference_without_a_price_is_refused_with_one(project: Path) -> None:
    with pytest.raises(UserError, match=r"no anchor holds to it: set training\.ppo\.anchor") as no:
        run_in(project, "unpriced", training={"anchor_to": "champion"})
    assert no.value.exit_code == 3


def test_a_champion_of_another_form_is_refused(project: Path) -> None:
    training = {"ppo": {**HELD, "hidden": [8]}, "anchor_to": "champion"}
    with pytest.raises(UserError, match=r"another form[\s\S]*anchor_to: start"):
        run_in(project, "smaller", training=training)


def test_a_champion_under_other_settings_is_refused_by_their_names(project: Path) -> None:
    training = {"ppo": HELD, "anchor_to": "champion"}
    with pytest.raises(UserError, match=r"other settings .*\(unit_cost\).*Leave them out"):
        run_in(project, "dearer", training=training, environment={"unit_cost": 0.6})


def test_what_knows_no_champion_refuses_to_be_held_to_one(project: Path, tmp_path: Path) -> None:
    training = {**TRAINING, "ppo": HELD, "anchor_to": "champion"}
    flags = {"decision": NAME, "project": project, "training": training}
    with pytest.raises(UserError, match=r"is compared or tuned.*leave it out"):
        market_of(decision_named(NAME), load_config(None, flags), None, SilentReporter())
    file = project_in(tmp_path, run={"training": training})
    with pytest.raises(UserError, match=r"run\.training\.anchor_to: .* by itself .*leave it out"):
        load_project(file)
