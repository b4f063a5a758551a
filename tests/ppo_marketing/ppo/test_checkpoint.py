from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from ppo_marketing.errors import IntegrityError, PpoMarketingError, UserError
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.checkpoint import (
    load_checkpoint,
    load_policy,
    save_checkpoint,
    save_policy,
)
from ppo_marketing.ppo.config import PPOConfig
from ppo_marketing.ppo.normalise import RunningMoments
from tests.support.toy_environments import BOX, DISCRETE, MULTI_DISCRETE


def make_agent(space: spaces.Space[Any] = BOX, **settings: Any) -> Agent:
    rng = np.random.default_rng(5)
    config = PPOConfig(start="random", **settings)
    agent = Agent.create(spaces.Box(-1.0, 1.0, (3,)), space, config, rng)
    if agent.normaliser is not None:
        agent.normaliser = RunningMoments.empty(3).updated(rng.normal(2.0, 3.0, (40, 3)))
    return agent


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 256 KiB, mounted for the test."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root; run as root to test a truly full disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_state_comes_back_equal(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "arrays": [np.arange(6).reshape(2, 3), np.array([True, False]), np.float32(0.1)],
        "rng": np.random.default_rng(1).bit_generator.state,
        "mersenne": np.random.Generator(np.random.MT19937(1)).bit_generator.state,
        "nested": {"none": None, "text": "ü", "pair": (1, 2.5), "empty": np.empty((0, 3))},
        "unsigned": np.array([2**64 - 1], np.uint64),
    }
    save_checkpoint(tmp_path / "run.ckpt", state)
    loaded = load_checkpoint(tmp_path / "run.ckpt")
    np.testing.assert_equal(
        loaded, state | {"arrays": [*state["arrays"][:2], float(np.float32(0.1))]}
    )
    assert loaded["arrays"][0].dtype == np.int64
    assert loaded["nested"]["pair"] == (1, 2.5)


def test_an_object_that_cannot_be_saved_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"state\['env'\]\[1\] is of type PosixPath"):
        save_checkpoint(tmp_path / "run.ckpt", {"env": [1, tmp_path]})
    with pytest.raises(UserError, match="array of <U1"):
        save_checkpoint(tmp_path / "run.ckpt", {"env": np.array(["a"])})
    assert list(tmp_path.iterdir()) == []


def test_one_flipped_bit_anywhere_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"weights": np.arange(8.0)})
    whole = path.read_bytes()
    places = {0, 7, 8, 39, 40, len(whole) - 1, *rng.integers(0, len(whole), 200).tolist()}
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        with pytest.raises(IntegrityError):
            load_checkpoint(path)


@pytest.mark.parametrize("length", [0, 5, 45, -1])
def test_a_truncated_checkpoint_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    save_checkpoint(path, {"weights": np.arange(8.0)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IntegrityError, match=r"run\.ckpt"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_last_good_checkpoint(full_disk: Path) -> None:
    path = full_disk / "run.ckpt"
    save_checkpoint(path, {"weights": np.arange(100.0)})
    with pytest.raises(PpoMarketingError, match="No space left on device") as failed:
        save_checkpoint(path, {"weights": np.zeros(100_000)})
    assert failed.value.exit_code == 1
    np.testing.assert_array_equal(load_checkpoint(path)["weights"], np.arange(100.0))
    assert [file.name for file in full_disk.iterdir()] == ["run.ckpt"]


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (BOX, {}),
        (spaces.Box(-np.inf, np.inf, (2,)), {}),
        (BOX, {"squash_actions": True}),
        (DISCRETE, {"normalise_observations": False}),
        (MULTI_DISCRETE, {"hidden": (8,)}),
    ],
)
def test_a_policy_acts_alike_after_saving_and_loading(
    space: spaces.Space[Any], settings: dict[str, Any], tmp_path: Path, rng: np.random.Generator
) -> None:
    agent = make_agent(space, **settings)
    save_policy(agent, tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    observation = rng.normal(size=(30, 3))
    before, after = (a.act(observation, np.random.default_rng(1)) for a in (agent, loaded))
    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(agent.value(observation), loaded.value(observation))
    files = sorted(file.name for file in (tmp_path / "policy").iterdir())
    assert files == ["policy.json", "policy.safetensors"]


def test_the_policys_description_is_strict_json(tmp_path: Path) -> None:
    save_policy(make_agent(spaces.Box(-np.inf, 3.0, (1,))), tmp_path)
    description = json.loads((tmp_path / "policy.json").read_text())
    assert description["agent"]["head"] == {"kind": "gaussian", "low": [None], "high": [3.0]}


def test_a_policy_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    save_policy(make_agent(), tmp_path)
    tensors = bytearray((tmp_path / "policy.safetensors").read_bytes())
    tensors[-5] ^= 1
    (tmp_path / "policy.safetensors").write_bytes(tensors)
    with pytest.raises(IntegrityError, match="damaged"):
        load_policy(tmp_path)


def test_tensors_of_one_policy_with_the_description_of_another_are_refused(tmp_path: Path) -> None:
    save_policy(make_agent(), tmp_path / "one")
    save_policy(make_agent(hidden=(8,)), tmp_path / "other")
    (tmp_path / "one" / "policy.json").replace(tmp_path / "other" / "policy.json")
    with pytest.raises(IntegrityError, match="damaged"):
        load_policy(tmp_path / "other")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 1}', '{"format": 99, "sha256": ""}', "\x00"]
)
def test_a_description_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    save_policy(make_agent(), tmp_path)
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(IntegrityError):
        load_policy(tmp_path)


def test_an_absent_policy_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*policy\.json"):
        load_policy(tmp_path / "nowhere")
