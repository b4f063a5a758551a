"""The champion as it would act today: another catalogue, the same form, days it has not seen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from ppo_marketing.audit_trail import Action, Line
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.incumbents import Incumbent, fitted, policy_of
from ppo_marketing.ppo.agent import Agent
from ppo_marketing.ppo.config import PPOConfig

LINE = Line(
    time="2024-01-01T00:00:00+00:00", actor="deploy", approver="Ada", action=Action.PROMOTE,
    decision="shelf", reason="", sequence=1, previous="0" * 64,
)  # fmt: skip


@dataclass
class Judging:
    """As much of a calibration as is asked."""

    judged_from: date


def catalogue(items: int, hidden: int = 8) -> Agent:
    rng = np.random.default_rng(items)
    space: spaces.Discrete[Any] = spaces.Discrete(items)
    features = rng.normal(size=(items, 3)).astype(np.float32)
    setattr(space, "item_features", features)  # noqa: B010 - not an attribute of Discrete
    config = PPOConfig(start="random", hidden=(hidden,))
    return Agent.create(spaces.Box(-5.0, 5.0, (4,), np.float32), space, config, rng)


def champion(folder: Path, agent: Agent) -> Incumbent:
    (folder / "trained-on.json").write_text(json.dumps({"before": "2024-02-01"}))
    return Incumbent(LINE, folder, agent, agent, None)


TODAY: Any = Judging(date(2024, 2, 1))


def test_it_scores_the_items_of_today_with_the_taste_it_learned(tmp_path: Path) -> None:
    learned, fresh = catalogue(5), catalogue(9)
    known = fitted(champion(tmp_path, learned), TODAY, fresh)
    for policy in (known.agent, known.start):
        assert policy.describe() == fresh.describe()
        np.testing.assert_array_equal(
            policy.arrays()["actor.weights.0"], learned.arrays()["actor.weights.0"]
        )
        np.testing.assert_array_equal(
            policy.arrays()["head.features"], fresh.arrays()["head.features"]
        )


def test_another_form_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"another form[\s\S]*from_champion: false"):
        fitted(champion(tmp_path, catalogue(5)), TODAY, catalogue(5, hidden=16))


def test_a_champion_that_has_seen_the_days_that_are_judged_is_refused(tmp_path: Path) -> None:
    earlier: Any = Judging(date(2024, 1, 31))
    with pytest.raises(UserError, match="trained on days before 2024-02-01"):
        fitted(champion(tmp_path, catalogue(5)), earlier, catalogue(5))


def test_its_folder_is_the_first_that_holds_the_very_policy_that_was_released(
    tmp_path: Path,
) -> None:
    for name, content in (("other", b"{}"), ("own", b"{1}"), ("copy", b"{1}")):
        (tmp_path / name / "policy").mkdir(parents=True)
        (tmp_path / name / "policy" / "policy.json").write_bytes(content)
    line = replace(LINE, policy_sha256=hashlib.sha256(b"{1}").hexdigest())
    runs = [tmp_path / name for name in ("gone", "other", "own", "copy")]
    assert policy_of(line, runs) == tmp_path / "own" / "policy"
    assert policy_of(line, [tmp_path / "own" / "policy"]) == tmp_path / "own" / "policy"
    assert policy_of(line, runs[:2]) is None
