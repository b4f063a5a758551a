from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.errors import PpoMarketingError, UserError
from ppo_marketing.tracking.values import (
    PARAM_CHARACTERS,
    commit_tags,
    finite_metrics,
    flat_params,
    json_text,
    process_is_running,
    process_tags,
)

NAMES = st.text("abc_-", min_size=1, max_size=5)
TEXT = st.text('xé "\\\n.', max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
CONFIGURATIONS = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES | st.lists(LEAVES, max_size=3),
        lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=10,
    ),
)


def leaf(config: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        config = config[name]
    return config


@given(CONFIGURATIONS)
def test_every_leaf_of_a_configuration_can_be_read_back(config: dict[str, Any]) -> None:
    for dotted, text in flat_params(config).items():
        value = leaf(config, dotted)
        assert text == value if isinstance(value, str) else json.loads(text) == value


@given(TEXT, st.integers(PARAM_CHARACTERS - 2, PARAM_CHARACTERS + 500))
def test_a_long_value_is_cut_where_it_can_be_seen(start: str, length: int) -> None:
    text = start + "x" * (length - len(start))
    flat = flat_params({"text": text})["text"]
    assert len(flat) <= PARAM_CHARACTERS
    assert flat == text or flat.endswith(f"... ({length} characters; whole in config.json)")


def test_empty_parts_and_paths_are_kept() -> None:
    flat = flat_params({"options": {}, "log": Path("a/b.csv"), "scale": np.float64(0.5)})
    assert flat == {"options": "{}", "log": '"a/b.csv"', "scale": "0.5"}
    assert flat_params({}) == {}


def test_all_names_that_cannot_be_recorded_are_listed() -> None:
    config = {"good": 1, "50%": 2, "deep": {"a$": 3}, "x.y": 4, "x": {"y": 5}}
    with pytest.raises(UserError) as refused:
        flat_params(config)
    for name in ("'50%'", "'deep.a$'", "'x.y' is there twice"):
        assert name in str(refused.value)
    assert "good" not in str(refused.value)


def test_metrics_may_be_numpy_numbers() -> None:
    values = finite_metrics({"kl": np.float32(0.5), "clipped share": np.int64(1)}, step=1)
    assert values == {"kl": 0.5, "clipped share": 1.0}
    assert {type(value) for value in values.values()} == {float}


def test_every_bad_metric_is_named() -> None:
    with pytest.raises(PpoMarketingError, match="loss is -inf; 'win%' is not a name"):
        finite_metrics({"loss": -np.inf, "win%": 0.1}, step=1)


def test_json_holds_plain_values_only() -> None:
    report = {"ks": np.float32(0.5), "grid": np.arange(3), "log": Path("a.csv"), "gone": None}
    assert json.loads(json_text("report", report)) == {
        "ks": 0.5,
        "grid": [0, 1, 2],
        "log": "a.csv",
        "gone": None,
    }


@pytest.mark.parametrize("value", [np.nan, np.array([1.0, np.inf]), object(), {1, 2}])
def test_json_refuses_what_json_does_not_have(value: Any) -> None:
    with pytest.raises(PpoMarketingError, match="'report' cannot be recorded"):
        json_text("report", {"value": value})


def test_this_process_is_running() -> None:
    assert process_tags()["job.pid"] == str(os.getpid())
    assert process_is_running(process_tags())


def test_a_later_process_with_the_same_id_is_another_one() -> None:
    started_s = float(process_tags()["job.process_started"])
    assert not process_is_running({**process_tags(), "job.process_started": str(started_s - 60)})


def test_a_killed_process_is_not_running_even_before_its_parent_collects_it() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        started_s = psutil.Process(child.pid).create_time()
        tags = {"job.pid": str(child.pid), "job.process_started": str(started_s)}
        assert process_is_running(tags)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process_is_running(tags)
    assert not process_is_running(tags)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_known_in_a_checkout_and_missing_elsewhere(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert commit_tags(tmp_path) == {}
    git("init", "--quiet")
    assert commit_tags(tmp_path) == {}, "a repository without a commit has none to name"
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", "code.py")
    git("commit", "--quiet", "-m", "first")
    commit = git("rev-parse", "HEAD")
    clean = {"mlflow.source.git.commit": commit, "mlflow.source.git.dirty": "false"}
    assert commit_tags(tmp_path) == clean
    (tmp_path / "code.py").write_text("x = 2\n")
    assert commit_tags(tmp_path) == {**clean, "mlflow.source.git.dirty": "true"}
