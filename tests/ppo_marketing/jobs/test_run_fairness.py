"""A policy's treatment rates by segments of the log: counted on paper, beside the log's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.core.words import StateVariable
from ppo_marketing.errors import UserError
from ppo_marketing.jobs.run_fairness import run_fairness, segments_of
from tests.support.segments import KIND, SPEND, mails_the_new, segments


def rates(found: Any) -> dict[str, float]:
    return {group.group: group.rate for group in found.groups}


def test_the_policys_rates_and_the_logs_are_those_on_paper() -> None:
    (found,) = run_fairness(mails_the_new(), segments(), ["kind"])
    assert rates(found.policy) == {"regular": 0.0, "new": 1.0}
    assert rates(found.log) == {"regular": 0.5, "new": 0.5}
    assert (found.policy.verdict, found.log.verdict) == ("fails", "passes")
    assert found.to_dict()["policy"]["best"] == "new"


def test_which_choices_count_can_be_said() -> None:
    (found,) = run_fairness(mails_the_new(), segments(), ["kind"], ["none"])
    assert rates(found.policy) == {"regular": 1.0, "new": 0.0}


def test_numbers_are_parted_into_fifths_in_their_order() -> None:
    (found,) = run_fairness(mails_the_new(), segments(), ["spend"])
    lower = [float(group.group.split(" ")[0]) for group in found.policy.groups]
    assert len(lower) == 5
    assert lower == sorted(lower)
    assert lower[0] < 0 < lower[-1]


def test_unknown_names_are_told_all_at_once() -> None:
    with pytest.raises(UserError, match=r"no segment column 'kin'.*did you mean kind\?.*'post'"):
        run_fairness(mails_the_new(), segments(), ["kin"], ["post"])
    with pytest.raises(UserError, match="name a segment column: kind, spend"):
        run_fairness(mails_the_new(), segments(), [])


def test_amounts_treat_nobody_and_have_no_segments() -> None:
    world = SimpleNamespace(observation_space=SimpleNamespace(shape=(1,)), action_space="amounts")
    calibration = SimpleNamespace(
        heldout_decisions=lambda settings: None, history_world=lambda settings: world
    )
    parts: Any = SimpleNamespace(
        calibration=calibration, settings=None, decision=SimpleNamespace(words=None)
    )
    assert segments_of(parts) is None


def test_the_segments_by_hand_are_what_they_say() -> None:
    assert isinstance(KIND, StateVariable)
    assert set(KIND.shown(segments().observation).tolist()) == {0.0, 1.0}
    assert len(np.unique(SPEND.shown(segments().observation))) > 5
