"""The registry: one version a policy, aliases that say who is champion, files that are theirs."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import save_policy
from ppo_marketing.tracking import Registry, Tracker
from ppo_marketing.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    Version,
    model_name,
    named_files,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DECISION = "registered"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy")


@pytest.fixture
def registry(tracker: Tracker, agent: Agent, policy: Path) -> Registry:
    """The registry of a store in which a run logged the policy of `agent`."""
    registry = tracker.registry
    if not (policy / "policy.json").exists():
        save_policy(agent, policy)
        rng = np.random.default_rng(1)
        example = rng.normal(size=(4, 5)).astype(np.float32)
        action = agent.act(example, rng, deterministic=True)
        with tracker.start(DECISION, "one", params={"seed": 1}) as run:
            run.policy(policy, observation_example=example, action_example=action)
    return registry


def registered(registry: Registry, policy: Path, decision: str = DECISION) -> Version:
    logged = registry.logged_policy(DECISION, policy)
    sha256 = hashlib.sha256((policy / "policy.json").read_bytes()).hexdigest()
    return registry.register(decision, logged, sha256, {"gate.verdict": "passed"})


def test_a_policy_is_one_version_however_often_it_is_registered(
    registry: Registry, policy: Path, client: MlflowClient
) -> None:
    first, again = registered(registry, policy), registered(registry, policy)
    assert first == again
    assert registry.history(DECISION) == (first,)
    stored = client.get_model_version(model_name(DECISION), str(first.number))
    assert stored.tags["gate.verdict"] == "passed"
    assert stored.tags["model.id"].startswith("m-")
    assert stored.run_id == registry.logged_policy(DECISION, policy).run_id


def test_aliases_name_one_version_each_and_a_champion_is_no_challenger(
    registry: Registry, policy: Path, client: MlflowClient
) -> None:
    number = registered(registry, policy, "aliases").number
    assert registry.champion("aliases") is None
    registry.set_challenger("aliases", number)
    assert registry.alias("aliases", CHALLENGER) == number
    registry.set_champion("aliases", number)
    assert registry.alias("aliases", CHALLENGER) is None
    champion = registry.champion("aliases")
    assert champion is not None
    assert champion.number == number
    assert client.get_registered_model(model_name("aliases")).aliases == {CHAMPION: number}


def test_a_decision_that_was_never_released_has_no_history(registry: Registry) -> None:
    assert registry.history("nothing") == ()
    assert registry.champion("nothing") is None


def test_everything_is_every_decision_of_this_program_and_no_other_model(
    registry: Registry, policy: Path, client: MlflowClient
) -> None:
    registered(registry, policy, "first")
    registered(registry, policy, "second")
    client.create_registered_model("somebody else's")
    models = {version.model for version in registry.everything()}
    assert {model_name("first"), model_name("second")} <= models
    assert "somebody else's" not in models


def test_a_record_answers_for_its_weights_or_for_every_file_that_it_names() -> None:
    assert named_files({"sha256": "ab"}) == {"policy.safetensors": "ab"}
    files = {"model/config.json": "cd", "reward.yaml": "ef"}
    assert named_files({"sha256": "ab", "files": files}) == files


def test_a_deleted_version_is_named(registry: Registry, policy: Path, client: MlflowClient) -> None:
    number = registered(registry, policy, "deleted").number
    client.delete_model_version(model_name("deleted"), str(number))
    with pytest.raises(IntegrityError, match="version 1 of ppo-marketing-deleted is no longer in"):
        registry.version("deleted", number)


def test_a_policy_that_no_run_logged_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text('{"sha256": "0"}')
    with pytest.raises(UserError, match="trained into another store"):
        registry.logged_policy(DECISION, tmp_path)
    with pytest.raises(UserError, match="trained into another store"):
        registry.logged_policy("nothing", tmp_path)


@pytest.mark.parametrize("file", ["policy.json", "policy.safetensors"])
def test_stored_files_that_changed_are_refused(registry: Registry, policy: Path, file: str) -> None:
    version = registered(registry, policy)
    registry.require_untouched(version)
    path = Path(version.location.removeprefix("file://").replace("%20", " ").replace("%23", "#"))
    stored = path / "artifacts" / "policy" / file
    sound = stored.read_bytes()
    try:
        for damaged in (sound[:-1] + bytes([sound[-1] ^ 1]), b""):
            stored.write_bytes(damaged)
            with pytest.raises(IntegrityError, match="are missing or are not the policy of"):
                registry.require_untouched(version)
            with pytest.raises(IntegrityError, match="are missing or are not the policy of"):
                registry.logged_policy(DECISION, policy)
        stored.unlink()
        with pytest.raises(IntegrityError, match="are missing or are not the policy of"):
            registry.require_untouched(version)
    finally:
        stored.write_bytes(sound)


def test_a_tag_longer_than_mlflow_keeps_is_cut_and_not_refused(
    registry: Registry, policy: Path
) -> None:
    number = registered(registry, policy, "long").number
    registry.tag("long", number, {"gate.reasons": "x" * 6000})
    assert registry.version("long", number).tags["gate.reasons"] == "x" * 5000


def test_a_locked_store_delays_an_alias_and_loses_nothing(
    registry: Registry, policy: Path, project: Path
) -> None:
    number = registered(registry, policy, "locked").number
    database = project / "mlruns" / "mlflow.db"
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as held:
        held.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(1.0, lambda: held.execute("ROLLBACK"))
        release.start()
        registry.set_champion("locked", number)
        release.join()
    assert registry.alias("locked", CHAMPION) == number
