"""What a changed rule changes: nothing, a known share, or more than is allowed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from ppo_marketing.behaviour import Choices, Controls
from ppo_marketing.cli import app
from ppo_marketing.drift import DriftBounds, drift
from ppo_marketing.errors import Refused, UserError
from ppo_marketing.jobs.regressing import _of_what_ships, regress, require_within
from tests.support.retraining import supported


@pytest.fixture(autouse=True, scope="module")
def _supported() -> Iterator[None]:
    with supported():
        yield


@pytest.fixture
def old(champion_project: Path) -> Path:
    [run] = (champion_project / "data" / "retraining").glob("*/runs/*")
    return run


def changed(run: Path, folder: Path, **sections: Any) -> Path:
    """The same run with other sections in its configuration, as if it had been made with them."""
    shutil.copytree(run, folder)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **sections}))
    return folder


def test_the_same_run_changes_nothing(old: Path) -> None:
    found = regress(old, old)
    assert found.settings == found.configuration == {}
    assert found.told() == []
    assert not found.of_shipped_alone
    assert found.drift.overall.mean_kl == 0.0
    assert found.drift.overall.changed == 0.0
    require_within(found)


def test_another_reward_under_the_same_policy_is_named_and_moves_nothing(
    old: Path, tmp_path: Path
) -> None:
    new = changed(old, tmp_path / "new")
    settings = json.loads((new / "policy" / "settings.json").read_text())
    (new / "policy" / "settings.json").write_text(json.dumps({**settings, "unit_cost": 0.9}))
    found = regress(old, new)
    assert found.settings == {"unit_cost": (0.5, 0.9)}
    assert found.drift.overall.changed == 0.0
    require_within(found)


def most_frequent(run: Path) -> tuple[int, float]:
    """The choice that a policy ships most often, and how often."""
    flow = regress(run, run).drift.flows[0]
    return int(flow.origin), flow.share


def closing(run: Path, folder: Path, choice: int) -> Path:
    """The run with a choice closed, and another in its place."""
    choices = {"closed": [choice], "nothing": (choice + 1) % 3}
    return changed(run, folder, guardrails={"choices": choices})


def test_a_closed_choice_changes_every_decision_that_was_it_and_is_refused(
    old: Path, tmp_path: Path
) -> None:
    choice, share = most_frequent(old)
    found = regress(old, closing(old, tmp_path / "new", choice))
    assert found.drift.overall.changed == pytest.approx(share)
    assert share > 0.2
    gone = [flow for flow in found.drift.flows if flow.origin == str(choice)]
    assert all(flow.target != str(choice) for flow in gone)
    assert found.configuration["guardrails.choices.closed"] == ([], [choice])
    with pytest.raises(Refused, match=r"share of decisions that change is .*, allowed 0\.2") as no:
        require_within(found)
    assert no.value.exit_code == 5


def test_wider_bounds_on_purpose_let_it_pass(old: Path, tmp_path: Path) -> None:
    new = closing(old, tmp_path / "new", most_frequent(old)[0])
    require_within(regress(old, new, bounds=DriftBounds(changed=None)))
    wide = changed(new, tmp_path / "wide", drift={"changed": None})
    require_within(regress(old, wide))


def test_what_cannot_be_compared_is_said(old: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no config\.yaml, policy"):
        regress(old, tmp_path)
    other = changed(old, tmp_path / "other", decision="another")
    with pytest.raises(UserError, match="only two of a kind can be compared"):
        regress(old, other)


def test_where_actions_mean_something_else_what_reaches_the_market_is_compared() -> None:
    def controls(control: np.ndarray) -> Controls:
        mean = np.zeros((len(control), 1))  # both agents say 0: do what the rule does
        return Controls(mean=mean, log_std=np.array([-0.5]), control=control)

    before = controls(np.zeros(200))
    after = controls(np.where(np.arange(200) < 50, 0.3, 0.0))
    assert drift(before, after).overall.mean_kl == 0.0
    found = drift(_of_what_ships(before), _of_what_ships(after)).overall
    assert found.changed == found.total_variation == 0.25
    assert found.control_change == pytest.approx(0.075)
    menu = Choices.certain([0, 1], 2)
    with pytest.raises(UserError, match="menus that mean different things"):
        _of_what_ships(menu)


def test_on_the_command_line_it_is_an_exit_code(old: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    alike = runner.invoke(app, ["regress", str(old), str(old)])
    assert alike.exit_code == 0, alike.exception
    assert "nothing was asked for otherwise" in alike.stdout
    new = closing(old, tmp_path / "new", most_frequent(old)[0])
    refused = runner.invoke(app, ["regress", str(old), str(new), "--json"])
    assert isinstance(refused.exception, Refused)
    assert json.loads(refused.stdout)["within_bounds"] is False
